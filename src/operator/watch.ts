/** One host under observation: its history, and what follows from two looks at its counters. Kept by monitor.ts. */
import type { HostSettings } from "../config/settings.js";
import type { ClusterStats, HostStats } from "../stats.js";
import { diagnose } from "./diagnosis.js";
import type { Evidence, Phase, PhaseTimes } from "./evidence.js";
import { History } from "./history.js";
import { exchangesOf, flowsOf, gaugesOf, increase, lookupExchangesOf, percentile } from "./measures.js";
import type { HostEvent, HostFailure, HostReport } from "./report.js";

/** Times of phases are those of the last one to two such spans. */
const PHASE_SPAN_MS = 30_000;
/** Rates, and the growth of the queue, are told over so many seconds. */
const RATE_SECONDS = 10;

/** What was told of a host beside its counters. */
export interface Told {
  readonly settings: HostSettings;
  readonly cluster: ClusterStats | undefined;
  readonly failure: HostFailure | undefined;
  readonly events: readonly HostEvent[];
}

type PhaseCounts = Readonly<Record<Phase, readonly number[]>>;

export class Watch {
  readonly history = new History();
  private stats: HostStats;
  private atMs: number;
  private flows: readonly number[];
  private exchanges: readonly number[];
  private readonly trail: { readonly atMs: number; readonly queued: number }[] = [];
  private phases: { readonly sinceMs: number; readonly older: PhaseCounts; readonly newer: PhaseCounts };
  private ready: number;
  private readyMs: number | undefined;
  private silentSinceMs: number | undefined;

  constructor(stats: HostStats, atMs: number) {
    this.stats = stats;
    this.atMs = atMs;
    this.flows = flowsOf(stats);
    this.exchanges = exchangesOf(stats);
    this.ready = readyOf(stats);
    const counts = phaseCountsOf(stats);
    this.phases = { sinceMs: atMs, older: counts, newer: counts };
    this.silentSinceMs = stats.inFlight > 0 ? atMs : undefined;
  }

  /** Takes the counters as they are now. */
  look(stats: HostStats, atMs: number): void {
    const elapsedMs = atMs - this.atMs;
    if (elapsedMs <= 0) {
      return;
    }
    const [flows, exchanges] = [flowsOf(stats), exchangesOf(stats)];
    const added = increase(flows, this.flows);
    this.history.add({
      atMs,
      elapsedMs,
      flows: added,
      gauges: gaugesOf(stats),
      exchanges: increase(exchanges, this.exchanges),
    });
    const ready = readyOf(stats);
    if (ready > this.ready) {
      this.readyMs = atMs;
    }
    const [messages = 0, lookups = 0, cached = 0] = added;
    // An answer from the cache is no sign of the host.
    if (stats.inFlight === 0 || messages + lookups - cached > 0) {
      this.silentSinceMs = undefined;
    }
    if (stats.inFlight > 0) {
      this.silentSinceMs ??= atMs;
    }
    this.trail.push({ atMs, queued: stats.queued });
    while (atMs - this.trail[0]!.atMs > RATE_SECONDS * 1000) {
      this.trail.shift();
    }
    if (atMs - this.phases.sinceMs > PHASE_SPAN_MS) {
      this.phases = { sinceMs: atMs, older: this.phases.newer, newer: phaseCountsOf(stats) };
    }
    [this.stats, this.atMs, this.flows, this.exchanges, this.ready] = [stats, atMs, flows, exchanges, ready];
  }

  evidence({ settings, cluster, failure, events }: Told): Evidence {
    const { seconds } = this.history;
    return {
      nowMs: this.atMs,
      settings,
      stats: this.stats,
      cluster,
      failure,
      events,
      readyMs: this.readyMs,
      silentSinceMs: this.silentSinceMs,
      phases: this.phaseTimes(),
      settledRate: seconds.rate("messages", RATE_SECONDS) + seconds.rate("lookups", RATE_SECONDS),
      queueGrowth: this.queueGrowth,
    };
  }

  report(told: Told): HostReport {
    const { stats, history } = this;
    const { id, protocol, address, port, concurrency } = told.settings;
    const asked = history.minutes.total("lookups");
    const recent = increase(this.exchanges, sumOf(this.phases.older.relay, this.phases.older.lookup));
    return {
      id,
      protocol,
      address,
      port,
      concurrency,
      state: stats.state,
      diagnosis: diagnose(this.evidence(told)),
      messageRate: round(history.seconds.rate("messages", RATE_SECONDS)),
      lookupRate: round(history.seconds.rate("lookups", RATE_SECONDS)),
      queued: stats.queued,
      inFlight: stats.inFlight,
      connections: stats.connections,
      hitRatio: asked === 0 ? null : round(history.minutes.total("cached") / asked),
      p50Ms: numberOrNull(percentile(recent, 50)),
      p99Ms: numberOrNull(percentile(recent, 99)),
      uncertain: history.minutes.total("uncertain"),
    };
  }

  /** Requests a second by which the queue grew. */
  private get queueGrowth(): number {
    const [first, last] = [this.trail[0], this.trail.at(-1)];
    if (first === undefined || last === undefined || last.atMs === first.atMs) {
      return 0;
    }
    return ((last.queued - first.queued) * 1000) / (last.atMs - first.atMs);
  }

  private phaseTimes(): Partial<Record<Phase, PhaseTimes>> {
    const counts = phaseCountsOf(this.stats);
    const times: Partial<Record<Phase, PhaseTimes>> = {};
    for (const phase of Object.keys(counts) as Phase[]) {
      const recent = increase(counts[phase], this.phases.older[phase]);
      const count = recent.reduce((sum, each) => sum + each, 0);
      if (count > 0) {
        times[phase] = { count, p50Ms: percentile(recent, 50), p99Ms: percentile(recent, 99) };
      }
    }
    return times;
  }
}

function phaseCountsOf(stats: HostStats): PhaseCounts {
  const { queue, connect, relay } = stats.durations;
  return { queue: queue.counts, connect: connect.counts, relay: relay.counts, lookup: lookupExchangesOf(stats) };
}

function readyOf({ opened, connectFailures, connections }: HostStats): number {
  return opened - connectFailures - connections.opening;
}

function sumOf(some: readonly number[], others: readonly number[]): number[] {
  return some.map((count, at) => count + (others[at] ?? 0));
}

function numberOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : round(value);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
