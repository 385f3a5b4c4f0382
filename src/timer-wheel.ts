/**
 * One coarse timer for a whole thread: deadlines of requests on the gateway's thread, time limits of connections on a worker's.
 * A hashed wheel (Varghese and Lauck): setting and clearing a timer is a list operation. The wheel sleeps until the next slot
 * that holds a timer, and has no timer of its own while it is empty.
 */

/** Where a thread's time comes from. A simulation gives its own. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** What to add for a time that is the same on every thread of the process. Missing: there is one thread. */
  readonly leadMs?: number;
  /** Calls back after about `ms`. The result cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** The real clock. Its timers never keep a process alive: the message ports do. */
export const systemClock: Clock = {
  now: () => performance.now(),
  leadMs: Number(process.hrtime.bigint()) / 1e6 - performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

const SLOTS = 512;

/** One time limit. Belongs to a {@link TimerWheel}; may be set again and again. */
export class Timer {
  /** When it fires, on the wheel's clock; `Infinity` while it is not set. */
  dueMs = Number.POSITIVE_INFINITY;
  /** @internal Neighbours in the wheel's slot; a timer that is in no slot has none. */
  next: Timer | undefined;
  /** @internal */
  previous: Timer | undefined;
  /** @internal The slot it sits in, -1 for none. */
  slot = -1;

  constructor(readonly fire: () => void) {}
}

/** Fires timers late by at most one tick, never early. */
export class TimerWheel {
  private readonly slots: (Timer | undefined)[] = new Array(SLOTS).fill(undefined);
  private count = 0;
  private hand = 0;
  /** The turn for which the clock is set; `Infinity` while it is not. */
  private wakesAt = Number.POSITIVE_INFINITY;
  private stopClock: (() => void) | undefined;
  private isTicking = false;

  constructor(
    readonly clock: Clock,
    private readonly tickMs = 50,
  ) {}

  now(): number {
    return this.clock.now();
  }

  /** Sets a timer, or moves it when it is set already. A later due time costs a number only: the slot is looked at when it comes round. */
  set(timer: Timer, afterMs: number): void {
    const dueMs = this.clock.now() + afterMs;
    const laterThanFiled = timer.slot !== -1 && dueMs >= timer.dueMs;
    timer.dueMs = dueMs;
    if (laterThanFiled) {
      return;
    }
    if (timer.slot !== -1) {
      this.unlink(timer);
    }
    if (afterMs !== Number.POSITIVE_INFINITY) {
      this.file(timer);
    }
  }

  clear(timer: Timer): void {
    timer.dueMs = Number.POSITIVE_INFINITY;
    if (timer.slot !== -1) {
      this.unlink(timer);
    }
  }

  private file(timer: Timer): void {
    if (this.count === 0) {
      this.hand = Math.floor(this.clock.now() / this.tickMs);
    }
    // The slot after the one in which it falls due, so that it has passed when the hand gets there; never one behind the hand.
    const turn = Math.max(Math.floor(timer.dueMs / this.tickMs) + 1, this.hand + 1);
    const slot = turn % SLOTS;
    const head = this.slots[slot];
    timer.slot = slot;
    timer.next = head;
    timer.previous = undefined;
    if (head !== undefined) {
      head.previous = timer;
    }
    this.slots[slot] = timer;
    this.count++;
    // More than a round ahead: the slot is looked at once a round.
    this.wakeAt(Math.min(turn, this.hand + SLOTS));
  }

  private wakeAt(turn: number): void {
    if (turn >= this.wakesAt || this.isTicking) {
      return;
    }
    this.stopClock?.();
    this.wakesAt = turn;
    this.stopClock = this.clock.after(Math.max(0, turn * this.tickMs - this.clock.now()), this.tick);
  }

  /** The clock is set for the next slot that holds a timer. */
  private sleep(): void {
    for (let turn = this.hand + 1; turn <= this.hand + SLOTS; turn++) {
      if (this.slots[turn % SLOTS] !== undefined) {
        return this.wakeAt(turn);
      }
    }
  }

  private unlink(timer: Timer): void {
    if (timer.previous === undefined) {
      this.slots[timer.slot] = timer.next;
    } else {
      timer.previous.next = timer.next;
    }
    if (timer.next !== undefined) {
      timer.next.previous = timer.previous;
    }
    timer.next = undefined;
    timer.previous = undefined;
    timer.slot = -1;
    this.count--;
  }

  private readonly tick = (): void => {
    const nowMs = this.clock.now();
    const until = Math.floor(nowMs / this.tickMs);
    // After a long sleep one whole round sees every slot.
    const from = Math.max(this.hand + 1, until - SLOTS + 1);
    this.hand = until;
    this.wakesAt = Number.POSITIVE_INFINITY;
    this.stopClock = undefined;
    this.isTicking = true;
    const due: Timer[] = [];
    for (let turn = from; turn <= until; turn++) {
      this.collect(turn % SLOTS, nowMs, due);
    }
    this.isTicking = false;
    // The clock is set before the callbacks run: one that throws must not stop the thread's time.
    if (this.count > 0) {
      this.sleep();
    }
    for (const timer of due) {
      if (timer.slot !== -1 || timer.dueMs > nowMs) {
        continue; // cleared or set again by an earlier callback
      }
      timer.dueMs = Number.POSITIVE_INFINITY;
      timer.fire();
    }
  };

  private collect(slot: number, nowMs: number, due: Timer[]): void {
    let timer = this.slots[slot];
    while (timer !== undefined) {
      const { next } = timer;
      if (timer.dueMs <= nowMs) {
        this.unlink(timer);
        due.push(timer);
      } else if ((Math.floor(timer.dueMs / this.tickMs) + 1) % SLOTS !== slot) {
        // Its due time was moved on while it sat here.
        this.unlink(timer);
        this.file(timer);
      }
      timer = next;
    }
  }
}
