/**
 * The last minute of a host by seconds and its last hour by minutes, in rings of plain numbers. Filled by monitor.ts once a second,
 * read by the charts and by the diagnosis. A slot that nobody sampled is no zero: it reads as `null`.
 */
import { FLOWS, type Flow, GAUGES, type Measure, PERCENTILES, percentile } from "./measures.js";

const SLOTS = 60;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/** What happened between two looks at a host. */
export interface Sample {
  readonly atMs: number;
  readonly elapsedMs: number;
  /** Added since the last look, in the order of FLOWS. */
  readonly flows: readonly number[];
  /** In the order of GAUGES. */
  readonly gauges: readonly number[];
  /** Exchanges since the last look, by bucket. */
  readonly exchanges: readonly number[];
}

/** Lines of a chart: equal steps that end at `endMs`. Flows are rates a second. */
export interface Lines {
  readonly endMs: number;
  readonly stepMs: number;
  readonly values: Readonly<Record<Measure, readonly (number | null)[]>>;
}

/** One host's life. */
export class History {
  readonly seconds = new Ring(SECOND_MS);
  readonly minutes = new Ring(MINUTE_MS);

  add(sample: Sample): void {
    this.seconds.add(sample);
    this.minutes.add(sample);
  }
}

/** Sixty slots of one length. */
export class Ring {
  private readonly flows = FLOWS.map(() => new Float64Array(SLOTS));
  private readonly gauges = GAUGES.map(() => new Float32Array(SLOTS));
  private readonly percentiles = PERCENTILES.map(() => new Float32Array(SLOTS));
  /** How much of each slot was looked at, in milliseconds. */
  private readonly covered = new Float64Array(SLOTS);
  private exchanges: number[] = [];
  private samples = 0;
  /** The slot in work, counted from the epoch. */
  private current = -1;

  constructor(readonly stepMs: number) {}

  add({ atMs, elapsedMs, flows, gauges, exchanges }: Sample): void {
    // A second's sample ends about when its second does: what it tells of lies before it.
    const slot = Math.floor((atMs - Math.min(elapsedMs, this.stepMs) / 2) / this.stepMs);
    if (slot > this.current) {
      this.turnTo(slot);
    }
    const at = this.current % SLOTS;
    this.covered[at]! += elapsedMs;
    this.samples++;
    flows.forEach((count, index) => {
      this.flows[index]![at]! += count;
    });
    gauges.forEach((value, index) => {
      const gauge = this.gauges[index]!;
      gauge[at] = gauge[at]! + (value - gauge[at]!) / this.samples;
    });
    exchanges.forEach((count, index) => {
      this.exchanges[index] = (this.exchanges[index] ?? 0) + count;
    });
    this.percentiles[0]![at] = percentile(this.exchanges, 50);
    this.percentiles[1]![at] = percentile(this.exchanges, 99);
  }

  /** How many were counted in the last `slots` slots, the one in work included. */
  total(flow: Flow, slots = SLOTS): number {
    const counts = this.flows[FLOWS.indexOf(flow)]!;
    return this.last(slots).reduce((sum, at) => sum + counts[at]!, 0);
  }

  /** How many a second, over the last slots. */
  rate(flow: Flow, slots: number): number {
    const coveredMs = this.last(slots).reduce((sum, at) => sum + this.covered[at]!, 0);
    return coveredMs === 0 ? 0 : (this.total(flow, slots) * 1000) / coveredMs;
  }

  /** Messages and lookups together, as rates a second. */
  requests(): (number | null)[] {
    const [messages, lookups] = [this.flows[FLOWS.indexOf("messages")]!, this.flows[FLOWS.indexOf("lookups")]!];
    return this.last(SLOTS).map((at) => {
      const coveredMs = this.covered[at]!;
      return coveredMs === 0 ? null : Math.round(((messages[at]! + lookups[at]!) * 100_000) / coveredMs) / 100;
    });
  }

  lines(): Lines {
    const slots = this.last(SLOTS);
    const read = (value: (at: number) => number) =>
      slots.map((at) => {
        const number = this.covered[at] === 0 ? Number.NaN : value(at);
        return Number.isNaN(number) ? null : Math.round(number * 100) / 100;
      });
    const values = {} as Record<Measure, (number | null)[]>;
    FLOWS.forEach((flow, index) => {
      values[flow] = read((at) => (this.flows[index]![at]! * 1000) / this.covered[at]!);
    });
    GAUGES.forEach((gauge, index) => {
      values[gauge] = read((at) => this.gauges[index]![at]!);
    });
    PERCENTILES.forEach((name, index) => {
      values[name] = read((at) => this.percentiles[index]![at]!);
    });
    return { endMs: (this.current + 1) * this.stepMs, stepMs: this.stepMs, values };
  }

  /** Places of the last slots, oldest first. */
  private last(slots: number): number[] {
    const first = this.current - Math.min(slots, SLOTS) + 1;
    return Array.from({ length: Math.min(slots, SLOTS) }, (_, index) => (((first + index) % SLOTS) + SLOTS) % SLOTS);
  }

  private turnTo(slot: number): void {
    for (let next = Math.max(this.current + 1, slot - SLOTS + 1); next <= slot; next++) {
      const at = next % SLOTS;
      this.covered[at] = 0;
      for (const counts of [...this.flows, ...this.gauges, ...this.percentiles]) {
        counts[at] = 0;
      }
    }
    this.current = slot;
    this.exchanges = [];
    this.samples = 0;
  }
}
