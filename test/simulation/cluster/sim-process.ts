/** The process of a simulated gateway: what happens in it happens in its order, later while it is stopped, and never once it is dead. */
import type { Clock } from "../../../src/timer-wheel.js";
import type { Random } from "../random.js";
import type { VirtualTime } from "../virtual-time.js";

export class SimProcess {
  state: "running" | "stopped" | "dead" = "running";
  resumedMs = Number.NEGATIVE_INFINITY;
  readonly clock: Clock;
  /** Events that came while the process was stopped. */
  private held: (() => void)[] = [];

  constructor(
    protected readonly time: VirtualTime,
    protected readonly random: Random,
  ) {
    this.clock = { now: () => time.nowMs, after: (ms, run) => time.after(ms, () => this.run(run)) };
  }

  /** Behind what was sent before on the same way. @returns when that is */
  inOrder(lastMs: number, mostMs: number, run: () => void): number {
    const { time, random } = this;
    const dueMs = Math.max(lastMs, time.nowMs + random.skewed(0.01, mostMs));
    time.after(dueMs - time.nowMs, () => this.run(run));
    return dueMs;
  }

  /** Runs an event of the process: at once, when it goes on, or never. */
  run(event: () => void): void {
    if (this.state === "running") {
      event();
    } else if (this.state === "stopped") {
      this.held.push(event);
    }
  }

  stop(): void {
    if (this.state === "running") {
      this.state = "stopped";
    }
  }

  resume(): void {
    if (this.state !== "stopped") {
      return;
    }
    this.state = "running";
    this.resumedMs = this.time.nowMs;
    for (const event of this.held.splice(0)) {
      event();
    }
  }

  kill(): void {
    this.state = "dead";
    this.held = [];
  }
}
