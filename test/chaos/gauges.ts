/** What a run measures about itself: the memory of the driver's process, and how late its event loop was, which nobody can settle a request in spite of. */
const SAMPLE_MS = 250;
const TICK_MS = 10;
/** Older lateness is forgotten. */
const KEPT_TICKS = 2_000;

export class Gauges implements Disposable {
  /** Resident set, in octets, by when. */
  readonly memory: { readonly atMs: number; readonly octets: number }[] = [];
  /** The latest tick of the whole run. */
  worstLagMs = 0;
  private readonly ticks: { readonly atMs: number; readonly lateMs: number }[] = [];
  private readonly timers: NodeJS.Timeout[];

  constructor() {
    let dueMs = performance.now() + TICK_MS;
    this.timers = [
      setInterval(() => this.memory.push({ atMs: performance.now(), octets: process.memoryUsage.rss() }), SAMPLE_MS),
      setInterval(() => {
        const atMs = performance.now();
        const lateMs = Math.max(0, atMs - dueMs);
        this.ticks.push({ atMs, lateMs });
        if (this.ticks.length > KEPT_TICKS) {
          this.ticks.splice(0, KEPT_TICKS / 2);
        }
        this.worstLagMs = Math.max(this.worstLagMs, lateMs);
        dueMs = atMs + TICK_MS;
      }, TICK_MS),
    ];
  }

  /** The latest tick between the two times. */
  lagBetween(fromMs: number, toMs: number): number {
    return this.ticks.reduce(
      (worst, { atMs, lateMs }) => (atMs >= fromMs && atMs - lateMs <= toMs ? Math.max(worst, lateMs) : worst),
      0,
    );
  }

  /** Median memory between the two times, in octets. */
  memoryBetween(fromMs: number, toMs: number): number {
    const samples = this.memory.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).map(({ octets }) => octets);
    return samples.sort((a, b) => a - b)[samples.length >> 1] ?? Number.NaN;
  }

  [Symbol.dispose](): void {
    for (const timer of this.timers) {
      clearInterval(timer);
    }
  }
}
