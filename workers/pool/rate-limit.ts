/**
 * How often requests may begin: the generic cell rate algorithm (ITU-T I.371), whose whole memory is one time. Works for pace.ts.
 *
 * A bucket of `burst` requests fills again by one each `intervalMs`..
 */
import type { RateSettings } from "../../src/config/settings.js";

export class RateLimit {
  /** The part of the rate that is ours: 1 where nobody shares it. */
  private part = 1;
  /** When the bucket is full, if nothing begins until then. */
  private fullMs = Number.NEGATIVE_INFINITY;

  constructor(private rate: RateSettings) {}

  get perSecond(): number {
    return (1000 * this.part) / this.rate.intervalMs;
  }

  get burst(): number {
    return this.part === 0 ? 0 : Math.max(1, this.rate.burst * this.part);
  }

  /** How many requests may begin now. */
  room(nowMs: number): number {
    return this.part === 0 ? 0 : Math.floor(this.left(nowMs));
  }

  /** Until one may begin. */
  waitMs(nowMs: number): number {
    return this.part === 0 ? Number.POSITIVE_INFINITY : Math.max(0, (1 - this.left(nowMs)) * this.intervalMs);
  }

  /** One begins. */
  take(nowMs: number): void {
    this.fullMs = Math.max(this.fullMs, nowMs) + this.intervalMs;
  }

  /** From now on another rate holds, or another part of it is ours. What is left of the bucket stays: a change is no new burst. */
  change(rate: RateSettings, part: number, nowMs: number): void {
    const left = this.part === 0 ? 0 : this.left(nowMs);
    this.rate = rate;
    this.part = part;
    this.fullMs = part === 0 ? nowMs : nowMs + Math.max(0, this.burst - left) * this.intervalMs;
  }

  private left(nowMs: number): number {
    return this.burst - Math.max(0, this.fullMs - nowMs) / this.intervalMs;
  }

  private get intervalMs(): number {
    return this.rate.intervalMs / this.part;
  }
}
