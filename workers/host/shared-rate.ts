/**
 * A host's part of the rate that several gateways share (`remote.<id>.cluster.rate`): which part of it is this gateway's, and what it
 * could use. A part is leased as connections are (place-lease.ts), so that no message waits for whoever grants. Serves cluster-shares.ts.
 */
import type { RateSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import { type PlaceGrant, RATE_PARTS } from "../../src/messages/places.js";
import type { TimerWheel } from "../../src/timer-wheel.js";
import type { Pool } from "../pool/pool.js";
import { PlaceLease, type PlaceLeaseOwner } from "./place-lease.js";

const REFUSED: Failure = {
  code: "HOST_UNAVAILABLE",
  message:
    'Redis is lost, and with cluster.on-loss = "refuse" nothing begins without a part of the rate of the cluster. Nothing was sent.',
};

export class SharedRate {
  private lease: PlaceLease | undefined;

  /** @param want tells the gateway's thread how many parts are wanted */
  constructor(
    private readonly pool: Pool,
    private readonly wheel: TimerWheel,
    private readonly want: PlaceLeaseOwner["want"],
  ) {}

  /**
   * Follows the settings.
   *
   * @param predecessor the part of the host as it was before it was removed, where that still has work
   */
  follow(rate: RateSettings | undefined, predecessor?: SharedRate): void {
    const { pool } = this;
    pool.grants.shareRate(rate, (parts) => this.lease?.demand(parts, 0));
    if (rate !== undefined && this.lease === undefined) {
      const hold: PlaceLeaseOwner["hold"] = (parts, refusal, untilMs) =>
        pool.grants.grantRate(parts / RATE_PARTS, untilMs, refusal === undefined ? undefined : REFUSED);
      this.lease = new PlaceLease(this.wheel, { hold, want: this.want }, predecessor?.lease);
      this.lease.begin();
    } else if (rate === undefined) {
      this.stop();
      this.lease = undefined;
    }
  }

  grant(grant: PlaceGrant): void {
    this.lease?.demand(this.pool.grants.rateWanted, 0);
    this.lease?.grant(grant);
  }

  stop(): void {
    this.lease?.stop();
  }
}
