/** The trace of a host's wire that an operator asked for, one at a time. It ends by itself when nobody fetches it any more. Serves actor.ts. */
import type { TraceOrder, TracePart } from "../../src/messages/operating.js";
import { Timer, type TimerWheel } from "../../src/timer-wheel.js";
import type { WireTap } from "../wire/wire-tap.js";
import { WireTrace } from "../wire/wire-trace.js";

/** So long after its end the last lines can be fetched. */
const LINGER_MS = 5_000;

export class HostTrace {
  private readonly limit = new Timer(() => this.end());

  constructor(
    private readonly tap: WireTap,
    private readonly wheel: TimerWheel,
  ) {}

  /** In place of the one before. */
  start(order: TraceOrder): void {
    this.tap.listener = new WireTrace(order, Date.now);
    this.wheel.clear(this.limit);
    this.wheel.set(this.limit, order.forMs + LINGER_MS);
  }

  /** What was seen since it was asked last. */
  fetch(): TracePart {
    const { listener } = this.tap;
    const part = listener instanceof WireTrace ? listener.fetch() : { lines: [], isOver: true };
    if (part.isOver) {
      this.end();
    }
    return part;
  }

  private end(): void {
    this.tap.listener = undefined;
    this.wheel.clear(this.limit);
  }
}
