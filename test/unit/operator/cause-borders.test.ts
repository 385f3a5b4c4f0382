/** Where one cause ends and the next begins: evidence that is almost that of a cause, and what is said in its place. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HostInput } from "../../../src/config/input.js";
import { diagnose } from "../../../src/operator/diagnosis.js";
import type { Diagnosis } from "../../../src/operator/report.js";
import type { AddressStats, RateStats } from "../../../src/stats.js";
import { type Case, DOWN, event, failure, NOW_MS } from "../kit/diagnosis-cases.js";
import { evidenceOf } from "../kit/evidence.js";
import { BUSY, lost, PLACES, QUEUE } from "../kit/waiting-cases.js";

type Border = readonly [
  name: string,
  known: Case["known"],
  says: Pick<Diagnosis, "cause"> & { severity?: Diagnosis["severity"]; what?: RegExp; why?: RegExp; now?: RegExp },
  host?: Partial<HostInput>,
];

const SHARED: Partial<HostInput> = { cluster: { concurrency: 4 } };
const PACED: Partial<HostInput> = { cluster: { rate: "40/s" } };
const RATE: RateStats = { perSecond: 10, burst: 10, part: 0.25, waiting: 31, delayed: 3 };
const ENOUGH = { ...PLACES, granted: 4, wanted: 4 };
const STANDS = { connections: { opening: 0, idle: 1, busy: 0, closing: 0 } };
const REFUSED = failure("CONNECT_FAILED", "It could not be reached.");
const turnedAway = (words: string) => failure("HOST_UNAVAILABLE", `The host refused the connection: ${words}`);
const at = (address: string, state: AddressStats["state"]): AddressStats => ({
  ...{ address, port: 24, backup: false, state },
  ...{ connections: 0, opened: 1, connectFailures: 1 },
});

const WAITING: readonly Border[] = [
  ["requests wait long and nothing is shared", { settledRate: 3, stats: QUEUE }, { cause: "healthy" }],
  [
    "requests wait long for the host, with all the places that could be used",
    { settledRate: 3, stats: { ...BUSY, places: ENOUGH } },
    { cause: "healthy" },
    SHARED,
  ],
  [
    "more places could be used, and nobody waits for long yet",
    { settledRate: 3, stats: { ...BUSY, oldestQueuedMs: 999, places: PLACES } },
    { cause: "healthy" },
    SHARED,
  ],
  [
    "one request has waited for a second, and one gateway has the places",
    { stats: { ...BUSY, queued: 1, oldestQueuedMs: 1_000, places: { ...PLACES, gateways: 1 } } },
    { cause: "waiting-for-place", why: /^1 request waits, the oldest one for 1 s; .*; 1 gateway holds 4 of 4\.$/ },
    SHARED,
  ],
  [
    "requests wait long for the host, and the rate is not used up",
    { settledRate: 3, stats: { ...QUEUE, rate: { ...RATE, waiting: 0 } } },
    { cause: "healthy" },
    PACED,
  ],
  [
    "its own rate was raised a moment ago",
    { stats: { ...QUEUE, rate: { perSecond: 2, burst: 2, waiting: 31, delayed: 3 } } },
    { cause: "rate-limited", what: /\(limits\.rate\)/, why: /at most 2 a second may begin, and/ },
    { limits: { rate: "5/s" } },
  ],
  [
    "it has no rate of its own",
    { stats: { ...QUEUE, rate: RATE } },
    { cause: "rate-limited", what: /\(cluster\.rate\)/, why: /25 % of the cluster's rate/ },
    PACED,
  ],
  [
    "Redis is lost, and requests wait for the host",
    { settledRate: 3, cluster: lost("share"), stats: { ...BUSY, places: ENOUGH } },
    { cause: "cluster-lost", severity: "notice" },
    SHARED,
  ],
  [
    "Redis is lost, and requests begin to wait for places",
    { settledRate: 3, cluster: lost("share"), stats: { ...BUSY, oldestQueuedMs: 15, places: PLACES } },
    { cause: "cluster-lost", severity: "notice" },
    SHARED,
  ],
  [
    "Redis is lost, and its part of the rate is too small",
    { settledRate: 3, cluster: lost("share"), stats: { ...QUEUE, rate: RATE } },
    { cause: "cluster-lost", severity: "degraded", now: /goes on with 10 requests a second/ },
    PACED,
  ],
  [
    "Redis is lost, and no part of the rate was wanted yet",
    { cluster: lost("share"), stats: { rate: { ...RATE, perSecond: 0, part: 0, waiting: 0 } } },
    { cause: "cluster-lost", severity: "notice", now: /goes on with 0 requests a second/ },
    PACED,
  ],
  [
    "Redis is lost, which has no part in its rate",
    { settledRate: 3, cluster: lost("share"), stats: { rate: { perSecond: 2, burst: 2, waiting: 0, delayed: 3 } } },
    { cause: "cluster-lost", severity: "notice", now: /^It asks the host itself/ },
    { lookup: true, limits: { rate: "2/s" }, cluster: { cache: true } },
  ],
];

const ADDRESSES: readonly Border[] = [
  [
    "three of its addresses are down: each is named",
    { stats: { addresses: [at("a", "down"), at("b", "down"), at("c", "down"), at("d", "up")] } },
    { cause: "address-down", why: /^a, port 24; b, port 24; c, port 24\.$/ },
  ],
  [
    "one of its addresses is down, and another turned a third connection away",
    { failure: { ...turnedAway("421"), standing: 2 }, stats: { addresses: [at("a", "down"), at("b", "up")] } },
    { cause: "address-down" },
  ],
  [
    "the circuit is open, whatever its addresses are said to be",
    { failure: REFUSED, stats: { ...DOWN, addresses: [at("a", "down"), at("b", "up")] } },
    { cause: "unreachable" },
  ],
  [
    "all of its addresses are down, and the circuit is not open yet",
    { failure: REFUSED, stats: { addresses: [at("a", "down"), at("b", "down")] } },
    { cause: "unreachable" },
  ],
];

const FAILURES: readonly Border[] = [
  [
    "a connection was ready before the failure",
    { failure: REFUSED, readyMs: NOW_MS - 9_000 },
    { cause: "unreachable" },
  ],
  [
    "the circuit is open since long ago",
    { failure: { ...REFUSED, atMs: NOW_MS - 900_000 }, stats: DOWN },
    { cause: "unreachable" },
  ],
  [
    "one connection stands all the same",
    { failure: REFUSED, stats: STANDS },
    { cause: "recovering", why: /1 connection stands now\.$/ },
  ],
  [
    "it failed once",
    { failure: { ...REFUSED, count: 1 } },
    { cause: "unreachable", why: /^1 attempt to connect failed, the last one 4 s ago: It could not be reached\.$/ },
  ],
  [
    "nobody knows when it is tried again",
    { failure: REFUSED, stats: { circuit: "open" } },
    { cause: "unreachable", now: /has tried again, at the latest after a minute\./ },
  ],
  [
    "it listens at a socket",
    { failure: REFUSED },
    { cause: "unreachable", what: /^store cannot be reached at unix:\/run\/lmtp\.$/ },
    { address: "unix:/run/lmtp" },
  ],
  [
    "the message has the reply's words in it",
    { failure: { ...turnedAway("421 not now"), reply: { code: 421, text: "not now\nreally" } } },
    { cause: "refused-at-greeting", why: /: The host refused the connection: 421 not now\.$/ },
  ],
  [
    "only the reply names the block list",
    { failure: { ...turnedAway("554"), reply: { code: 554, text: "see zen.spamhaus.org" } } },
    { cause: "blocked", why: /by the reply 554 see zen\.spamhaus\.org\.$/ },
  ],
  ["it blocked us long ago", { events: [event("host-blocked", 400_000)] }, { cause: "idle" }],
  [
    "the certificate's issuer is unknown",
    { failure: failure("TLS_FAILED", "TLS failed: UNABLE_TO_VERIFY_LEAF_SIGNATURE.") },
    { cause: "tls-unknown-ca" },
  ],
  [
    "TLS fails after STARTTLS",
    { failure: failure("TLS_FAILED", "TLS failed: ERR_SSL_WRONG_VERSION_NUMBER.") },
    { cause: "tls-failed", what: /^TLS with store fails\.$/ },
    { tls: { implicit: false } },
  ],
  ...["your certificate has expired", "the altname is wrong", "no self-signed certificates here"].map(
    (words): Border => [
      `it says at its greeting: ${words}`,
      { failure: turnedAway(`554 ${words}`) },
      { cause: "refused-at-greeting" },
    ],
  ),
  [
    "it offers no mechanism",
    { failure: failure("MISSING_AUTH", "The host offers no AUTH.") },
    { cause: "account-refused", what: /^store offers no way to log in/ },
  ],
  [
    "our password is wrong, and its key is named",
    { failure: failure("AUTH_FAILED", "The host refused the credentials.") },
    { cause: "account-refused", what: /\(auth\.username, auth\.secret\)\.$/ },
    { auth: { username: "gw", secret: "x" } },
  ],
  ...(["AUTH_FAILED", "TOKEN_FAILED"] as const).map((code): Border => {
    const what = { AUTH_FAILED: /, an access token of auth\.oauth2\)\.$/, TOKEN_FAILED: /: login\.example gives none/ };
    const oauth2 = { "token-url": "https://login.example/token", "client-id": "gw", "client-secret": "x" };
    return [
      `our token: ${code}`,
      { failure: failure(code, "No.") },
      { cause: code === "AUTH_FAILED" ? "account-refused" : "token-server", what: what[code] },
      { auth: { username: "gw", oauth2 } },
    ];
  }),
  [
    "one connection stands while it turns others away",
    { failure: { ...turnedAway("421"), standing: 1 }, stats: STANDS },
    { cause: "too-many-connections", why: /, while 1 connection stands\.$/ },
  ],
];

/** What hosts say at the greeting, by what they mean: each word that is looked for once. */
const GREETINGS: Readonly<Partial<Record<Diagnosis["cause"], readonly string[]>>> = {
  blocked: [
    "554 192.0.2.1 is blocked",
    "554 blocklist of example.org",
    "554 on our black list",
    "554 denylist",
    "554 bad reputation",
    "554 www.spamhaus.org",
    "554 found in a DNSBL",
    "554 found in an RBL",
    "554 see barracuda central",
    "554 banned",
    "554 poor score",
  ],
  "too-many-connections": [
    "421 too many of you",
    "421 connection limit reached",
    "421 concurrency",
    "421 4.7.0 no more connections",
    "421 you exceeded your connections",
  ],
  "refused-at-greeting": ["421 4.7.0 not now", "421 no more connections", "421 quota exceeded", "554 go away"],
};

const WORKERS: readonly Border[] = [
  [
    "its worker failed, and nobody knows of what",
    { stats: { state: "failed", restarts: 1 } },
    { cause: "worker-failed", why: /^It was replaced 1 time\.$/ },
  ],
  [
    "its worker failed without a reason",
    { stats: { state: "failed", restarts: 4 }, events: [event("worker-lost", 2_000)] },
    { cause: "worker-failed", why: /, and ended last of: worker-lost\.$/ },
  ],
  [
    "its worker was lost once, a moment ago",
    { events: [event("worker-lost", 30_000)] },
    { cause: "worker-lost", what: /was lost and started anew/, why: /^It ended 1 time .* of: worker-lost\.$/ },
  ],
  ["its worker was lost once, a while ago", { events: [event("worker-lost", 90_000)] }, { cause: "idle" }],
  ["its worker was lost once, a minute ago", { events: [event("worker-lost", 60_000)] }, { cause: "worker-lost" }],
  [
    "nobody knows who stopped it",
    { stats: { state: "paused", queued: 1 } },
    { cause: "paused", why: /^Somebody paused it; 1 request waits\.$/, now: /^Requests wait until it is resumed\.$/ },
  ],
  [
    "it was stopped until further notice",
    { stats: { state: "paused" }, events: [event("host-paused", 9_000, { by: "ann", requests: "refuse" })] },
    { cause: "paused", why: /^ann paused it 9 s ago; /, now: /^Requests are refused until it is resumed\.$/ },
  ],
];

const LOAD: readonly Border[] = [
  ["it is silent since a moment ago", { silentSinceMs: NOW_MS - 9_000, stats: { inFlight: 1 } }, { cause: "healthy" }],
  [
    "one request is with it for long",
    { silentSinceMs: NOW_MS - 10_000, stats: { inFlight: 1 } },
    { cause: "hung", why: /^1 request has been with it for 10 s, on 0 connections/ },
  ],
  [
    "two slow messages tell nothing",
    { settledRate: 1, phases: { relay: { count: 2, p50Ms: 2_300, p99Ms: 9_800 } } },
    { cause: "healthy" },
  ],
  [
    "three slow messages tell",
    { settledRate: 1, phases: { relay: { count: 3, p50Ms: 1_000, p99Ms: 9_800 } } },
    { cause: "slow" },
  ],
  ["a short queue grows", { settledRate: 12, queueGrowth: 23, stats: { queued: 19 } }, { cause: "healthy" }],
  ["a queue of two for each connection grows", { queueGrowth: 23, stats: { queued: 20 } }, { cause: "overloaded" }],
  ["a request is with it, and none was settled", { stats: { inFlight: 1 } }, { cause: "healthy" }],
  [
    "lookups alone are asked",
    { settledRate: 35, phases: { lookup: { count: 900, p50Ms: 12, p99Ms: 40 } } },
    { cause: "healthy", why: /half of them within 12 ms/ },
  ],
];

function holds(borders: readonly Border[]): void {
  for (const [name, known, { cause, severity, ...sentences }, host] of borders) {
    test(`${name}: ${cause}`, async () => {
      const found = diagnose(await evidenceOf(known, host));
      assert.equal(found.cause, cause);
      assert.equal(found.severity, severity ?? found.severity);
      for (const [which, expected] of Object.entries(sentences)) {
        assert.match(found[which as keyof typeof sentences], expected);
      }
    });
  }
}

describe("the border of a cause", () => {
  describe("for which requests wait", () => holds(WAITING));
  describe("at one of several addresses", () => holds(ADDRESSES));
  describe("for which connections fail", () => holds(FAILURES));
  describe("in the host's own words", () => {
    for (const [cause, greetings] of Object.entries(GREETINGS)) {
      holds(
        greetings.map(
          (words): Border => [words, { failure: turnedAway(words) }, { cause: cause as Diagnosis["cause"] }],
        ),
      );
    }
  });
  describe("in our own threads and orders", () => holds(WORKERS));
  describe("under load", () => holds(LOAD));
});
