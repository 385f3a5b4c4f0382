/**
 * How many connections a host's worker may have where several gateways share them, and how many it could use: the contract between
 * src/cluster/, which asks Redis, and workers/pool/, which knows no Redis.
 */

/**
 * Why a worker may have its places. `lease`: they were granted. `share`, `local`: Redis is lost, and `cluster.on-loss` says so.
 * `refused`: Redis is lost, and no new connection is opened.
 */
export type PlaceBasis = "lease" | "share" | "local" | "refused";

/** What a worker may do at one host. */
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
