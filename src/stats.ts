/** What a gateway is told of its hosts in numbers: the shapes of `stats()` and `shadowReport()`. Types only, made where things are counted. */
import type { Protocol, Reply, RequestKind } from "./api.js";
import type { LookupKind } from "./lookup-kinds.js";

/** Settled lookups of one kind. Those that shared an answer are counted with it. */
export interface LookupCounts {
  /** Answered by the peer. */
  found: number;
  notFound: number;
  /** Answered from the positive and the negative cache. */
  cachedFound: number;
  cachedNotFound: number;
  /** Without an answer. */
  failed: number;
}

/** How long something took, in buckets up to 1, 2, 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5, 10, 30, 60 s, and longer. */
export interface DurationHistogram {
  /** How many fell into each bucket, and into none of those before it. */
  counts: number[];
  sumMs: number;
}

/** Why a host could not be reached. */
export interface LastFailure {
  /** An error code, such as `CONNECT_FAILED`. */
  code: string;
  message: string;
  /** What the host said, where it said something. */
  reply?: Reply;
  /** When it failed last, and when it first failed with this code, in milliseconds since the epoch. */
  at: number;
  since: number;
  /** How often it failed with this code in a row. */
  count: number;
}

/** Counters of one host, since its worker was started. */
export interface HostStats {
  id: string;
  address: string;
  port: number;
  protocol: Protocol;
  /**
   * `down`: connections to it fail, or it says nothing to anybody; requests are refused at once. `recovering`: the next connection finds
   * out whether it is back. `paused`: by an operator. `draining`: it was removed or closed. `failed`: its worker crashed too often. `starting`: its worker is not there yet. `idle`: it has none, since
   * nothing was asked of it, or not for `runtime.idle`.
   */
  state: "up" | "idle" | "starting" | "down" | "recovering" | "paused" | "draining" | "failed";
  /** Since when it is up, or is not, in milliseconds since the epoch. */
  since: number;
  /** While it is not up: when it is tried again, in milliseconds since the epoch. */
  retryAt?: number;
  /** The last failure to reach it since it was last down, in its own words. */
  lastFailure?: LastFailure;
  /** How long the oldest request that waits has waited, in milliseconds. 0: none waits. */
  oldestQueuedMs: number;
  /** `open`: the host could not be reached lately, requests are refused at once. `half-open`: one connection finds out. */
  circuit: "closed" | "open" | "half-open";
  /** Connections by what they do now. Their sum never exceeds `concurrency`. */
  connections: { opening: number; idle: number; busy: number; closing: number };
  /** Connections opened so far, and how many of those failed before they were ready. */
  opened: number;
  connectFailures: number;
  /** Wrong passwords answered late, since too many were wrong lately (`limits.guesses`). */
  guesses: number;
  /** Requests that wait for a connection, and requests on one. */
  queued: number;
  inFlight: number;
  /** Requests that were refused at once: too many wait, the worker has failed, or the host was removed or closed. */
  turnedAway: number;
  /** Requests that failed, by the code of their error, those that were refused at once among them. */
  failures: Readonly<Record<string, number>>;
  /** What its settings allow: connections (`concurrency`), and requests that wait (`limits.queue`). */
  limits: { concurrency: number; queue: number };
  /** Settled relays, and their recipients by status. */
  relays: { settled: number; failed: number; delivered: number; refused: number; deferred: number; uncertain: number };
  /** Settled lookups: answered from the cache, by joining one in flight, by the peer; those without an answer; and those answered by other gateways (`cluster.cache`). */
  lookups: { cached: number; shared: number; remote: number; failed: number; cluster: number };
  /** Settled lookups by kind. */
  kinds: Record<LookupKind, LookupCounts>;
  /**
   * Times. `queue`: in the queue. `connect`: from the start of a connection until it is ready. For each kind of request: from its first
   * command on a connection to its result.
   */
  durations: Record<"queue" | "connect" | RequestKind, DurationHistogram>;
  cache: { positive: number; negative: number };
  /** With several addresses (an array in `remote.<id>.address`): each of them, in the order of the configuration. */
  addresses?: AddressStats[];
  /** With `limits.rate` or `cluster.rate`. */
  rate?: RateStats;
  /**
   * What messages have taught the cache (`cache.learn`): recipients that exist and that do not, and cached answers that said otherwise
   * and were dropped.
   */
  learned: { found: number; notFound: number; contradicted: number };
  /** With requests that name a tenant: the hundred busiest, those first that asked for most. A tenant that became busy late is counted too high by what was counted for the one that it replaced. */
  tenants?: TenantStats[];
  /** With `lookups.harvest`: clients suspected now, and lookups of such that were held back, and refused. */
  harvest: { suspects: number; late: number; refused: number };
  /** With `lookups.catch-all = "detect"`: random recipients asked for, and domains of which the host knows its recipients, or accepts all. */
  catchAll: { asked: number; verified: number; acceptsAll: number };
  /** With `remote.<id>.cluster.concurrency`: the connections that gateways share. */
  places?: PlaceStats;
  /** With `remote.<id>.shadow`. */
  shadow?: ShadowStats;
  /** How often its worker was replaced. */
  restarts: number;
}

/** One of several addresses of a host. */
export interface AddressStats {
  address: string;
  port: number;
  backup: boolean;
  /** `down`: it is left alone for a while after a failure. `recovering`: the next connection finds out whether it is back. */
  state: "up" | "down" | "recovering";
  /** Connections to it now, those being opened and closed included. */
  connections: number;
  /** Connections opened to it so far, and how often one could not be made or got no reply. */
  opened: number;
  connectFailures: number;
  /** While it is not up. */
  lastFailure?: LastFailure;
}

/** How often requests may begin at a host (`limits.rate`, `cluster.rate`). */
export interface RateStats {
  /** Most requests in a second, and most at once after a pause. */
  perSecond: number;
  burst: number;
  /** With `cluster.rate`: the part of it that is this gateway's now, from 0 to 1. */
  part?: number;
  /** Requests that wait for it now, and those that had to wait for it so far. */
  waiting: number;
  delayed: number;
}

/** What became of lookups of one kind that a shadow was to ask of the other host too. */
export interface ShadowCounts {
  /** Both hosts said the same. */
  agreed: number;
  /** The recipient, user or list exists here and not at the other host, or the other way round; for `auth`: the password is right here only. */
  onlyHere: number;
  onlyThere: number;
  /** A recipient was found by a host that is known to accept all of its domain, or of which that is not known yet: `certainty`. */
  unsure: number;
  /** The other host gave no definite answer. */
  failed: number;
  /** Not asked: one of the hosts was busy or closed, or the user's password may have been wrong there lately. */
  dropped: number;
}

/** What the shadow of a host has counted since `open()`, or since it was given another host. */
export interface ShadowStats {
  /** The id of the other host. */
  host: string;
  /** Kinds that were asked for so far. */
  kinds: Partial<Record<LookupKind, ShadowCounts>>;
}

/** Two hosts contradict each other. */
export interface ShadowDifference {
  /** Milliseconds since the epoch. */
  at: number;
  kind: LookupKind;
  differs: "only-here" | "only-there";
  /** The recipient or user; only where addresses may be shown. */
  subject?: string;
  /** What each host replied. */
  here?: Reply;
  there?: Reply;
}

/** What `shadowReport()` returns. */
export interface ShadowReport extends ShadowStats {
  /** `shadow.share`. */
  share: number;
  /** Since when it counts, in milliseconds since the epoch. */
  since: number;
  /** The last fifty, oldest first. */
  differences: ShadowDifference[];
}

/** What one tenant has asked of a host. */
export interface TenantStats {
  name: string;
  /** How many requests, and how many more were refused at once since its part of the queue was full. */
  requests: number;
  turnedAway: number;
  /** Requests that are not settled. */
  pending: number;
}

/** What a gateway knows of the connections to a host that gateways share (docs/cluster.md). */
export interface PlaceStats {
  /** `cluster.concurrency`. */
  total: number;
  /** How many connections this gateway may have now. */
  granted: number;
  /** Why it may have them: they were leased, or Redis is lost (`cluster.on-loss`). `none`: it has heard nothing yet. */
  basis: "none" | "lease" | "share" | "local" | "refused";
  /** Connections that this gateway has, and how many it could use. */
  held: number;
  wanted: number;
  /** Connections above `granted`: each is brought to the end of its work. */
  overdrawn: number;
  /** As Redis said last, of all gateways: how many have a lease, the places recorded as theirs, and what they could use. */
  gateways: number;
  used: number;
  wantedByAll: number;
  /** How often a request found that a connection more needed a place more. */
  waits: number;
}

/** What a gateway knows of its cluster, since it joined it. */
export interface ClusterStats {
  /** `lost`: Redis does not answer, and `cluster.on-loss` holds. */
  state: "starting" | "held" | "lost";
  /** How often Redis was lost. */
  losses: number;
  /**
   * While it is lost: since when, in milliseconds since the epoch, how many calls of it failed since then, what the last one failed of, and
   * what holds until it answers (`cluster.on-loss`).
   */
  loss?: { since: number; failedCalls: number; reason: string; onLoss: "share" | "refuse" | "local" };
  /** Calls of Redis that were answered, those that failed, and how long the former took. */
  calls: { answered: number; failed: number; durations: DurationHistogram };
  /**
   * Where hosts share it (`cluster.health`), of their health: what was told to other gateways, what they told, turns to find out whether
   * a host is back, waits for another gateway's turn, calls that failed.
   */
  health?: { told: number; heard: number; turns: number; awaited: number; failed: number };
  /** With a secret: questions asked of Redis, answers that it knew, waits for another gateway's answer, calls that failed. */
  answers?: { asked: number; known: number; awaited: number; failed: number };
}

/** What `stats()` answers. */
export interface RuntimeStats {
  /** Worker threads that run now. */
  threads: number;
  hosts: Record<string, HostStats>;
  /** With a `[cluster]`. */
  cluster?: ClusterStats;
}
