/** When requests end without an answer: their deadlines, and the signals that give them up. Serves mailbox.ts, which decides what that means. */
import type { RequestOptions } from "../api.js";
import { Timer, type TimerWheel } from "../timer-wheel.js";
import { AbortWatch } from "./abort-watch.js";
import type { Slot } from "./slot.js";

/** What is told of a slot. */
export interface LimitedSlots {
  /** Its time is over. */
  expired(slot: Slot): void;
  aborted(slot: Slot, reason: unknown): void;
}

export class SlotLimits {
  private readonly aborts: AbortWatch<Slot>;

  constructor(
    private readonly wheel: TimerWheel,
    private readonly slots: LimitedSlots,
  ) {
    this.aborts = new AbortWatch((slot, signal) => slots.aborted(slot, signal.reason));
  }

  /** What the caller allows. */
  set(slot: Slot, { timeoutMs, signal }: RequestOptions): void {
    if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
      slot.dueMs = this.wheel.now() + timeoutMs;
      this.expireAfter(slot, timeoutMs);
    }
    if (signal !== undefined) {
      slot.signal = signal;
      this.aborts.add(signal, slot);
    }
  }

  expireAfter(slot: Slot, ms: number): void {
    slot.timer ??= new Timer(() => this.slots.expired(slot));
    this.wheel.set(slot.timer, ms);
  }

  /** What is left of its time; `Infinity` where it has no deadline. */
  leftMs(slot: Slot): number {
    return slot.dueMs === Number.POSITIVE_INFINITY ? slot.dueMs : Math.max(0, Math.ceil(slot.dueMs - this.wheel.now()));
  }

  clear(slot: Slot): void {
    const { timer, signal } = slot;
    if (timer !== undefined && timer.dueMs !== Number.POSITIVE_INFINITY) {
      this.wheel.clear(timer);
    }
    if (signal !== undefined) {
      this.aborts.remove(signal, slot);
    }
  }
}
