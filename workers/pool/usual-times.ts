/** How long a host usually takes, by kind of request: an average that follows the last dozen or so. Tells the log once that a host became slow. */
import type { RequestKind } from "../../src/api.js";
import type { HostLog } from "../../src/messages/host-log.js";

type Kind = "queue" | "connect" | RequestKind;

/** The weight of one more observation. */
const WEIGHT = 1 / 16;
/** An average above it is slow. Wrong passwords are answered late on purpose, and the queue is long for other reasons. */
const SLOW_MS: Readonly<Partial<Record<Kind, number>>> = {
  connect: 2_000,
  relay: 10_000,
  rcpt: 2_000,
  vrfy: 2_000,
  expn: 2_000,
};

export class UsualTimes {
  private readonly averages: Record<Kind, number> = {
    queue: 0,
    connect: 0,
    relay: 0,
    rcpt: 0,
    vrfy: 0,
    expn: 0,
    auth: 0,
  };
  private readonly slow = new Set<Kind>();

  constructor(private readonly log: HostLog) {}

  observe(kind: Kind, ms: number): void {
    const averageMs = this.averages[kind] + (ms - this.averages[kind]) * WEIGHT;
    this.averages[kind] = averageMs;
    const slowMs = SLOW_MS[kind];
    if (slowMs === undefined) {
      return;
    }
    if (averageMs > slowMs) {
      this.tell(kind, averageMs);
    } else if (this.slow.size > 0 && averageMs < slowMs / 2) {
      this.slow.delete(kind);
    }
  }

  /** Once, until it was quick again. */
  private tell(kind: Kind, averageMs: number): void {
    if (this.slow.has(kind)) {
      return;
    }
    this.slow.add(kind);
    const message = `The host became slow: ${kind} takes ${Math.round(averageMs)} ms on average.`;
    this.log.write("warn", "host-slow", message, { kind, averageMs: Math.round(averageMs) });
  }
}
