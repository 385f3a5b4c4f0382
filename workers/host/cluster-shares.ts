/** All that a host shares with other gateways (`remote.<id>.cluster`): connections, the rate, and what is known of its health. Serves actor.ts. */
import type { HostSettings } from "../../src/config/settings.js";
import type { HealthHint, HealthNews } from "../../src/messages/health.js";
import { leaseId, type PlaceDemand, type PlaceGrant, type SharedThing } from "../../src/messages/places.js";
import type { TimerWheel } from "../../src/timer-wheel.js";
import type { Pool } from "../pool/pool.js";
import type { PolicyRefusals } from "./policy-refusals.js";
import { SharedPlaces } from "./shared-places.js";
import { SharedRate } from "./shared-rate.js";

/** The way to the gateway's thread. */
export interface ClusterEnds {
  /** What is wanted of a lease. */
  want(leaseId: string, demand: PlaceDemand): void;
  tell(news: HealthNews): void;
}

export class ClusterShares {
  private readonly connections: SharedPlaces;
  private readonly rate: SharedRate;
  private sharesHealth = false;

  constructor(
    private readonly pool: Pool,
    private readonly refusals: PolicyRefusals,
    wheel: TimerWheel,
    hostId: string,
    private readonly ends: ClusterEnds,
  ) {
    const wantOf = (of: SharedThing) => (demand: PlaceDemand) => ends.want(leaseId(hostId, of), demand);
    this.connections = new SharedPlaces(pool, wheel, wantOf("connections"));
    this.rate = new SharedRate(pool, wheel, wantOf("rate"));
  }

  /** @param former what the host as it was before it was removed shares, where that still has work */
  follow({ cluster }: HostSettings, former?: ClusterShares): void {
    this.connections.follow(cluster?.concurrency !== undefined, former?.connections);
    this.rate.follow(cluster?.rate, former?.rate);
    const sharesHealth = cluster?.health === true;
    if (sharesHealth !== this.sharesHealth) {
      this.sharesHealth = sharesHealth;
      const { tell } = this.ends;
      this.pool.told.share(sharesHealth ? tell : undefined);
      this.refusals.tell = sharesHealth ? (isOver) => tell({ is: "blocked", isOver }) : undefined;
    }
  }

  grant(of: SharedThing, grant: PlaceGrant): void {
    this[of].grant(grant);
  }

  /** What other gateways say of the host; its times are on the worker's clock. */
  hint(hint: HealthHint): void {
    if (!this.sharesHealth) {
      return;
    }
    if (hint.is === "blocked") {
      this.refusals.told(hint.untilMs);
    } else {
      this.pool.told.told(hint);
    }
  }

  stop(): void {
    this.connections.stop();
    this.rate.stop();
  }
}
