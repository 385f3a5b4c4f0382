/**
 * The rate at which a host's requests may begin (`limits.rate`): all of its purposes together, since a host counts what it is sent.
 * The pool asks before it hands a request to a connection; what may not begin waits in the queue, and the pool is woken in time.
 */
import type { RateStats } from "../../src/api.js";
import type { RateSettings } from "../../src/config/settings.js";
import type { Clock } from "../../src/timer-wheel.js";
import { RateLimit } from "./rate-limit.js";
import type { Task } from "./task.js";

export class Pace {
  private own: RateLimit | undefined;
  /** Requests that began later than they could have without a limit. */
  private delayed = 0;
  /** When a request last waited for the rate and for nothing else. */
  private heldBackMs = Number.NEGATIVE_INFINITY;
  private stopTimer: (() => void) | undefined;

  /**
   * @param wake called when a request may begin again
   * @param predecessor that of the host as it was: it and this one keep to one rate
   */
  constructor(
    private readonly clock: Clock,
    private readonly wake: () => void,
    predecessor: Pace | undefined,
  ) {
    this.own = predecessor?.own;
  }

  /** No limit holds. */
  get isOff(): boolean {
    return this.own === undefined;
  }

  /** How many requests may begin now. */
  get room(): number {
    return this.own === undefined ? Number.POSITIVE_INFINITY : this.own.room(this.clock.now());
  }

  /** Other settings. */
  follow(rate: RateSettings | undefined): void {
    if (rate === undefined) {
      this.own = undefined;
      this.stop();
    } else if (this.own === undefined) {
      this.own = new RateLimit(rate);
    } else {
      this.own.change(rate, 1, this.clock.now());
    }
  }

  /** A request begins. */
  begin(task: Task): void {
    if (this.own === undefined) {
      return;
    }
    this.own.take(this.clock.now());
    if (task.enqueuedMs <= this.heldBackMs) {
      this.delayed++;
    }
  }

  /** Requests wait, and none may begin now: the pool is woken when one may. */
  holdBack(): void {
    const nowMs = this.clock.now();
    const waitMs = this.own?.waitMs(nowMs) ?? 0;
    this.heldBackMs = nowMs;
    if (this.stopTimer !== undefined || waitMs === Number.POSITIVE_INFINITY) {
      return;
    }
    this.stopTimer = this.clock.after(Math.max(1, Math.ceil(waitMs)), () => {
      this.stopTimer = undefined;
      this.wake();
    });
  }

  /** Whether a request waits for the rate, and not for the host. */
  holdsBack(task: Task): boolean {
    return task.queue !== undefined && task.enqueuedMs <= this.heldBackMs;
  }

  stats(queued: number): RateStats | undefined {
    const { own, delayed } = this;
    if (own === undefined) {
      return undefined;
    }
    const { perSecond, burst } = own;
    return { perSecond, burst, waiting: this.room > 0 ? 0 : queued, delayed };
  }

  /** Nobody has to be woken any more. */
  stop(): void {
    this.stopTimer?.();
    this.stopTimer = undefined;
  }
}
