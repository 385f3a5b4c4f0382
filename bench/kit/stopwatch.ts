/** Measures a run inside a contender's process: a warm-up, then a stretch in which everything that ends is counted. */
import type { Measurement } from "./job.js";

/** Latencies that are kept; past that, every other one is. */
const MAX_SAMPLES = 1 << 18;

/** Counts what ends between {@link start} and {@link stop}. */
export class Stopwatch {
  done = 0;
  failed = 0;
  #isRunning = false;
  #samples = new Float64Array(MAX_SAMPLES);
  #sampleCount = 0;
  #stride = 1;
  #startedMs = 0;
  #seconds = 0;
  #cpu = process.cpuUsage();

  start(): void {
    this.#isRunning = true;
    this.#cpu = process.cpuUsage();
    this.#startedMs = performance.now();
  }

  stop(): void {
    this.#seconds = (performance.now() - this.#startedMs) / 1000;
    this.#cpu = process.cpuUsage(this.#cpu);
    this.#isRunning = false;
  }

  /** One is done, begun at `sinceMs`. */
  count(sinceMs: number): void {
    if (!this.#isRunning) {
      return;
    }
    if (this.done++ % this.#stride !== 0) {
      return;
    }
    this.#samples[this.#sampleCount++] = performance.now() - sinceMs;
    if (this.#sampleCount < MAX_SAMPLES) {
      return;
    }
    for (let i = 0; i < MAX_SAMPLES / 2; i++) {
      this.#samples[i] = this.#samples[2 * i]!;
    }
    this.#sampleCount /= 2;
    this.#stride *= 2;
  }

  fail(): void {
    if (this.#isRunning) {
      this.failed++;
    }
  }

  measurement(): Measurement {
    const samples = this.#samples.subarray(0, this.#sampleCount).sort();
    const at = (fraction: number) => (samples[Math.floor(samples.length * fraction)] ?? Number.NaN) * 1000;
    return {
      done: this.done,
      failed: this.failed,
      seconds: this.#seconds,
      cpuMicros: this.#cpu.user + this.#cpu.system,
      p50Micros: at(0.5),
      p99Micros: at(0.99),
      rssOctets: process.resourceUsage().maxRSS * 1024,
    };
  }

  /** A warm-up of half the time, for connections and the compiler; then start and stop. */
  async run(seconds: number): Promise<void> {
    await pause(seconds * 500);
    this.start();
    await pause(seconds * 1000);
    this.stop();
  }
}

/** `callers` loops, each of which begins the next when one has ended, until the time is up; all have ended when it resolves. */
export async function closedLoop(
  callers: number,
  seconds: number,
  one: (caller: number) => Promise<unknown>,
): Promise<Measurement> {
  const watch = new Stopwatch();
  let isOver = false;
  let firstError: unknown;
  const loops = Array.from({ length: callers }, async (_, caller) => {
    while (!isOver) {
      const sinceMs = performance.now();
      try {
        await one(caller);
        watch.count(sinceMs);
      } catch (error) {
        firstError ??= error;
        watch.fail();
        // Otherwise a contender that fails at once would never let the clock tick.
        await pause(1);
      }
    }
  });
  await watch.run(seconds);
  isOver = true;
  await Promise.all(loops);
  if (watch.done === 0 && firstError !== undefined) {
    throw firstError;
  }
  return watch.measurement();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
