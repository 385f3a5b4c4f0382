/** The counters of a host as they cross between the threads, all at zero: where workers/counters.ts begins, and what src/runtime/fleet.ts says of a host without a worker. */
import { LOOKUP_KINDS, type LookupKind } from "../lookup-kinds.js";
import type { DurationHistogram, HostStats, LookupCounts } from "../stats.js";

/** Upper bounds of the buckets of {@link DurationHistogram}, in milliseconds. The last bucket has none. */
export const DURATION_BOUNDS_MS: readonly number[] = [
  1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
];

export function noDurations(): DurationHistogram {
  return { counts: new Array(DURATION_BOUNDS_MS.length + 1).fill(0), sumMs: 0 };
}

/** Counts one more duration. Most are short, so the first bounds are looked at first. */
export function observe(durations: DurationHistogram, ms: number): void {
  const bounds = DURATION_BOUNDS_MS;
  let at = 0;
  while (at < bounds.length && ms > bounds[at]!) {
    at++;
  }
  durations.counts[at]!++;
  durations.sumMs += ms;
}

/** For every kind of request, and for what comes before it. */
export function newDurations(): HostStats["durations"] {
  const ofLookups = ofEachLookup(noDurations);
  return { queue: noDurations(), connect: noDurations(), relay: noDurations(), ...ofLookups };
}

/** For every kind of lookup. */
export function newLookupCounts(): Record<LookupKind, LookupCounts> {
  return ofEachLookup(() => ({ found: 0, notFound: 0, cachedFound: 0, cachedNotFound: 0, failed: 0 }));
}

function ofEachLookup<T>(make: () => T): Record<LookupKind, T> {
  return Object.fromEntries(LOOKUP_KINDS.map((kind) => [kind, make()])) as Record<LookupKind, T>;
}

/** A host that has done nothing yet. */
export function newHostStats({
  id,
  address,
  port,
  protocol,
}: Pick<HostStats, "id" | "address" | "port" | "protocol">): HostStats {
  return {
    id,
    address,
    port,
    protocol,
    state: "starting",
    since: 0,
    oldestQueuedMs: 0,
    circuit: "closed",
    connections: { opening: 0, idle: 0, busy: 0, closing: 0 },
    opened: 0,
    connectFailures: 0,
    guesses: 0,
    queued: 0,
    inFlight: 0,
    turnedAway: 0,
    failures: {},
    limits: { concurrency: 0, queue: 0 },
    relays: { settled: 0, failed: 0, delivered: 0, refused: 0, deferred: 0, uncertain: 0 },
    lookups: { cached: 0, shared: 0, remote: 0, failed: 0, cluster: 0 },
    kinds: newLookupCounts(),
    durations: newDurations(),
    cache: { positive: 0, negative: 0 },
    catchAll: { asked: 0, verified: 0, acceptsAll: 0 },
    harvest: { suspects: 0, late: 0, refused: 0 },
    learned: { found: 0, notFound: 0, contradicted: 0 },
    restarts: 0,
  };
}
