/**
 * When a host may be dialled again, and by how many connections: a circuit that opens after failed attempts and is then tried
 * by one connection, and a working limit that falls when the host says "too many" and climbs back.
 */
import type { Clock } from "../../src/timer-wheel.js";

/** Failed attempts in a row that open the circuit. */
const FAILURES_TO_OPEN = 3;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;
/** One more connection is tried so long after the last change. */
const CLIMB_EVERY_MS = 5_000;

/** closed → open (requests are refused at once) → half-open (one connection finds out) → closed, or open for longer. */
export class Circuit {
  private failures = 0;
  private openUntilMs = 0;

  constructor(
    private readonly clock: Clock,
    private readonly random: () => number,
  ) {}

  get state(): "closed" | "open" | "half-open" {
    if (this.failures < FAILURES_TO_OPEN) {
      return "closed";
    }
    return this.clock.now() < this.openUntilMs ? "open" : "half-open";
  }

  /** How long it stays open, in milliseconds. */
  get waitMs(): number {
    return Math.max(0, this.openUntilMs - this.clock.now());
  }

  connected(): void {
    this.failures = 0;
  }

  failed(): void {
    // Attempts that were under way together when it opened are one failure of the host, not a reason to wait longer.
    if (this.state === "open") {
      return;
    }
    this.failures++;
    const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** Math.max(0, this.failures - FAILURES_TO_OPEN), MAX_BACKOFF_MS);
    // Jitter, so that a thousand hosts that fell together do not rise together.
    this.openUntilMs = this.clock.now() + backoffMs * (0.5 + this.random() / 2);
  }
}

/** Additive increase, multiplicative decrease, never above `remote.<id>.concurrency`. */
export class WorkingLimit {
  private limit: number;
  private changedMs = 0;
  private crowdedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly maximum: number,
  ) {
    this.limit = maximum;
  }

  /** Most connections to have now. */
  get connections(): number {
    if (this.limit < this.maximum && this.clock.now() - this.changedMs >= CLIMB_EVERY_MS) {
      this.limit++;
      this.changedMs = this.clock.now();
    }
    return this.limit;
  }

  /** The host refused one more connection while it kept `standing` others: "421 too many connections", to an attempt that began at `sinceMs`. */
  crowded(standing: number, sinceMs: number): void {
    // Attempts that were under way together are one answer of the host.
    if (sinceMs <= this.crowdedMs) {
      return;
    }
    this.crowdedMs = this.clock.now();
    this.limit = Math.max(1, Math.min(this.limit - 1, Math.ceil(standing / 2)));
    this.changedMs = this.clock.now();
  }
}
