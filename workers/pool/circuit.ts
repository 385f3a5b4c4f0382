/** When a host may be dialled again: a circuit that opens after failed attempts and is then tried by one connection. */
import type { Clock } from "../../src/timer-wheel.js";

/** Failed attempts in a row that open the circuit. */
const FAILURES_TO_OPEN = 3;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;

export type CircuitState = "closed" | "open" | "half-open";

/** closed → open (requests are refused at once) → half-open (one connection finds out) → closed, or open for longer. */
export class Circuit {
  private failures = 0;
  private openUntilMs = 0;

  constructor(
    private readonly clock: Clock,
    private readonly random: () => number,
    private readonly failuresToOpen = FAILURES_TO_OPEN,
  ) {}

  get state(): CircuitState {
    if (this.failures < this.failuresToOpen) {
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

  /** It opens at once: enough is known. */
  trip(): void {
    this.failures = Math.max(this.failures, this.failuresToOpen - 1);
    this.openUntilMs = 0;
    this.failed();
  }

  failed(): void {
    // Attempts that were under way together when it opened are one failure of the host, not a reason to wait longer.
    if (this.state === "open") {
      return;
    }
    this.failures++;
    const backoffMs = Math.min(
      FIRST_BACKOFF_MS * 2 ** Math.max(0, this.failures - this.failuresToOpen),
      MAX_BACKOFF_MS,
    );
    // Jitter, so that a thousand hosts that fell together do not rise together.
    this.openUntilMs = this.clock.now() + backoffMs * (0.5 + this.random() / 2);
  }
}
