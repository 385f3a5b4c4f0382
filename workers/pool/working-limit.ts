/** How many connections a host bears: falls when the host says "too many", and climbs back. Kept by budget.ts. */
import type { Clock } from "../../src/timer-wheel.js";

/** One more connection is tried so long after the last change. */
const CLIMB_EVERY_MS = 5_000;

/** Additive increase, multiplicative decrease, never above `remote.<id>.concurrency`. */
export class WorkingLimit {
  /** What it was set to at `changedMs`; it climbs from there. */
  private lowered: number;
  private changedMs = 0;
  private crowdedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly maximum: number,
  ) {
    this.lowered = maximum;
  }

  /** Most connections to have now. */
  get connections(): number {
    if (this.lowered === this.maximum) {
      return this.maximum;
    }
    const climbed = Math.floor((this.clock.now() - this.changedMs) / CLIMB_EVERY_MS);
    return Math.min(this.maximum, this.lowered + climbed);
  }

  /** Until it has climbed back. */
  get climbMs(): number {
    return (this.maximum - this.connections) * CLIMB_EVERY_MS;
  }

  /** It refused others one more connection so long ago, and is thought to bear so many; `standing` of them stand here. */
  told(bearable: number, ageMs: number, standing: number): void {
    const lowered = Math.max(1, bearable, standing);
    if (lowered + Math.floor(ageMs / CLIMB_EVERY_MS) < this.connections) {
      this.lowered = lowered;
      this.changedMs = this.clock.now() - ageMs;
    }
  }

  /** The host refused one more connection while it kept `standing` others: "421 too many connections", to an attempt that began at `sinceMs`. False: it is known. */
  crowded(standing: number, sinceMs: number): boolean {
    // Attempts that were under way together are one answer of the host.
    if (sinceMs <= this.crowdedMs) {
      return false;
    }
    this.lowered = Math.max(1, Math.min(this.connections - 1, Math.ceil(standing / 2)));
    this.crowdedMs = this.clock.now();
    this.changedMs = this.clock.now();
    return true;
  }
}
