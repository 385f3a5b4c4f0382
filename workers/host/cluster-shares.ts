/** All that a host shares with other gateways (`remote.<id>.cluster`): connections, and the rate. Serves actor.ts. */
import type { HostSettings } from "../../src/config/settings.js";
import { leaseId, type PlaceDemand, type PlaceGrant, type SharedThing } from "../../src/messages/places.js";
import type { TimerWheel } from "../../src/timer-wheel.js";
import type { Pool } from "../pool/pool.js";
import { SharedPlaces } from "./shared-places.js";
import { SharedRate } from "./shared-rate.js";

export class ClusterShares {
  private readonly connections: SharedPlaces;
  private readonly rate: SharedRate;

  /** @param want tells the gateway's thread what is wanted of a lease */
  constructor(pool: Pool, wheel: TimerWheel, hostId: string, want: (leaseId: string, demand: PlaceDemand) => void) {
    const wantOf = (of: SharedThing) => (demand: PlaceDemand) => want(leaseId(hostId, of), demand);
    this.connections = new SharedPlaces(pool, wheel, wantOf("connections"));
    this.rate = new SharedRate(pool, wheel, wantOf("rate"));
  }

  /** @param former what the host as it was before it was removed shares, where that still has work */
  follow({ cluster }: HostSettings, former?: ClusterShares): void {
    this.connections.follow(cluster?.concurrency !== undefined, former?.connections);
    this.rate.follow(cluster?.rate, former?.rate);
  }

  grant(of: SharedThing, grant: PlaceGrant): void {
    this[of].grant(grant);
  }

  stop(): void {
    this.connections.stop();
    this.rate.stop();
  }
}
