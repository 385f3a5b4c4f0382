/**
 * Notices a worker that hangs: it has work to do and has finished no batch for too long. Used by supervisor.ts.
 * The worker counts finished batches in shared memory. So a main thread that is slow itself does not take the worker for hung, and an
 * idle worker costs no timer.
 */
import { Timer, type TimerWheel } from "../timer-wheel.js";
import type { Mailbox } from "./mailbox.js";

const CHECKS_PER_LIMIT = 4;

export class Heartbeat {
  private readonly timer = new Timer(() => this.check());
  private readonly intervalMs: number;
  private received = 0;
  private silentMs = 0;
  private checkedMs = 0;

  /**
   * @param owes whether any request or call waits for the worker
   * @param silent called when the worker has given no sign of life for `limitMs`
   */
  constructor(
    private readonly wheel: TimerWheel,
    private readonly limitMs: number,
    private readonly mailbox: Pick<Mailbox, "cells" | "posted" | "probe">,
    private readonly owes: () => boolean,
    private readonly silent: () => void,
  ) {
    this.intervalMs = limitMs / CHECKS_PER_LIMIT;
  }

  /** The worker owes something from now on. */
  readonly wake = (): void => {
    if (this.timer.dueMs !== Number.POSITIVE_INFINITY) {
      return;
    }
    this.received = this.mailbox.cells.received();
    this.silentMs = 0;
    this.arm();
  };

  stop(): void {
    this.wheel.clear(this.timer);
  }

  private arm(): void {
    this.checkedMs = this.wheel.now();
    this.wheel.set(this.timer, this.intervalMs);
  }

  private check(): void {
    if (!this.owes()) {
      return;
    }
    const received = this.mailbox.cells.received();
    const isIdle = received === this.mailbox.posted;
    if (isIdle || received !== this.received) {
      this.silentMs = 0;
    }
    // After a pause of the whole machine only a little of it counts.
    else {
      this.silentMs += Math.min(this.wheel.now() - this.checkedMs, 2 * this.intervalMs);
    }
    this.received = received;
    if (this.silentMs >= this.limitMs) {
      this.silent();
      return;
    }
    this.arm();
    if (isIdle) {
      this.mailbox.probe();
    }
  }
}
