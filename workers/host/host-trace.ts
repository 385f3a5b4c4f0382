/** The trace of a host's wire that an operator asked for, one at a time. It ends by itself when nobody fetches it any more. Serves actor.ts. */
import type { TraceOrder, TracePart } from "../../src/messages/operating.js";
import { Timer, type TimerWheel } from "../../src/timer-wheel.js";
import type { WireTap } from "../wire/wire-tap.js";
import { WireTrace } from "../wire/wire-trace.js";

/** How often it is looked whether somebody is still there: what nobody fetches costs every connection of the host nevertheless. */
const LOOK_MS = 5_000;

export class HostTrace {
  private trace: WireTrace | undefined;
  private readonly timer = new Timer(() => this.look());

  /** @param now milliseconds since the epoch, for the lines */
  constructor(
    private readonly tap: WireTap,
    private readonly wheel: TimerWheel,
    private readonly now: () => number = Date.now,
  ) {}

  /** In place of the one before. */
  start(order: TraceOrder): void {
    this.trace = new WireTrace(order, this.now);
    this.tap.listener = this.trace;
    this.wheel.clear(this.timer);
    this.wheel.set(this.timer, LOOK_MS);
  }

  /** What was seen since it was asked last. */
  fetch(): TracePart {
    const part = this.trace?.fetch() ?? { lines: [], isOver: true };
    if (part.isOver) {
      this.end();
    }
    return part;
  }

  private look(): void {
    if (this.trace?.isAbandoned === true) {
      this.end();
    } else {
      this.wheel.set(this.timer, LOOK_MS);
    }
  }

  private end(): void {
    this.trace = undefined;
    this.tap.listener = undefined;
    this.wheel.clear(this.timer);
  }
}
