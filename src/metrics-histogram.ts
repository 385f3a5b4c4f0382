/** A histogram for Prometheus of what the workers have counted in buckets already. Serves metrics.ts. */
import { Histogram } from "prom-client";
import { DURATION_BOUNDS_MS } from "./messages/host-stats.js";
import type { DurationHistogram, RuntimeStats } from "./stats.js";

export type LabelledDurations = readonly [labels: Readonly<Record<string, string>>, of: DurationHistogram];
export type DurationsOfAll = (stats: RuntimeStats) => readonly LabelledDurations[];

/** A histogram whose buckets were filled in the workers. */
export class DurationMetric extends Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #read: () => Promise<RuntimeStats>;
  readonly #of: DurationsOfAll;

  constructor(
    name: string,
    help: string,
    labels: readonly string[],
    read: () => Promise<RuntimeStats>,
    of: DurationsOfAll,
  ) {
    super({
      name: `relaypost_${name}`,
      help,
      labelNames: labels,
      buckets: DURATION_BOUNDS_MS.map((ms) => ms / 1000),
      registers: [],
    });
    this.#name = `relaypost_${name}`;
    this.#help = help;
    this.#read = read;
    this.#of = of;
  }

  override async get() {
    const values: Awaited<ReturnType<Histogram["get"]>>["values"] = [];
    for (const [labels, durations] of this.#of(await this.#read())) {
      this.#push(values, labels, durations);
    }
    const [name, help] = [this.#name, this.#help];
    return { name, help, type: "histogram" as never, aggregator: "sum" as const, values, collect() {} };
  }

  /** What a registry asks for its text, past `get()`. */
  getForPromString() {
    return this.get();
  }

  #push(values: unknown[], labels: Readonly<Record<string, string>>, { counts, sumMs }: DurationHistogram): void {
    let total = 0;
    for (const [at, count] of counts.entries()) {
      total += count;
      const bound = DURATION_BOUNDS_MS[at];
      const le = bound === undefined ? "+Inf" : bound / 1000;
      values.push({ metricName: `${this.#name}_bucket`, labels: { ...labels, le }, value: total });
    }
    values.push({ metricName: `${this.#name}_sum`, labels, value: sumMs / 1000 });
    values.push({ metricName: `${this.#name}_count`, labels, value: total });
  }
}
