/** What the works have in common that serve one task: they settle it once. */
import type { Failure } from "../../../src/errors.js";
import type { Channel, Work } from "./channel.js";

export abstract class TaskWork<C extends Channel> implements Work {
  private settlement: "due" | "done" = "due";

  constructor(protected readonly channel: C) {}

  abstract lost(failure: Failure): void;

  protected get isSettled(): boolean {
    return this.settlement === "done";
  }

  /** Settles the task where it is not settled yet. */
  protected settle(tell: () => void): void {
    if (this.settlement === "done") {
      return;
    }
    this.settlement = "done";
    this.channel.settled();
    tell();
  }

  /** Settles the task; no reply to it is awaited any more. */
  protected conclude(tell: () => void): void {
    this.channel.finish(this);
    this.settle(tell);
  }

  /** Settles the task, for which nothing was sent. */
  protected leaveUnsent(tell: () => void): void {
    this.settlement = "done";
    this.channel.finish(this);
    this.channel.unsent();
    tell();
  }
}
