/** Hosts whose requests wait for us and not for the host, and what is said of each. Serves diagnosis.test.ts and cause-borders.test.ts. */
import { noDurations } from "../../../src/messages/host-stats.js";
import type { ClusterStats, HostStats, PlaceStats } from "../../../src/stats.js";
import { type Case, NOW_MS } from "./diagnosis-cases.js";

const CALLS = { answered: 500, failed: 20, durations: noDurations() };
const FOUND: ClusterStats = { state: "held", losses: 0, calls: CALLS };

/** Connections that three gateways share, of which this one has one. */
export const PLACES: PlaceStats = {
  total: 4,
  granted: 1,
  basis: "lease",
  held: 1,
  wanted: 8,
  overdrawn: 0,
  gateways: 3,
  used: 4,
  wantedByAll: 22,
  waits: 17,
};

export const QUEUE = { queued: 31, oldestQueuedMs: 4_200 } satisfies Partial<HostStats>;
/** One connection is at work: the wait is not for the host's. */
export const BUSY = { ...QUEUE, inFlight: 1, connections: { opening: 0, idle: 0, busy: 1, closing: 0 } };

export function lost(onLoss: "share" | "refuse" | "local"): ClusterStats {
  const loss = { since: NOW_MS - 42_000, failedCalls: 9, reason: "Redis cannot be reached: ECONNREFUSED", onLoss };
  return { state: "lost", losses: 2, loss, calls: CALLS };
}

const NO_REDIS = "Redis does not answer this gateway, which shares store with others over it.";
const LOST_FOR = "It was lost 42 s ago, 9 calls failed since, the last one of: Redis cannot be reached: ECONNREFUSED";
const WAIT = "31 requests wait, the oldest one for 4.2 s";

export const WAITING_CASES: readonly Case[] = [
  {
    name: "its own rate is used up",
    host: { limits: { rate: "2/s" } },
    known: { settledRate: 2, stats: { ...QUEUE, rate: { perSecond: 2, burst: 2, waiting: 31, delayed: 1_204 } } },
    says: {
      cause: "rate-limited",
      severity: "degraded",
      what: "Requests to store wait for the rate that is set for it (limits.rate).",
      why: `${WAIT}; at most 2 a second may begin, and 1,204 requests had to wait so far.`,
      now: "They begin at that rate, lookups before messages; past 10,000 waiting requests (limits.queue) new ones are refused with MAILBOX_FULL.",
    },
  },
  {
    name: "its part of the cluster's rate is used up",
    host: { limits: { rate: "100/s" }, cluster: { rate: "40/s" } },
    known: {
      settledRate: 10,
      cluster: FOUND,
      stats: { ...QUEUE, rate: { perSecond: 10, burst: 10, part: 0.25, waiting: 31, delayed: 1 } },
    },
    says: {
      cause: "rate-limited",
      severity: "degraded",
      what: "Requests to store wait for the rate that is set for it (cluster.rate).",
      why: `${WAIT}; at most 10 a second may begin, which is 25 % of the cluster's rate, and 1 request had to wait so far.`,
      now: "They begin at that rate, lookups before messages; past 10,000 waiting requests (limits.queue) new ones are refused with MAILBOX_FULL.",
    },
  },
  {
    name: "its own rate is used up before that of the cluster",
    host: { limits: { rate: "2/s" }, cluster: { rate: "40/s" } },
    known: {
      settledRate: 2,
      cluster: FOUND,
      stats: { ...QUEUE, rate: { perSecond: 2, burst: 2, part: 0.5, waiting: 31, delayed: 60 } },
    },
    says: {
      cause: "rate-limited",
      severity: "degraded",
      what: "Requests to store wait for the rate that is set for it (limits.rate).",
      why: `${WAIT}; at most 2 a second may begin, and 60 requests had to wait so far.`,
      now: "They begin at that rate, lookups before messages; past 10,000 waiting requests (limits.queue) new ones are refused with MAILBOX_FULL.",
    },
  },
  {
    name: "nobody waits for long at its own rate",
    host: { limits: { rate: "200/s" } },
    known: {
      settledRate: 200,
      stats: { queued: 3, oldestQueuedMs: 15, rate: { perSecond: 200, burst: 20, waiting: 3, delayed: 900 } },
    },
    says: {
      cause: "healthy",
      severity: "healthy",
      what: "store is healthy.",
      why: "200 requests a second are settled; 3 wait.",
      now: "It is used by 0 connections of 10.",
    },
  },
  {
    name: "other gateways have the places",
    host: { cluster: { concurrency: 4 } },
    known: { settledRate: 3, cluster: FOUND, stats: { ...BUSY, places: PLACES } },
    says: {
      cause: "waiting-for-place",
      severity: "degraded",
      what: "Requests to store wait for a place of the cluster: all gateways together may have 4 connections (cluster.concurrency).",
      why: `${WAIT}; this gateway has 1 place and could use 8; 3 gateways hold 4 of 4.`,
      now: "It works with the places that it has, and asks Redis for more several times in each lease.",
    },
  },
  {
    name: "Redis is lost, and nothing may begin without it",
    host: { cluster: { concurrency: 4 } },
    known: {
      cluster: lost("refuse"),
      stats: { places: { ...PLACES, granted: 0, held: 0, basis: "refused" } },
    },
    says: {
      cause: "cluster-lost",
      severity: "down",
      what: NO_REDIS,
      why: `${LOST_FOR}.`,
      now: 'Requests that nothing was granted for are refused with HOST_UNAVAILABLE until Redis answers (cluster.on-loss = "refuse").',
    },
  },
  {
    name: "Redis is lost, and with it the part of the rate",
    host: { cluster: { rate: "40/s" } },
    known: {
      cluster: lost("refuse"),
      stats: { rate: { perSecond: 0, burst: 0, part: 0, waiting: 0, delayed: 3 } },
    },
    says: {
      cause: "cluster-lost",
      severity: "down",
      what: NO_REDIS,
      why: `${LOST_FOR}.`,
      now: 'Requests that nothing was granted for are refused with HOST_UNAVAILABLE until Redis answers (cluster.on-loss = "refuse").',
    },
  },
  {
    name: "Redis is lost, and its share is too small",
    host: { cluster: { concurrency: 4 } },
    known: { settledRate: 3, cluster: lost("share"), stats: { ...BUSY, places: { ...PLACES, basis: "share" } } },
    says: {
      cause: "cluster-lost",
      severity: "degraded",
      what: NO_REDIS,
      why: `${LOST_FOR}; ${WAIT}.`,
      now: 'It goes on with 1 connection until Redis answers (cluster.on-loss = "share").',
    },
  },
  {
    name: "Redis is lost, and nobody suffers",
    host: { concurrency: 10, cluster: { concurrency: 4 } },
    known: {
      settledRate: 3,
      cluster: lost("local"),
      stats: { places: { ...PLACES, granted: 10, wanted: 2, basis: "local" } },
    },
    says: {
      cause: "cluster-lost",
      severity: "notice",
      what: NO_REDIS,
      why: `${LOST_FOR}.`,
      now: 'It goes on with 10 connections until Redis answers (cluster.on-loss = "local").',
    },
  },
  {
    name: "Redis is lost, and the lease holds still",
    host: { cluster: { concurrency: 4 } },
    known: { settledRate: 3, cluster: lost("refuse"), stats: { places: { ...PLACES, wanted: 1 } } },
    says: {
      cause: "cluster-lost",
      severity: "notice",
      what: NO_REDIS,
      why: `${LOST_FOR}.`,
      now: 'It keeps the 1 connection of its lease until that ends; then cluster.on-loss = "refuse" holds.',
    },
  },
  {
    name: "Redis is lost, and a part of the rate goes on",
    host: { cluster: { rate: "40/s" } },
    known: {
      settledRate: 3,
      cluster: lost("share"),
      stats: { rate: { perSecond: 10, burst: 10, part: 0.25, waiting: 0, delayed: 3 } },
    },
    says: {
      cause: "cluster-lost",
      severity: "notice",
      what: NO_REDIS,
      why: `${LOST_FOR}.`,
      now: 'It goes on with 10 requests a second until Redis answers (cluster.on-loss = "share").',
    },
  },
  {
    name: "Redis is lost, and with it what other gateways know",
    host: { lookup: true, cluster: { cache: true } },
    known: { settledRate: 3, cluster: lost("share") },
    says: {
      cause: "cluster-lost",
      severity: "notice",
      what: NO_REDIS,
      why: `${LOST_FOR}.`,
      now: "It asks the host itself for what other gateways may know, until Redis answers.",
    },
  },
  {
    name: "Redis is lost, and this host shares nothing",
    known: { settledRate: 3, cluster: lost("share") },
    says: {
      cause: "healthy",
      severity: "healthy",
      what: "store is healthy.",
      why: "3 requests a second are settled; 0 wait.",
      now: "It is used by 0 connections of 10.",
    },
  },
];
