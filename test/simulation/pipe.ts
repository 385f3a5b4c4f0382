/** One direction of a simulated connection: octets in order, cut into segments, late, and perhaps never all of them. */
import type { Random } from "./random.js";
import type { VirtualTime } from "./virtual-time.js";

/** Nothing is faster. A close always takes this long, a new connection at least twice: so a server sees the old one go first. */
export const LEAST_DELAY_MS = 0.5;

/** What is sent at once and is longer than that goes in longer segments: a run would be nothing else. */
const LONG_OCTETS = 2_000;

/** How one connection carries its octets. */
export interface PipeShape {
  readonly segments: "whole" | "random" | "octets";
  readonly mostDelayMs: number;
}

export interface PipeEnd {
  arrived(octets: Uint8Array): void;
  ended(): void;
  /** The last octet before the cut has arrived. */
  cut(): void;
}

export class Pipe {
  /** Sent and not arrived. */
  inFlightOctets = 0;
  private readonly segments: (Uint8Array | "end")[] = [];
  private lastDueMs = 0;
  private arrivedOctets = 0;
  private isClosed = false;

  constructor(
    private readonly time: VirtualTime,
    private readonly random: Random,
    private readonly shape: PipeShape,
    /** Where it is cut; `Infinity` for nowhere. */
    private readonly cutAtOctet: number,
    private readonly end: PipeEnd,
  ) {}

  send(octets: Uint8Array): void {
    if (this.isClosed || octets.length === 0) {
      return;
    }
    this.inFlightOctets += octets.length;
    for (let start = 0; start < octets.length; ) {
      const length = Math.min(this.segmentOctets(octets.length), octets.length - start);
      this.carry(octets.subarray(start, start + length));
      start += length;
    }
  }

  /** Nothing follows. */
  finish(): void {
    if (!this.isClosed) {
      this.carry("end");
    }
  }

  /** What has not arrived is lost; where `isKept`, it arrives now. */
  close(isKept: boolean): void {
    if (this.isClosed) {
      return;
    }
    while (isKept && this.segments.length > 0) {
      this.deliver();
    }
    this.isClosed = true;
    this.inFlightOctets = 0;
  }

  private segmentOctets(sentOctets: number): number {
    if (this.shape.segments === "whole") {
      return Number.POSITIVE_INFINITY;
    }
    const octets = this.shape.segments === "octets" ? 1 : this.random.between(1, this.random.pick([3, 20, 200]));
    return sentOctets < LONG_OCTETS ? octets : octets * 100;
  }

  private carry(segment: Uint8Array | "end"): void {
    const delayMs = this.random.skewed(LEAST_DELAY_MS, this.shape.mostDelayMs);
    this.lastDueMs = Math.max(this.lastDueMs, this.time.nowMs + delayMs);
    this.segments.push(segment);
    this.time.after(this.lastDueMs - this.time.nowMs, () => this.deliver());
  }

  private deliver(): void {
    const segment = this.segments.shift();
    if (this.isClosed || segment === undefined) {
      return;
    }
    if (segment === "end") {
      this.end.ended();
      return;
    }
    this.inFlightOctets -= segment.length;
    const left = this.cutAtOctet - this.arrivedOctets;
    this.arrivedOctets += segment.length;
    if (segment.length < left) {
      this.end.arrived(segment);
      return;
    }
    this.isClosed = true;
    if (left > 0) {
      this.end.arrived(segment.subarray(0, left));
    }
    this.end.cut();
  }
}
