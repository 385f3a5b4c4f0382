/**
 * Whether a pool serves, and its one way to the end: what was accepted is served for a while, the rest settled, and every connection
 * closed in good order. Works for the pool.
 */
import type { Failure } from "../../src/errors.js";
import { Timer, type TimerWheel } from "../../src/timer-wheel.js";
import type { ConnectionBudget } from "./budget.js";
import type { HangWatch } from "./hang-watch.js";
import type { Pace } from "./pace.js";
import type { PooledConnection } from "./pooled-connection.js";
import type { Workload } from "./workload.js";

/**
 * ```
 * open ◄─► paused     requests wait, and connections are closed when they have nothing to do
 *   └─────────┴─► draining ─► closed     what waits is served still, where nobody had paused it; what comes is refused
 * ```
 */
export type PoolState = "open" | "paused" | "draining" | "closed";

export class PoolLife {
  state: PoolState = "open";
  /** What is told to whoever is not served any more. */
  endedWith: Failure = { code: "MAILBOX_CLOSED", message: "The remote host was closed." };
  private ending: Promise<void> | undefined;
  private ended: (() => void) | undefined;

  constructor(
    private readonly wheel: TimerWheel,
    private readonly budget: ConnectionBudget,
    private readonly hang: HangWatch,
    private readonly pace: Pace,
    private readonly login: Workload,
    private readonly service: Workload,
    /** Called when no connection will be opened any more. */
    private readonly stopOpening: () => void,
  ) {}

  /** Nobody is served any more. */
  get isOver(): boolean {
    return this.state === "closed";
  }

  /** All that hold a slot. */
  get connections(): PooledConnection[] {
    return [...this.login.connections.all, ...this.service.connections.all];
  }

  pause(): void {
    if (this.state !== "open") {
      return;
    }
    this.state = "paused";
    this.hang.stop();
    this.retireAll();
  }

  /** False: it was not paused. */
  resume(): boolean {
    if (this.state !== "paused") {
      return false;
    }
    this.state = "open";
    return true;
  }

  /** See `Pool.close`. A second call may shorten the drain. */
  close(drainMs: number, failure: Failure): Promise<void> {
    this.endedWith = failure;
    const limit = new Timer(() => this.abandon(failure));
    this.ending ??= new Promise((resolve) => {
      this.ended = () => {
        for (const timer of [limit, this.login.wakeUp, this.service.wakeUp]) {
          this.wheel.clear(timer);
        }
        this.pace.stop();
        this.stopOpening();
        this.budget.leave();
        resolve();
      };
    });
    if (this.state === "paused") {
      // Whoever paused it wants nothing to be sent.
      this.failQueues(failure);
    }
    if (this.state !== "closed") {
      this.state = "draining";
      this.hang.stop();
    }
    if (drainMs <= 0) {
      this.abandon(failure);
    } else {
      this.wheel.set(limit, drainMs);
    }
    this.retireIfDrained();
    return this.ending;
  }

  /** Connections finish what they have and take nothing more. */
  retireAll(): void {
    for (const connection of this.connections) {
      connection.retire();
      if (connection.state === "idle" || connection.state === "opening") {
        connection.quit();
      }
    }
  }

  /** Something was served, or a connection is gone: the end may be here. */
  settleDown(): void {
    if (this.state === "draining" || this.state === "closed") {
      this.retireIfDrained();
    }
  }

  private failQueues(failure: Failure): void {
    this.login.fail(failure);
    this.service.fail(failure);
  }

  private retireIfDrained(): void {
    if (this.login.queue.length + this.service.queue.length > 0) {
      return;
    }
    this.retireAll();
    if (this.budget.isDeserted) {
      this.ended?.();
    }
  }

  private abandon(failure: Failure): void {
    this.state = "closed";
    this.failQueues(failure);
    this.retireAll();
    for (const connection of this.connections) {
      if (connection.isWorking) {
        connection.abort(failure);
      }
    }
    this.retireIfDrained();
  }
}
