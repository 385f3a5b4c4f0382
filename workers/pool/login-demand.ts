/**
 * How many login connections to have ready ahead of the next logins: a successful AUTH uses its connection up (RFC 4954 4), so
 * each login would wait for TCP, TLS and EHLO. Follows the logins of the last seconds and forgets them as they stay away.
 */
import type { Clock } from "../../src/timer-wheel.js";

/** A used connection counts for less and less: after so long for about a third. */
const MEMORY_MS = 10_000;
/** Below this, the last one is about two memories ago. */
const FORGOTTEN = 0.13;

export class LoginDemand {
  /** Connections used up until `updatedMs`, older ones counting for less. */
  private recent = 0;
  private updatedMs = 0;
  /** How long a connection takes until it is ready, on average. */
  private openingMs = 0;

  constructor(private readonly clock: Clock) {}

  /** A login took its connection with it. */
  usedUp(): void {
    this.recent = this.remembered + 1;
    this.updatedMs = this.clock.now();
  }

  /** A login connection became ready so long after it was begun. */
  opened(afterMs: number): void {
    this.openingMs = this.openingMs === 0 ? afterMs : this.openingMs * 0.8 + afterMs * 0.2;
  }

  /** There was one at all. */
  get isAny(): boolean {
    return this.recent > 0;
  }

  /** As many as are used up while one opens; one at least, while logins succeed at all. */
  get spares(): number {
    const { remembered } = this;
    if (remembered < FORGOTTEN) {
      return 0;
    }
    return Math.max(1, Math.ceil((remembered / MEMORY_MS) * this.openingMs));
  }

  private get remembered(): number {
    return this.recent * Math.exp((this.updatedMs - this.clock.now()) / MEMORY_MS);
  }
}
