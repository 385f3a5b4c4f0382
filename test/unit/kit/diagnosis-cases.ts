import type { HostInput } from "../../../src/config/input.js";
import type { ErrorCode } from "../../../src/errors.js";
import type { Evidence } from "../../../src/operator/evidence.js";
import type { Diagnosis, HostEvent, HostFailure } from "../../../src/operator/report.js";
import type { HostStats } from "../../../src/stats.js";

export const NOW_MS = Date.UTC(2026, 0, 2, 3, 0, 0);

export function failure(code: ErrorCode, message: string, more: Partial<HostFailure> = {}): HostFailure {
  return { code, message, sinceMs: NOW_MS - 9_000, atMs: NOW_MS - 4_000, count: 3, standing: 0, ...more };
}

export function event(name: string, agoMs: number, fields: HostEvent["fields"] = {}): HostEvent {
  return { atMs: NOW_MS - agoMs, hostId: "store", level: "warn", event: name, message: name, fields };
}

/** A sick host, and what is said of it. */
export interface Case {
  readonly name: string;
  /** Further keys of `remote.store`. */
  readonly host?: Partial<HostInput>;
  readonly known: Partial<Omit<Evidence, "stats">> & { readonly stats?: Partial<HostStats> };
  readonly says: Omit<Diagnosis, "hostId">;
}

export const DOWN = { circuit: "open", retryAt: NOW_MS + 12_000 } as const;

export const RETRIES = "Requests are refused at once until one connection has tried again, in 12 s.";

export const TRIED = (words: string) => `3 attempts to connect failed within 5 s, the last one 4 s ago: ${words}.`;

export const CASES: readonly Case[] = [
  {
    name: "its name is gone",
    known: { stats: DOWN, failure: failure("DNS_FAILED", "The name mx.example.org was not found.") },
    says: {
      cause: "dns",
      severity: "down",
      what: "The name of store, mx.example.org, cannot be resolved.",
      why: TRIED("The name mx.example.org was not found"),
      now: RETRIES,
    },
  },
  {
    name: "nothing listens",
    known: {
      stats: DOWN,
      failure: failure("CONNECT_FAILED", "mx.example.org, port 24, could not be reached: ECONNREFUSED."),
    },
    says: {
      cause: "unreachable",
      severity: "down",
      what: "store cannot be reached at mx.example.org, port 24.",
      why: TRIED("mx.example.org, port 24, could not be reached: ECONNREFUSED"),
      now: RETRIES,
    },
  },
  {
    name: "its certificate is too old",
    known: {
      stats: DOWN,
      failure: failure("TLS_FAILED", "TLS with mx.example.org, port 24, failed: CERT_HAS_EXPIRED."),
    },
    says: {
      cause: "tls-expired",
      severity: "down",
      what: "The TLS certificate of store has expired.",
      why: TRIED("TLS with mx.example.org, port 24, failed: CERT_HAS_EXPIRED"),
      now: RETRIES,
    },
  },
  {
    name: "its certificate is somebody else's",
    known: { stats: DOWN, failure: failure("TLS_FAILED", "TLS failed: ERR_TLS_CERT_ALTNAME_INVALID.") },
    says: {
      cause: "tls-name",
      severity: "down",
      what: "The TLS certificate of store is for another name than mx.example.org (tls.server-name).",
      why: TRIED("TLS failed: ERR_TLS_CERT_ALTNAME_INVALID"),
      now: RETRIES,
    },
  },
  {
    name: "its certificate is its own",
    known: { stats: DOWN, failure: failure("TLS_FAILED", "TLS failed: DEPTH_ZERO_SELF_SIGNED_CERT.") },
    says: {
      cause: "tls-unknown-ca",
      severity: "down",
      what: "The TLS certificate of store is signed by nobody whom we trust (tls.ca).",
      why: TRIED("TLS failed: DEPTH_ZERO_SELF_SIGNED_CERT"),
      now: RETRIES,
    },
  },
  {
    name: "it speaks plain text where TLS is expected",
    known: { stats: DOWN, failure: failure("TLS_FAILED", "TLS failed: ERR_SSL_WRONG_VERSION_NUMBER.") },
    says: {
      cause: "tls-failed",
      severity: "down",
      what: "TLS with store fails; perhaps it speaks plain text first (tls.implicit = false).",
      why: TRIED("TLS failed: ERR_SSL_WRONG_VERSION_NUMBER"),
      now: RETRIES,
    },
  },
  {
    name: "nobody gives its account a token",
    known: {
      stats: DOWN,
      failure: failure("TOKEN_FAILED", "The token server login.example.org refused: 400 invalid_grant."),
    },
    says: {
      cause: "token-server",
      severity: "down",
      what: "There is no access token for our account at store: its token server gives none (auth.oauth2).",
      why: TRIED("The token server login.example.org refused: 400 invalid_grant"),
      now: RETRIES,
    },
  },
  {
    name: "it has no TLS",
    known: { stats: DOWN, failure: failure("MISSING_STARTTLS", "The host offers no STARTTLS.") },
    says: {
      cause: "tls-missing",
      severity: "down",
      what: 'store offers no STARTTLS, and tls.starttls = "require" asks for it.',
      why: TRIED("The host offers no STARTTLS"),
      now: RETRIES,
    },
  },
  {
    name: "our password is wrong",
    known: {
      stats: DOWN,
      failure: failure("AUTH_FAILED", "The host refused the credentials of remote.<id>.auth.", {
        reply: { code: 535, enhanced: "5.7.8", text: "no" },
      }),
    },
    says: {
      cause: "account-refused",
      severity: "down",
      what: "store refuses our account.",
      why: TRIED("The host refused the credentials of remote.<id>.auth, by the reply 535 no"),
      now: RETRIES,
    },
  },
  {
    name: "it blocks our address at the greeting",
    known: {
      stats: { circuit: "half-open" },
      failure: failure("HOST_UNAVAILABLE", "The host refused the connection: 554 blocked using zen.spamhaus.org"),
    },
    says: {
      cause: "blocked",
      severity: "down",
      what: "store blocks us: it refuses our address, not the recipients.",
      why: TRIED("The host refused the connection: 554 blocked using zen.spamhaus.org"),
      now: "The next request makes one connection, which finds out whether the host is back; if it fails, requests are refused again.",
    },
  },
  {
    name: "it blocks our address at the recipients",
    known: { events: [event("host-blocked", 30_000)] },
    says: {
      cause: "blocked",
      severity: "down",
      what: "store blocks us: it refuses our address, not the recipients.",
      why: "5 recipients in a row were refused for reasons that are about this client (limits.refusals), last 30 s ago.",
      now: "Lookups have no answer until it accepts a recipient again; messages are still handed over, and its refusals are passed on.",
    },
  },
  {
    name: "it turns away the third connection",
    known: {
      stats: { connections: { opening: 0, idle: 1, busy: 1, closing: 0 } },
      failure: failure("HOST_UNAVAILABLE", "The host refused the connection: 421 4.7.0 not now", { standing: 2 }),
    },
    says: {
      cause: "too-many-connections",
      severity: "degraded",
      what: "store takes fewer connections than the 10 that concurrency allows.",
      why: "3 attempts to connect failed within 5 s, the last one 4 s ago: The host refused the connection: 421 4.7.0 not now, while 2 connections stand.",
      now: "It works with fewer connections and tries one more every five seconds.",
    },
  },
  {
    name: "it turns everybody away",
    known: { failure: failure("HOST_UNAVAILABLE", "The host refused the connection: 421 4.3.2 shutting down") },
    says: {
      cause: "refused-at-greeting",
      severity: "down",
      what: "store takes connections at mx.example.org, port 24, and turns us away.",
      why: TRIED("The host refused the connection: 421 4.3.2 shutting down"),
      now: "Each request tries again; after three failures in a row requests are refused at once.",
    },
  },
  {
    name: "it greets nobody",
    known: { stats: DOWN, failure: failure("COMMAND_TIMEOUT", "The peer did not reply in time.") },
    says: {
      cause: "hung",
      severity: "down",
      what: "store takes connections at mx.example.org, port 24, and says nothing.",
      why: TRIED("The peer did not reply in time"),
      now: RETRIES,
    },
  },
  {
    name: "it fell silent with requests on its connections",
    known: {
      stats: { inFlight: 4, connections: { opening: 0, idle: 0, busy: 2, closing: 0 } },
      silentSinceMs: NOW_MS - 25_000,
    },
    says: {
      cause: "hung",
      severity: "down",
      what: "store takes connections and answers nothing.",
      why: "4 requests have been with it for 25 s, on 2 connections, and none was answered in that time.",
      now: "Requests wait for their deadline or for the time limit of their phase (timeouts.*); then they fail, and messages may be sent again.",
    },
  },
  {
    name: "it speaks something else",
    known: { stats: DOWN, failure: failure("REMOTE_PROTOCOL", "The peer's greeting makes no sense.") },
    says: {
      cause: "protocol",
      severity: "down",
      what: "What answers at the address of store does not speak LMTP.",
      why: TRIED("The peer's greeting makes no sense"),
      now: RETRIES,
    },
  },
  {
    name: "an operator stopped it",
    known: {
      stats: { state: "paused", queued: 3 },
      events: [event("host-paused", 60_000, { by: "ann via control", requests: "wait", forMs: 600_000 })],
    },
    says: {
      cause: "paused",
      severity: "notice",
      what: "store is paused.",
      why: "ann via control paused it 60 s ago; 3 requests wait.",
      now: "Requests wait until it is resumed, in 9 min at the latest.",
    },
  },
  {
    name: "its worker does not stay alive",
    known: {
      stats: { state: "failed", restarts: 4 },
      events: [event("worker-lost", 2_000, { reason: "out of memory" })],
    },
    says: {
      cause: "worker-failed",
      severity: "down",
      what: "The worker thread of store ended too often, so it is not started again for a while.",
      why: "It was replaced 4 times, and ended last of: out of memory.",
      now: "Requests are refused at once with HOST_UNAVAILABLE; the thread is tried again later, more and more seldom.",
    },
  },
  {
    name: "its worker was lost twice",
    known: { events: [event("worker-lost", 400_000), event("worker-lost", 90_000, { reason: "no sign of life" })] },
    says: {
      cause: "worker-lost",
      severity: "degraded",
      what: "The worker thread of store was lost repeatedly and started anew.",
      why: "It ended 2 times in the last 10 min, last 90 s ago of: no sign of life.",
      now: "Its lookups were asked again; messages whose end had been sent are uncertain, the others were rejected and reached nobody.",
    },
  },
  {
    name: "more comes than it takes",
    known: {
      stats: { queued: 412, connections: { opening: 0, idle: 0, busy: 10, closing: 0 } },
      queueGrowth: 23.4,
      settledRate: 12,
    },
    says: {
      cause: "overloaded",
      severity: "degraded",
      what: "More is asked of store than it gets done: its queue grows.",
      why: "412 requests wait, 23 more each second; 12 a second are settled by 10 busy connections of 10.",
      now: "Lookups go before messages; past 10,000 waiting requests (limits.queue) new ones are refused with MAILBOX_FULL.",
    },
  },
  {
    name: "as much comes as it takes, after a long wait",
    known: {
      stats: { queued: 900, connections: { opening: 0, idle: 0, busy: 2, closing: 0 } },
      settledRate: 5,
      phases: { lookup: { count: 300, p50Ms: 400, p99Ms: 420 }, queue: { count: 300, p50Ms: 17_800, p99Ms: 29_000 } },
    },
    says: {
      cause: "overloaded",
      severity: "degraded",
      what: "More is asked of store than it gets done: requests wait long for a connection.",
      why: "900 requests wait, half of them longer than 17.8 s; 5 a second are settled by 2 busy connections of 10.",
      now: "Lookups go before messages; past 10,000 waiting requests (limits.queue) new ones are refused with MAILBOX_FULL.",
    },
  },
  {
    name: "it thinks for long",
    known: {
      settledRate: 3,
      phases: { relay: { count: 40, p50Ms: 2_300, p99Ms: 9_800 }, queue: { count: 40, p50Ms: 5_000, p99Ms: 9_000 } },
    },
    says: {
      cause: "slow",
      severity: "degraded",
      what: "store is slow: messages take long from MAIL to the last reply.",
      why: "Of 40 in the last minute half took longer than 2.3 s, and one in a hundred longer than 9.8 s.",
      now: "It goes on with up to 10 connections and waits for each reply as long as timeouts.* say.",
    },
  },
  {
    name: "it came back",
    known: { settledRate: 3, readyMs: NOW_MS - 1_000, failure: failure("CONNECT_FAILED", "It could not be reached.") },
    says: {
      cause: "recovering",
      severity: "notice",
      what: "store is back, or some connections to it fail.",
      why: "A connection failed 4 s ago: It could not be reached; 0 connections stand now.",
      now: "It is used as usual.",
    },
  },
  {
    name: "nobody wants anything",
    known: {},
    says: {
      cause: "idle",
      severity: "healthy",
      what: "Nothing is asked of store.",
      why: "No request was settled in the last ten seconds, and none waits.",
      now: "Connections are opened when a request needs them.",
    },
  },
  {
    name: "all is well",
    known: {
      settledRate: 35,
      stats: { connections: { opening: 0, idle: 2, busy: 1, closing: 0 } },
      phases: { relay: { count: 900, p50Ms: 12, p99Ms: 40 } },
    },
    says: {
      cause: "healthy",
      severity: "healthy",
      what: "store is healthy.",
      why: "35 requests a second are settled, half of them within 12 ms; 0 wait.",
      now: "It is used by 3 connections of 10.",
    },
  },
];
