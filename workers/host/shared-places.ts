/** Whether a host's connection slots are shared with other gateways (`remote.<id>.cluster`), and the lease on them while they are. Serves actor.ts. */
import type { PlaceGrant } from "../../src/messages/places.js";
import type { TimerWheel } from "../../src/timer-wheel.js";
import type { Pool } from "../pool/pool.js";
import { PlaceLease, type PlaceLeaseOwner } from "./place-lease.js";

export class SharedPlaces {
  private lease: PlaceLease | undefined;

  /** @param want tells the gateway's thread how many places are wanted */
  constructor(
    private readonly pool: Pool,
    private readonly wheel: TimerWheel,
    private readonly want: PlaceLeaseOwner["want"],
  ) {}

  /**
   * Follows the settings.
   *
   * @param predecessor the places of the host as it was before it was removed, where that still holds some
   */
  follow(isShared: boolean, predecessor?: SharedPlaces): void {
    if (isShared && this.lease === undefined) {
      const { pool, want } = this;
      const hold: PlaceLeaseOwner["hold"] = (places, refusal, untilMs) => pool.grants.grant(places, untilMs, refusal);
      const owner: PlaceLeaseOwner = { hold, want };
      const lease = new PlaceLease(this.wheel, owner, predecessor?.lease);
      this.lease = lease;
      pool.grants.shareSlots((wanted, held) => lease.demand(wanted, held));
      lease.begin();
    } else if (!isShared && this.lease !== undefined) {
      this.stop();
      this.lease = undefined;
      this.pool.grants.shareSlots(undefined);
    }
  }

  grant(grant: PlaceGrant): void {
    this.lease?.grant(grant);
  }

  stop(): void {
    this.lease?.stop();
  }
}
