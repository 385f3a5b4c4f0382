/** A simulated worker's part of a shared rate at one host: the real pace and lease, and a queue of requests that begin as it lets them. */
import type { RateSettings } from "../../../src/config/settings.js";
import { type PlaceDemand, type PlaceGrant, RATE_PARTS } from "../../../src/messages/places.js";
import { type Clock, TimerWheel } from "../../../src/timer-wheel.js";
import { PlaceLease } from "../../../workers/host/place-lease.js";
import { Pace } from "../../../workers/pool/pace.js";
import type { Task } from "../../../workers/pool/task.js";

/** Nobody waits for ever. */
const MOST_QUEUED = 50;

export interface SimRateOwner {
  readonly clock: Clock;
  want(demand: PlaceDemand): void;
  /** A request begins. */
  begun(): void;
}

export class SimRate {
  /** Requests that wait. */
  queued = 0;
  begun = 0;
  /** Parts that it goes by. */
  parts = 0;
  /** What it counts for in the bound of `on-loss = "share"`, and until when. */
  share = 0;
  shareUntilMs = 0;
  private grant: PlaceGrant | undefined;
  private readonly pace: Pace;
  private readonly lease: PlaceLease;

  constructor(
    rate: RateSettings,
    private readonly owner: SimRateOwner,
  ) {
    const { clock } = owner;
    this.pace = new Pace(clock, () => this.pump(), undefined);
    this.pace.share(rate, (parts) => this.lease.demand(parts, 0));
    const hold = (parts: number, _refusal: unknown, untilMs: number): void => {
      this.parts = parts;
      this.pace.grant(parts / RATE_PARTS, untilMs);
      this.pump();
    };
    this.lease = new PlaceLease(new TimerWheel(clock), { hold, want: (demand) => owner.want(demand) }, undefined);
    this.lease.begin();
  }

  /** It goes by what `on-loss` allows without a lease. */
  get isByShare(): boolean {
    return this.grant?.basis === "share";
  }

  get allowed(): number {
    return this.parts;
  }

  take(grant: PlaceGrant): void {
    this.grant = grant;
    this.lease.demand(this.pace.takeWanted(), 0);
    this.lease.grant(grant);
  }

  arrive(): void {
    this.queued = Math.min(this.queued + 1, MOST_QUEUED);
    this.pump();
  }

  private pump(): void {
    while (this.queued > 0 && this.pace.room >= 1) {
      this.queued--;
      this.begun++;
      this.pace.begin({ enqueuedMs: this.owner.clock.now() } as Task);
      this.owner.begun();
    }
    if (this.queued > 0) {
      this.pace.holdBack();
    }
  }
}
