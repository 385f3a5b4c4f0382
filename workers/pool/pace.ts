/**
 * The rate at which a host's requests may begin (`limits.rate`, and a gateway's part of `cluster.rate`): all of its purposes together,
 * since a host counts what it is sent. The pool asks before it hands a request to a connection; what may not begin waits in the
 * queue, and the pool is woken in time.
 */
import type { RateSettings } from "../../src/config/settings.js";
import { RATE_PARTS } from "../../src/messages/places.js";
import type { RateStats } from "../../src/stats.js";
import type { Clock } from "../../src/timer-wheel.js";
import { RateLimit } from "./rate-limit.js";
import type { Task } from "./task.js";

/** What a gateway asks for of a shared rate beside what it used lately: as much again, and a little in any case. */
const HEADROOM = 2;
const LEAST_WANTED = RATE_PARTS / 100;

/** A rate of several gateways, and this one's part of it. */
interface SharedRateLimit {
  readonly limit: RateLimit;
  rate: RateSettings;
  /** From 0 to 1. */
  part: number;
  /** From then on it is nothing, whether or not anybody has come to say so: a process that was stopped goes on with what waits. */
  untilMs: number;
}

export class Pace {
  private own: RateLimit | undefined;
  private shared: SharedRateLimit | undefined;
  /** Told how many parts of the shared rate are wanted, when more are. */
  private partsWanted: (parts: number) => void = () => {};
  /** Requests that began later than they could have without a limit. */
  private delayed = 0;
  /** Requests that began since {@link takeWanted} looked last, and when that was. */
  private begun = 0;
  private lookedMs: number;
  /** When a request last waited for a rate and for nothing else, and when for the shared one. */
  private heldBackMs = Number.NEGATIVE_INFINITY;
  private lackedPartMs = Number.NEGATIVE_INFINITY;
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
    this.shared = predecessor?.shared;
    this.lookedMs = clock.now();
  }

  /** No limit holds. */
  get isOff(): boolean {
    return this.own === undefined && this.shared === undefined;
  }

  /** How many requests may begin now. */
  get room(): number {
    const { own, shared } = this;
    const nowMs = this.clock.now();
    const ofOwn = own === undefined ? Number.POSITIVE_INFINITY : own.room(nowMs);
    if (shared === undefined) {
      return ofOwn;
    }
    return nowMs < shared.untilMs ? Math.min(ofOwn, shared.limit.room(nowMs)) : 0;
  }

  /** Other settings. */
  follow(rate: RateSettings | undefined): void {
    if (rate === undefined) {
      this.own = undefined;
    } else if (this.own === undefined) {
      this.own = new RateLimit(rate);
    } else {
      this.own.change(rate, 1, this.clock.now());
    }
    this.stop();
  }

  /** Gateways share a rate from now on, or none any more. This one's part is nothing until {@link grant}. */
  share(rate: RateSettings | undefined, partsWanted: (parts: number) => void): void {
    this.partsWanted = partsWanted;
    if (rate === undefined) {
      this.shared = undefined;
    } else if (this.shared === undefined) {
      this.shared = { limit: new RateLimit(rate), rate, part: 0, untilMs: Number.POSITIVE_INFINITY };
    } else {
      this.shared.rate = rate;
    }
    this.grant(this.shared?.part ?? 0, this.shared?.untilMs ?? 0);
  }

  /** So much of the shared rate is this gateway's from now on, and nothing from `untilMs` on. */
  grant(part: number, untilMs: number): void {
    if (this.shared !== undefined) {
      this.shared.part = part;
      this.shared.untilMs = untilMs;
      this.shared.limit.change(this.shared.rate, part, this.clock.now());
    }
    this.stop();
  }

  /** How many parts of the shared rate could be used, by what began since the last call. */
  takeWanted(): number {
    const { shared, begun, lookedMs } = this;
    const nowMs = this.clock.now();
    this.begun = 0;
    this.lookedMs = nowMs;
    if (shared === undefined || this.lackedPartMs >= lookedMs) {
      return RATE_PARTS;
    }
    const used = (begun * shared.rate.intervalMs) / Math.max(1, nowMs - lookedMs);
    return Math.min(RATE_PARTS, LEAST_WANTED + Math.ceil(HEADROOM * used * RATE_PARTS));
  }

  /** A request begins. */
  begin(task: Task): void {
    const { own, shared } = this;
    if (own === undefined && shared === undefined) {
      return;
    }
    const nowMs = this.clock.now();
    own?.take(nowMs);
    shared?.limit.take(nowMs);
    this.begun++;
    if (task.enqueuedMs <= this.heldBackMs) {
      this.delayed++;
    }
  }

  /** Requests wait, and none may begin now: the pool is woken when one may. */
  holdBack(): void {
    const nowMs = this.clock.now();
    const { own, shared } = this;
    const isOver = shared !== undefined && nowMs >= shared.untilMs;
    const sharedWaitMs = isOver ? Number.POSITIVE_INFINITY : (shared?.limit.waitMs(nowMs) ?? 0);
    this.heldBackMs = nowMs;
    if (sharedWaitMs > 0) {
      this.lackedPartMs = nowMs;
      this.partsWanted(RATE_PARTS);
    }
    const waitMs = Math.max(own?.waitMs(nowMs) ?? 0, sharedWaitMs);
    if (this.stopTimer !== undefined || waitMs === Number.POSITIVE_INFINITY) {
      return;
    }
    this.stopTimer = this.clock.after(Math.max(1, Math.ceil(waitMs)), () => {
      this.stopTimer = undefined;
      this.wake();
    });
  }

  /** Whether a request waits for a rate, and not for the host. */
  holdsBack(task: Task): boolean {
    return task.queue !== undefined && task.enqueuedMs <= this.heldBackMs;
  }

  stats(queued: number): RateStats | undefined {
    const { own, shared, delayed } = this;
    const limits = [own, shared?.limit].filter((limit) => limit !== undefined);
    if (limits.length === 0) {
      return undefined;
    }
    const perSecond = Math.min(...limits.map((limit) => limit.perSecond));
    const burst = Math.min(...limits.map((limit) => limit.burst));
    const part = shared === undefined ? {} : { part: shared.part };
    return { perSecond, burst, ...part, waiting: this.room > 0 ? 0 : queued, delayed };
  }

  /** Nobody has to be woken any more. */
  stop(): void {
    this.stopTimer?.();
    this.stopTimer = undefined;
  }
}
