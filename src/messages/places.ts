/**
 * How many connections a host's worker may have where several gateways share them, and how many it could use: the contract between
 * src/cluster/, which asks Redis, and workers/pool/, which knows no Redis.
 */

/** What gateways share of a host, each by a lease of its own. */
export type SharedThing = "connections" | "rate";

/** The parts that a shared rate is leased in. */
export const RATE_PARTS = 1000;

const RATE_SUFFIX = ":rate";

/** The name of a lease, in Redis too. */
export function leaseId(hostId: string, of: SharedThing): string {
  return of === "rate" ? `${hostId}${RATE_SUFFIX}` : hostId;
}

/** The host of a lease, and what is leased. No host's id has a colon. */
export function splitLeaseId(id: string): { readonly hostId: string; readonly of: SharedThing } {
  return id.endsWith(RATE_SUFFIX)
    ? { hostId: id.slice(0, -RATE_SUFFIX.length), of: "rate" }
    : { hostId: id, of: "connections" };
}

/**
 * Why a worker may have its places. `lease`: they were granted. `share`, `local`: Redis is lost, and `cluster.on-loss` says so.
 * `refused`: Redis is lost, and no new connection is opened.
 */
export type PlaceBasis = "lease" | "share" | "local" | "refused";

/** What a worker may do at one host. Of a shared rate, places are {@link RATE_PARTS}. */
export interface PlaceGrant {
  /** Counted up for each host: the worker says with its demand which one it goes by. */
  readonly serial: number;
  /** Most connections. */
  readonly places: number;
  /** From then on there are none, on {@link processNow}. */
  readonly untilMs: number;
  readonly basis: PlaceBasis;
}

/** What a worker says of one host. */
export interface PlaceDemand {
  /** The grant that it goes by; 0 for none. */
  readonly serial: number;
  /** Connections that the host sees, those included that open or close. */
  readonly held: number;
  /** Connections that it could use now. */
  readonly want: number;
}

/** Monotonic milliseconds that all threads of a process agree on: each has a beginning of its own for `performance.now()`. */
export function processNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
