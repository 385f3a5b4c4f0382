/**
 * The addresses at which a host is, and which of them gets the next connection: those that are up share them by weight; those of a later
 * tier (backups, SRV records of a larger priority) only while none of the earlier ones is. A host with one address has one endpoint,
 * and nothing here is asked. Serves opener.ts.
 */
import type { EndpointSettings, HostSettings } from "../../src/config/settings.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { TokenGrant } from "../../src/messages/tokens.js";
import type { AddressStats } from "../../src/stats.js";
import type { World } from "../world.js";
import type { EndpointRoom } from "./budget.js";
import type { Dialer } from "./dialer.js";
import { Endpoint, EndpointTally, placeOf, RANK, type Rank } from "./endpoint.js";
import { type ServiceOwner, ServiceWatch } from "./service-watch.js";

export class Endpoints implements EndpointRoom {
  private all: readonly Endpoint[] = [];
  /** Of those before a reload, and of those that SRV records name no more: their connections may still stand. */
  private readonly former: Map<string, EndpointTally>;
  /** Where SRV records name them. */
  private readonly watch: ServiceWatch | undefined;

  /** @param owner whom SRV records matter to */
  constructor(
    private readonly world: World,
    private readonly host: HostSettings,
    private readonly log: HostLog,
    private readonly makeDialer: (settings: HostSettings) => Dialer,
    former: Endpoints | undefined,
    owner: ServiceOwner,
  ) {
    this.former = former?.tallies ?? new Map();
    former?.stop();
    const { endpoints = [], service } = host;
    this.watch = service === undefined ? undefined : new ServiceWatch(world, service, host, log, owner);
    this.locate(endpoints);
  }

  /** They are these from now on; what is known of those that stay, stays known. */
  locate(endpoints: readonly EndpointSettings[]): void {
    const { world, host, log, makeDialer } = this;
    const known = new Map(this.all.map((endpoint) => [placeOf(endpoint.settings), endpoint]));
    const tallies = this.tallies;
    this.all = endpoints.map((settings) => {
      const place = placeOf(settings);
      const same = known.get(place);
      if (same !== undefined) {
        same.settings = settings;
        return same;
      }
      return new Endpoint(world, log, makeDialer, host, settings, tallies.get(place) ?? new EndpointTally());
    });
    this.former.clear();
    for (const [place, tally] of tallies) {
      if (tally.held > 0 && !this.all.some((endpoint) => endpoint.tally === tally)) {
        this.former.set(place, tally);
      }
    }
  }

  /** A connection is to be opened. True: where to is not known, and found out. */
  mustWait(): boolean {
    return this.watch?.mustWait() === true || this.all.length === 0;
  }

  has(endpoint: Endpoint): boolean {
    return this.all.includes(endpoint);
  }

  /** Nobody asks for SRV records any more. */
  stop(): void {
    this.watch?.stop();
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

  /**
   * Those that may get connections now: of the best rank, and where all are down whoever is to be tried first.
   */
  get candidates(): readonly Endpoint[] {
    const { best } = this;
    if (best === RANK.down) {
      const first = this.choose();
      return first === undefined ? [] : [first];
    }
    return this.all.filter(({ rank }) => rank === best);
  }

  find(place: string): Endpoint | undefined {
    return this.all.find((endpoint) => endpoint.place === place);
  }

  get room(): number {
    const { best, watch } = this;
    if (watch !== undefined && (watch.isAwaited || this.all.length === 0)) {
      // Whoever wants a connection has them asked for; the others wait for the answer.
      return watch.isAwaited ? 0 : 1;
    }
    let room = 0;
    for (const endpoint of this.all) {
      room += endpoint.rank === best ? endpoint.room : 0;
    }
    return room;
  }

  get bearable(): number {
    if (this.all.length === 0) {
      return Number.POSITIVE_INFINITY;
    }
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

  private get tallies(): Map<string, EndpointTally> {
    const tallies = new Map(this.former);
    for (const { settings, tally } of this.all) {
      tallies.set(placeOf(settings), tally);
    }
    return tallies;
  }
}
