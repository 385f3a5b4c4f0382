/** What the operator's model reads from a host's counters, and how it reads it. Serves history.ts and monitor.ts. */
import { DURATION_BOUNDS_MS } from "../messages/host-stats.js";
import type { DurationHistogram, HostStats } from "../stats.js";

/** Counted: what happened in a span of time. */
export const FLOWS = ["messages", "lookups", "cached", "failed", "uncertain"] as const;
/** Read: what is so at the time. */
export const GAUGES = ["queued", "inFlight", "opening", "idle", "busy", "closing"] as const;
/** Of the time from a request's first command on a connection to its verdict. */
export const PERCENTILES = ["p50Ms", "p99Ms"] as const;

export type Flow = (typeof FLOWS)[number];
export type Gauge = (typeof GAUGES)[number];
/** A line of a chart. */
export type Measure = Flow | Gauge | (typeof PERCENTILES)[number];

const BUCKETS = DURATION_BOUNDS_MS.length + 1;
/** Times of exchanges with the host, by what was asked. */
const EXCHANGES = ["relay", "rcpt", "vrfy", "expn", "auth"] as const;

/** The counts of a host since its worker was started, in the order of {@link FLOWS}. `cached`: answered without the host. */
export function flowsOf({ relays, lookups }: HostStats): number[] {
  const { cached, shared, remote, failed } = lookups;
  return [relays.settled, cached + shared + remote + failed, cached + shared, relays.failed + failed, relays.uncertain];
}

/** In the order of {@link GAUGES}. */
export function gaugesOf({ queued, inFlight, connections }: HostStats): number[] {
  const { opening, idle, busy, closing } = connections;
  return [queued, inFlight, opening, idle, busy, closing];
}

/** How many exchanges of all kinds fell into each bucket. */
export function exchangesOf({ durations }: HostStats): number[] {
  const sums = new Array<number>(BUCKETS).fill(0);
  for (const kind of EXCHANGES) {
    addInto(sums, durations[kind].counts);
  }
  return sums;
}

/** The same of lookups alone. */
export function lookupExchangesOf({ durations }: HostStats): number[] {
  const sums = new Array<number>(BUCKETS).fill(0);
  for (const kind of EXCHANGES) {
    if (kind !== "relay") {
      addInto(sums, durations[kind].counts);
    }
  }
  return sums;
}

function addInto(sums: number[], counts: DurationHistogram["counts"]): void {
  for (let at = 0; at < BUCKETS; at++) {
    sums[at]! += counts[at] ?? 0;
  }
}

/** What was added since. A replaced worker counts from zero: then all of it was. */
export function increase(now: readonly number[], before: readonly number[]): number[] {
  const isAnew = now.some((count, at) => count < (before[at] ?? 0));
  return isAnew ? [...now] : now.map((count, at) => count - (before[at] ?? 0));
}

/** The percentile of durations in buckets, in milliseconds: spread evenly within a bucket. NaN: there are none. */
export function percentile(counts: readonly number[], percent: number): number {
  let total = 0;
  for (const count of counts) {
    total += count;
  }
  if (total === 0) {
    return Number.NaN;
  }
  let rest = (total * percent) / 100;
  for (const [at, count] of counts.entries()) {
    if (count === 0 || rest > count) {
      rest -= count;
      continue;
    }
    const from = at === 0 ? 0 : DURATION_BOUNDS_MS[at - 1]!;
    // The last bucket has no end; its beginning is what is certain.
    const to = DURATION_BOUNDS_MS[at] ?? from;
    return from + ((to - from) * rest) / count;
  }
  return DURATION_BOUNDS_MS.at(-1)!;
}
