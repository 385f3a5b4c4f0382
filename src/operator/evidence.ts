/** What the diagnosis looks at: plain values, so that each cause is a line of a table and its test. Gathered by monitor.ts, read by causes.ts. */
import type { HostSettings } from "../config/settings.js";
import type { AddressStats, ClusterStats, HostStats } from "../stats.js";
import type { HostEvent, HostFailure } from "./report.js";

/** Times of one phase in the last minute or so. */
export interface PhaseTimes {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The phases of a request that have times of their own. */
export const PHASES = ["queue", "connect", "relay", "lookup"] as const;
export type Phase = (typeof PHASES)[number];

/** What is known of a host at one time. */
export interface Evidence {
  readonly nowMs: number;
  readonly settings: HostSettings;
  readonly stats: HostStats;
  /** With a `[cluster]`. */
  readonly cluster: ClusterStats | undefined;
  /** The last failure to connect. */
  readonly failure: HostFailure | undefined;
  /** When a connection last came to be ready, as far as somebody looked; milliseconds since the epoch. */
  readonly readyMs: number | undefined;
  /** Since when requests are with the host and none of them was settled. */
  readonly silentSinceMs: number | undefined;
  readonly phases: Readonly<Partial<Record<Phase, PhaseTimes>>>;
  /** Requests a second, over the last ten: settled, and how fast the queue grows. */
  readonly settledRate: number;
  readonly queueGrowth: number;
  /** Oldest first. */
  readonly events: readonly HostEvent[];
}

/** How long ago a failure may be and still tell of now. */
export const RECENT_MS = 60_000;

/** Connections that stand. */
export function standing({ stats }: Evidence): number {
  return stats.connections.idle + stats.connections.busy;
}

/** What keeps the host from being used now: the last failure to connect, unless a connection was made after it. */
export function presentFailure(evidence: Evidence): HostFailure | undefined {
  const { failure, stats, nowMs, readyMs } = evidence;
  if (failure === undefined) {
    return undefined;
  }
  if ((readyMs !== undefined && readyMs > failure.atMs) || addressesDown(evidence).length > 0) {
    return undefined;
  }
  if (stats.circuit !== "closed") {
    return failure;
  }
  return standing(evidence) === 0 && nowMs - failure.atMs < RECENT_MS ? failure : undefined;
}

/** Those of several addresses that are left alone while others serve: none where none serves, as then the whole host is down. */
export function addressesDown({ stats: { addresses = [], circuit } }: Evidence): AddressStats[] {
  const down = addresses.filter(({ state }) => state !== "up");
  return circuit === "closed" && down.length < addresses.length ? down : [];
}

/** A failure of the last minute, whether or not other connections stand. */
export function recentFailure({ failure, nowMs }: Evidence): HostFailure | undefined {
  return failure !== undefined && nowMs - failure.atMs < RECENT_MS ? failure : undefined;
}

/** Events of a name in the last so many milliseconds. */
export function recentEvents({ events, nowMs }: Evidence, name: string, withinMs: number): HostEvent[] {
  return events.filter(({ event, atMs }) => event === name && nowMs - atMs < withinMs);
}
