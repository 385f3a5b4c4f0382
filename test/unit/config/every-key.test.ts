/** Every key of the configuration, as a text and as an object. */
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { describe, it } from "node:test";
import type { ConfigInput, HostInput } from "../../../src/config/input.js";
import { SECRET_PLACES } from "../../../src/config/key-spec.js";
import { loadSettings } from "../../../src/config/load.js";
import { RUNTIME_SCHEMA } from "../../../src/config/runtime-schema.js";
import { HOST_SCHEMA } from "../../../src/config/schema.js";

/** Keys of accounts that log in otherwise than by a password (accounts.test.ts says what they come to). */
const OTHER_WAYS: Required<Pick<NonNullable<HostInput["auth"]>, "external" | "oauth2">> = {
  external: true,
  oauth2: {
    "token-url": "",
    "client-id": "",
    "client-secret": "",
    "client-secret-file": "",
    "client-secret-env": "",
    "client-secret-credential": "",
    "client-auth": "basic",
    "private-key-file": "",
    "certificate-file": "",
    "key-id": "",
    grant: "refresh-token",
    "refresh-token": "",
    "refresh-token-file": "",
    "refresh-token-env": "",
    "refresh-token-credential": "",
    scope: "",
    audience: "",
  },
};

/** A key that a linter takes for that of a promise. */
const THEN = "then" as const;

describe("every key", () => {
  it("is taken, as a text and as an object of the exported type", async () => {
    const full = {
      remote: {
        x: {
          address: "[2001:db8::1]",
          port: 24,
          protocol: "lmtp",
          concurrency: 7,
          timeout: 30,
          lookup: true,
          client: "xclient",
          "source-address": "192.0.2.7",
          replies: [
            { to: "rcpt", code: 550, enhanced: "5.7.1", text: "no such", [THEN]: "not-found" },
            { to: "auth", enhanced: "CONTACTADMIN", [THEN]: "no-answer" },
          ],
          "bare-recipients": true,
          "eight-bit": "refuse",
          tls: {
            implicit: false,
            starttls: "optional",
            "allow-invalid-certs": false,
            "server-name": "mx.example.org",
            "min-version": "1.3",
            fingerprints: [`SHA256:${"AB:".repeat(31)}CD`],
          },
          auth: { username: "u", secret: "s", "allow-plaintext": true },
          timeouts: {
            greeting: "1s",
            mail: "2s",
            rcpt: "3s",
            "data-initiation": "4s",
            "data-block": "5s",
            "data-termination": "6s",
            command: "7s",
            lookup: "8s",
          },
          limits: {
            errors: 1,
            requests: 2,
            idle: "3s",
            lifetime: "4s",
            queue: 5,
            "queue-bytes": "6KiB",
            pipeline: 7,
            refusals: 8,
            guesses: 6,
            recipients: 12,
            "per-user": 9,
            "per-client": 10,
            rate: "20/m",
            "rate-burst": 11,
          },
          cache: {
            entries: 0,
            ttl: { positive: 1, negative: 2, auth: 3, state: 5 },
            "stale-if-error": "4s",
            "stale-auth": true,
            "by-client": true,
            learn: false,
            file: "store.cache",
            refresh: 0.5,
          },
          lookups: {
            "catch-all": "detect",
            "accepts-all": "no-answer",
            harvest: { unknown: 7, window: "5m", ratio: 0.5 },
          },
          cluster: { concurrency: 9, rate: "4/s", "rate-burst": 5, cache: false, "cache-auth": false, health: true },
          shadow: { host: "y", share: 1, kinds: ["auth", "rcpt"], addresses: true },
        },
        z: {
          address: [{ address: "z.example.org", port: 24 }, { address: "unix:/z" }],
          protocol: "lmtp",
          "concurrency-per-address": 3,
        },
        y: { address: "old.example.org", port: 24, protocol: "lmtp", lookup: true, "bare-recipients": true },
      },
      cluster: {
        url: "redis://u:p%40ss@cache.example.org/2",
        name: "mail",
        lease: 20,
        timeout: "1s",
        "on-loss": "local",
      },
      runtime: {
        hostname: "gw.example.org",
        threads: 1,
        start: "eager",
        idle: "5m",
        heartbeat: "500ms",
        memory: "64MiB",
        restarts: 0,
        "restart-window": "1m",
        "dns-servers": ["127.0.0.1:8600"],
      },
      rule: { a: { if: "rcpt" } },
      list: { b: ["c"] },
      serve: { d: [1, { e: 2 }] },
    } satisfies ConfigInput;
    const settings = await loadSettings(full);
    const host = settings.hosts.get("x")!;
    assert.deepEqual(
      [host.address, host.tls.serverName, host.sourceAddress, host.timeoutMs, host.client],
      ["2001:db8::1", "mx.example.org", "192.0.2.7", 30_000, "xclient"],
    );
    assert.deepEqual(host.tls, {
      implicit: false,
      startTls: "optional",
      allowInvalidCerts: false,
      fingerprints: [`${"ab".repeat(31)}cd`],
      serverName: "mx.example.org",
      minVersion: "TLSv1.3",
    });
    assert.deepEqual(Object.values(host.timeouts), [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000]);
    assert.deepEqual(Object.values(host.limits), [
      1,
      2,
      3000,
      4000,
      5,
      6144,
      7,
      8,
      6,
      12,
      9,
      10,
      { intervalMs: 3000, burst: 11 },
    ]);
    assert.deepEqual(Object.values(host.cache), [
      0,
      1000,
      2000,
      3000,
      5000,
      4000,
      true,
      0.5,
      true,
      resolve("store.cache"),
    ]);
    assert.equal(host.allowPlaintextAuth, true);
    assert.deepEqual([host.bareRecipients, host.eightBit], [true, "refuse"]);
    assert.deepEqual(
      host.replies?.map(({ to, code, enhanced, text, meaning }) => [to, code, enhanced, text, meaning]),
      [
        ["rcpt", 550, "5.7.1", "no such", "not-found"],
        ["auth", undefined, "CONTACTADMIN", undefined, "no-answer"],
      ],
    );
    assert.deepEqual(settings.runtime, {
      hostname: "gw.example.org",
      threads: 1,
      start: "eager",
      idleMs: 300_000,
      heartbeatMs: 500,
      memoryOctets: 2 ** 26,
      restarts: 0,
      restartWindowMs: 60_000,
      dnsServers: ["127.0.0.1:8600"],
    });
    assert.deepEqual(host.lookups, {
      detectsCatchAll: true,
      acceptsAll: "no-answer",
      harvest: { unknown: 7, windowMs: 300_000, ratio: 0.5 },
    });
    assert.deepEqual(host.cluster, { concurrency: 9, health: true, rate: { intervalMs: 250, burst: 5 } });
    assert.deepEqual(host.shadow, { host: "y", share: 1, kinds: ["rcpt", "auth"], addresses: true });
    assert.deepEqual(settings.cluster, {
      redis: { urls: ["redis://cache.example.org/2"], username: "u", password: "p@ss" },
      name: "mail",
      leaseMs: 20_000,
      timeoutMs: 1000,
      onLoss: "local",
    });
    assert.deepEqual(settings.others, { rule: full.rule, list: full.list, serve: full.serve });
    assert.ok(!Object.isFrozen(full.serve), "the caller's object stays the caller's");

    const elsewhere = ["auth.secret", "tls.key-passphrase"].flatMap((key) =>
      SECRET_PLACES.filter((place) => `${key}${place}` !== "auth.secret").map((place) => `${key}${place}`),
    );
    const otherWays = keysOf({ auth: OTHER_WAYS });
    const ways = [...otherWays, ...elsewhere, "concurrency-per-address", "sticky", "tls.ca", "tls.cert", "tls.key"];
    const used = [...keysOf(full.remote.x), ...ways].sort();
    assert.deepEqual(used, Object.keys(HOST_SCHEMA).sort(), "the type and the schema have the same keys");
    assert.deepEqual(Object.keys(full.runtime).sort(), Object.keys(RUNTIME_SCHEMA).sort());
  });
});

function keysOf(table: object, prefix = ""): string[] {
  return Object.entries(table).flatMap(([name, value]) =>
    typeof value === "object" && !Array.isArray(value) ? keysOf(value, `${prefix}${name}.`) : [`${prefix}${name}`],
  );
}
