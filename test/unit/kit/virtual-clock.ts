/** A clock that stands still until a test moves it. */
import type { Clock } from "../../../src/timer-wheel.js";

export class VirtualClock implements Clock {
  private nowMs = 1_000;
  private timers: { dueMs: number; callback: () => void }[] = [];

  now(): number {
    return this.nowMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { dueMs: this.nowMs + ms, callback };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  /** Timers that wait. */
  get pending(): number {
    return this.timers.length;
  }

  /** Lets `ms` pass; whatever falls due meanwhile is called in its order and at its time. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const next = this.timers.filter(({ dueMs }) => dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) {
        break;
      }
      this.timers = this.timers.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      next.callback();
    }
    this.nowMs = endMs;
  }
}
