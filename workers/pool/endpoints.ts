/**
 * The addresses at which a host is, and which of them gets the next connection: those that are up share them by weight; backups
 * only while none of the others is. A host with one address has one endpoint, and nothing here is asked. Serves opener.ts.
 */
import type { AddressStats } from "../../src/api.js";
import type { HostSettings } from "../../src/config/settings.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { TokenGrant } from "../../src/messages/tokens.js";
import type { World } from "../world.js";
import type { EndpointRoom } from "./budget.js";
import type { Dialer } from "./dialer.js";
import { Endpoint, EndpointTally, RANK, type Rank } from "./endpoint.js";

export class Endpoints implements EndpointRoom {
  private readonly all: readonly Endpoint[];

  /** @param former those before a reload: their connections may still stand */
  constructor(
    world: World,
    settings: HostSettings,
    log: HostLog,
    makeDialer: (settings: HostSettings) => Dialer,
    former: Endpoints | undefined,
  ) {
    this.all = (settings.endpoints ?? []).map((endpoint) => {
      const known = former?.all.find(
        ({ settings: { address, port } }) => address === endpoint.address && port === endpoint.port,
      );
      return new Endpoint(world, log, makeDialer, settings, endpoint, known?.tally ?? new EndpointTally());
    });
  }

  /** The best that there is now. */
  get best(): Rank {
    let best: Rank = RANK.down;
    for (const { rank } of this.all) {
      if (rank < best) {
        best = rank;
      }
    }
    return best;
  }

  get room(): number {
    const { best } = this;
    let room = 0;
    for (const endpoint of this.all) {
      room += endpoint.rank === best ? endpoint.room : 0;
    }
    return room;
  }

  get bearable(): number {
    const { best } = this;
    let bearable = 0;
    for (const endpoint of this.all) {
      bearable += endpoint.rank === best ? endpoint.bearable : 0;
    }
    return bearable;
  }

  /**
   * Who gets the next connection, while there is {@link room}: whoever has the fewest for its weight, so that a slow one does not gather
   * them; among equals in turn by weight, as nginx's smooth round robin does it.
   */
  choose(): Endpoint | undefined {
    const { best } = this;
    const able = this.all.filter((endpoint) => endpoint.rank === best && endpoint.room > 0);
    if (best === RANK.down) {
      // All are: whoever is to be tried first.
      return able.reduce<Endpoint | undefined>(
        (first, each) => (first && first.waitMs <= each.waitMs ? first : each),
        undefined,
      );
    }
    const least = Math.min(...able.map(({ load }) => load));
    let chosen: Endpoint | undefined;
    let total = 0;
    for (const endpoint of able.filter(({ load }) => load === least)) {
      endpoint.turn += endpoint.settings.weight;
      total += endpoint.settings.weight;
      chosen = chosen === undefined || endpoint.turn > chosen.turn ? endpoint : chosen;
    }
    if (chosen !== undefined) {
      chosen.turn -= total;
    }
    return chosen;
  }

  /**
   * One that was down and may be back, while others serve: nobody is to wait for what comes of it.
   *
   * @param isTried whether a connection to it is on its way
   */
  mayBeBack(isTried: (endpoint: Endpoint) => boolean): Endpoint | undefined {
    return this.best >= RANK.probation
      ? undefined
      : this.all.find((each) => each.rank === RANK.probation && each.room > 0 && !isTried(each));
  }

  /** For connections that wait for an access token. */
  giveToken(grant: TokenGrant): void {
    for (const { dialer } of this.all) {
      dialer.tokens?.given(grant);
    }
  }

  stats(): AddressStats[] {
    return this.all.map((endpoint) => endpoint.stats());
  }
}
