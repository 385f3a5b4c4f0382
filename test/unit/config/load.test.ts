import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import os, { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { generate } from "selfsigned";
import type { ConfigInput, HostInput } from "../../../src/config/input.js";
import { SECRET_PLACES } from "../../../src/config/key-spec.js";
import { loadSettings, parseSettings } from "../../../src/config/load.js";
import { HOST_SCHEMA, RUNTIME_SCHEMA } from "../../../src/config/schema.js";
import type { HostSettings, Settings } from "../../../src/config/settings.js";
import { ConfigError, type ConfigProblem } from "../../../src/errors.js";

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
    "private-key-file": "",
    grant: "refresh-token",
    "refresh-token": "",
    "refresh-token-file": "",
    "refresh-token-env": "",
    "refresh-token-credential": "",
    scope: "",
    audience: "",
  },
};

/** The two examples of the reference, to the letter. */
const REFERENCE = `[remote."lmtp"]
address = "localhost"
port = 24
protocol = "lmtp"
concurrency = 10
timeout = "1m"
lookup = true

[remote."lmtp".cache]
entries = 1000
ttl = {positive = "1d", negative = "1h"}

[remote."lmtp".tls]
implicit = false
allow-invalid-certs = true

[remote."lmtp".auth]
username = "relay_server"
secret = "123456"

[remote."lmtp".limits]
errors = 3
requests = 50

[remote."imap"]
address = "mail.mydomain.org"
port = 143
protocol = "imap"
concurrency = 10
timeout = "1m"
lookup = true

[remote."imap".cache]
entries = 1000
ttl = {positive = "1d", negative = "1h"}

[remote."imap".tls]
implicit = false
allow-invalid-certs = true
`;

const HOST = '[remote.x]\naddress = "mail.example.org"\nport = 25\nprotocol = "smtp"\n';

async function problemsOf(toml: string): Promise<readonly ConfigProblem[]> {
  try {
    await parseSettings(toml, { file: "remotes.toml" });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
}

async function hostOf(toml: string): Promise<HostSettings> {
  return (await parseSettings(toml)).hosts.get("x")!;
}

/** A key that a linter takes for that of a promise. */
const THEN = "then" as const;

describe("a configuration", () => {
  it("may be the examples of the reference, unchanged", async () => {
    const { hosts } = await parseSettings(REFERENCE);
    const lmtp = hosts.get("lmtp")!;
    const imap = hosts.get("imap")!;
    assert.deepEqual([...hosts.keys()], ["lmtp", "imap"]);
    assert.deepEqual(
      [lmtp.address, lmtp.port, lmtp.protocol, lmtp.concurrency, lmtp.timeoutMs, lmtp.lookup],
      ["localhost", 24, "lmtp", 10, 60_000, true],
    );
    assert.deepEqual(lmtp.auth, { username: "relay_server", secret: "123456" });
    assert.deepEqual([lmtp.tls.implicit, lmtp.tls.allowInvalidCerts, lmtp.tls.startTls], [false, true, "require"]);
    assert.deepEqual(
      [lmtp.cache.entries, lmtp.cache.positiveTtlMs, lmtp.cache.negativeTtlMs],
      [1000, 86_400_000, 3_600_000],
    );
    assert.deepEqual([imap.protocol, imap.port, imap.auth], ["imap", 143, undefined]);
  });

  it("has the defaults of the reference and of RFC 5321", async () => {
    const { hosts, runtime } = await parseSettings(HOST);
    assert.deepEqual(hosts.get("x"), {
      id: "x",
      address: "mail.example.org",
      port: 25,
      protocol: "smtp",
      concurrency: 10,
      timeoutMs: 60_000,
      lookup: false,
      client: "none",
      tls: {
        implicit: true,
        startTls: "require",
        allowInvalidCerts: false,
        serverName: "mail.example.org",
        minVersion: "TLSv1.2",
      },
      allowPlaintextAuth: false,
      bareRecipients: false,
      eightBit: "send",
      timeouts: {
        greetingMs: 300_000,
        mailMs: 300_000,
        rcptMs: 300_000,
        dataInitiationMs: 120_000,
        dataBlockMs: 180_000,
        dataTerminationMs: 600_000,
        commandMs: 300_000,
        lookupMs: 10_000,
      },
      limits: {
        errors: 3,
        requests: 50,
        idleMs: 30_000,
        lifetimeMs: 300_000,
        queue: 10_000,
        queueOctets: 67_108_864,
        pipeline: 50,
        refusals: 5,
        guesses: 10,
      },
      cache: {
        entries: 1024,
        positiveTtlMs: 86_400_000,
        negativeTtlMs: 3_600_000,
        authTtlMs: 300_000,
        stateTtlMs: 60_000,
        staleIfErrorMs: 0,
        staleAuth: false,
        byClient: false,
        refresh: 0,
      },
    });
    assert.deepEqual(
      [runtime.threads, runtime.heartbeatMs, runtime.memoryOctets, runtime.restarts, runtime.restartWindowMs],
      [64, 2000, 2 ** 30, 3, 60_000],
    );
    assert.deepEqual([runtime.start, runtime.idleMs], ["lazy", undefined]);
  });

  it("takes every key, as a text and as an object of the exported type", async () => {
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
          cluster: { concurrency: 9, rate: "4/s", "rate-burst": 5, cache: false, "cache-auth": false },
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
    });
    assert.deepEqual(host.lookups, {
      detectsCatchAll: true,
      acceptsAll: "no-answer",
      harvest: { unknown: 7, windowMs: 300_000, ratio: 0.5 },
    });
    assert.deepEqual(host.cluster, { concurrency: 9, rate: { intervalMs: 250, burst: 5 } });
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
    const used = [
      ...keysOf(full.remote.x),
      "concurrency-per-address",
      ...otherWays,
      ...elsewhere,
      "tls.ca",
      "tls.cert",
      "tls.key",
    ].sort();
    assert.deepEqual(used, Object.keys(HOST_SCHEMA).sort(), "the type and the schema have the same keys");
    assert.deepEqual(Object.keys(full.runtime).sort(), Object.keys(RUNTIME_SCHEMA).sort());
  });

  it("may hold tables of the gateway's own beside rules, and only there", async () => {
    const own = "[queue]\nlimit = [{if = 'rcpt', eq = 'a@b', then = 1}, {else = 2}]\n";
    const settings = await parseSettings(`${HOST}${own}[rule.a]\nif = "rcpt"\neq = "a@b"\n`);
    assert.deepEqual(Object.keys(settings.others ?? {}), ["queue", "rule"]);
    assert.deepEqual(
      (await problemsOf(`${HOST}${own}`)).map(({ key }) => key),
      ["queue"],
    );
    assert.deepEqual(
      (await problemsOf(`plain = 1\n${own}[remotes.y]\n[list]\na = "b"\n`)).map(({ key }) => key),
      ["plain", "remotes"],
    );
  });

  it("may be empty", async () => {
    assert.equal((await parseSettings("")).hosts.size, 0);
    assert.equal((await loadSettings({})).hosts.size, 0);
    assert.equal(
      (await loadSettings({ remote: undefined, runtime: undefined } as unknown as ConfigInput)).hosts.size,
      0,
    );
  });

  it("is frozen through and through, and survives structured clone", async () => {
    const settings = await parseSettings(`${REFERENCE}[rule.a]\nb = [{c = 1}]\n`);
    const seen = new Set<unknown>();
    const check = (value: unknown, path: string): void => {
      if (typeof value !== "object" || value === null || seen.has(value)) {
        return;
      }
      seen.add(value);
      assert.ok(Object.isFrozen(value), path);
      for (const [key, inner] of value instanceof Map ? value : Object.entries(value)) {
        check(inner, `${path}.${key}`);
      }
    };
    check(settings, "settings");
    assert.throws(() => (settings.hosts as Map<string, unknown>).set("y", {}), TypeError);
    assert.throws(() => (settings.hosts as Map<string, unknown>).clear(), TypeError);
    assert.equal(settings.hosts.size, 2);
    const clone: Settings = structuredClone(settings);
    assert.deepEqual([...clone.hosts], [...settings.hosts]);
    assert.deepEqual(clone.runtime, settings.runtime);
  });

  for (const [address, expected] of [
    ["localhost", "localhost"],
    ["mail.example.org.", "mail.example.org."],
    ["my_service", "my_service"],
    ["192.0.2.1", "192.0.2.1"],
    ["2001:db8::1", "2001:db8::1"],
    ["[::1]", "::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
  ] as const) {
    it(`may have the address ${address}`, async () => {
      const host = await hostOf(HOST.replace("mail.example.org", address));
      assert.equal(host.address, expected);
      assert.equal(host.tls.serverName, expected.replace(/\.$/, ""));
    });
  }
});

describe("runtime.hostname", () => {
  const machine = os.hostname;
  const called = async (name: string, toml: string) => {
    os.hostname = () => name;
    syncBuiltinESMExports();
    try {
      const { runtime, warnings } = await parseSettings(toml);
      return [runtime.hostname, warnings.length, warnings[0]?.message] as const;
    } finally {
      os.hostname = machine;
      syncBuiltinESMExports();
    }
  };

  it("is the machine's name where that is fully qualified", async () => {
    assert.deepEqual(await called("gw.example.org", HOST), ["gw.example.org", 0, undefined]);
  });

  it("is none where the machine's name is a single label or no name, and that is warned of", async () => {
    for (const name of ["gw", "localhost", "localhost.localdomain", "g w.example.org", ""]) {
      const [hostname, count, message] = await called(name, HOST);
      assert.deepEqual([hostname, count], [undefined, 1], name);
      assert.match(message ?? "", /is not set, and the name of this machine, ".*", is not fully qualified/);
    }
  });

  it("is warned of only where somebody is told a name", async () => {
    assert.equal((await called("gw", `[runtime]\nhostname = "gw"\n${HOST}`))[1], 0);
    assert.equal((await called("gw", HOST.replace("smtp", "imap")))[1], 0);
    assert.equal((await called("gw", '[remote.x]\naddress = "unix:/a"\nprotocol = "lmtp"\n'))[1], 0);
  });
});

describe("a unix socket", () => {
  it("may be the address, and has its own defaults", async () => {
    for (const [address, path] of [
      ["unix:/run/dovecot/lmtp", "/run/dovecot/lmtp"],
      ["unix:@dovecot", "\0dovecot"],
    ]) {
      const host = await hostOf(`[remote.x]\naddress = "${address}"\nprotocol = "lmtp"\n`);
      assert.deepEqual([host.address, host.socketPath, host.port], [address, path, 0]);
      assert.deepEqual(
        [host.tls.implicit, host.tls.startTls, host.tls.serverName, host.allowPlaintextAuth],
        [false, "disable", "localhost", true],
      );
    }
  });

  it("may be spoken to otherwise", async () => {
    const host = await hostOf(
      '[remote.x]\naddress = "unix:/a"\nprotocol = "lmtp"\ntls = {starttls = "require", server-name = "mail.example.org"}\nauth.allow-plaintext = false\n',
    );
    assert.deepEqual(
      [host.tls.implicit, host.tls.startTls, host.tls.serverName, host.allowPlaintextAuth],
      [false, "require", "mail.example.org", false],
    );
    assert.equal(
      (await hostOf('[remote.x]\naddress = "unix:/a"\nprotocol = "lmtp"\ntls.implicit = true\n')).tls.implicit,
      true,
    );
  });
});

describe("mistakes in a configuration", () => {
  const cases: [name: string, toml: string, line: number, key: string, message: RegExp][] = [
    ["a missing address", "[remote.x]\nport = 25\nprotocol = 'smtp'", 1, "remote.x.address", /is missing/],
    [
      "a missing port",
      "\n[remote.x]\naddress = 'a'\nprotocol = 'smtp'",
      2,
      "remote.x.port",
      /is missing; it must be an integer from 1 to 65535/,
    ],
    ["a missing protocol", "[remote.x]\naddress = 'a'\nport = 1", 1, "remote.x.protocol", /"smtp" or "lmtp" or "imap"/],
    [
      "fingerprints that are no array",
      `${HOST}tls.fingerprints = "sha256:00"`,
      5,
      "remote.x.tls.fingerprints",
      /an array of texts/,
    ],
    ["no fingerprint", `${HOST}tls.fingerprints = []`, 5, "remote.x.tls.fingerprints", /an array of texts/],
    [
      "a fingerprint that is too short",
      `${HOST}tls.fingerprints = ["sha256:00"]`,
      5,
      "remote.x.tls.fingerprints[0]",
      /"sha256:" and 64 hexadecimal digits/,
    ],
    [
      "fingerprints beside allow-invalid-certs",
      `${HOST}tls.fingerprints = ["sha256:${"0".repeat(64)}"]\ntls.allow-invalid-certs = true`,
      6,
      "remote.x.tls.allow-invalid-certs",
      /no meaning beside tls.fingerprints/,
    ],
    ["a socket without a path", HOST.replace("mail.example.org", "unix:"), 2, "remote.x.address", /a unix socket/],
    [
      "a socket with a relative path",
      HOST.replace("mail.example.org", "unix:a"),
      2,
      "remote.x.address",
      /a unix socket/,
    ],
    ["a socket without a name", HOST.replace("mail.example.org", "unix:@"), 2, "remote.x.address", /a unix socket/],
    [
      "a socket with a long path",
      HOST.replace("mail.example.org", `unix:/${"x".repeat(107)}`),
      2,
      "remote.x.address",
      /a unix socket/,
    ],
    [
      "a port beside a socket",
      HOST.replace("mail.example.org", "unix:/a"),
      3,
      "remote.x.port",
      /no meaning for a unix socket/,
    ],
    [
      "a source address beside a socket",
      '[remote.x]\naddress = "unix:/a"\nprotocol = "smtp"\nsource-address = "192.0.2.1"\n',
      4,
      "remote.x.source-address",
      /no meaning for a unix socket/,
    ],
    ["port 0", HOST.replace("25", "0"), 3, "remote.x.port", /1 to 65535/],
    ["port 65536", HOST.replace("25", "65536"), 3, "remote.x.port", /1 to 65535/],
    ["a port with a fraction", HOST.replace("25", "2.5"), 3, "remote.x.port", /an integer/],
    ["a port as text", HOST.replace("25", '"25"'), 3, "remote.x.port", /not a string/],
    ["another protocol", HOST.replace("smtp", "pop3"), 4, "remote.x.protocol", /"smtp"/],
    ["an address with a port", HOST.replace("example.org", "example.org:25"), 2, "remote.x.address", /without a port/],
    [
      "an address that is no IPv4 address",
      HOST.replace("mail.example.org", "192.0.2.256"),
      2,
      "remote.x.address",
      /host name/,
    ],
    [
      "an address that is no IPv6 address",
      HOST.replace("mail.example.org", "[2001:db8::1::2]"),
      2,
      "remote.x.address",
      /host name/,
    ],
    ["an address with a space", HOST.replace("mail.", "mail ."), 2, "remote.x.address", /host name/],
    ["an empty address", HOST.replace("mail.example.org", ""), 2, "remote.x.address", /host name/],
    ["an address with a line feed", HOST.replace("mail.", "mail\\n"), 2, "remote.x.address", /CR, LF or NUL/],
    [
      "a username with NUL",
      `${HOST}auth = {username = "a\\u0000", secret = "s"}`,
      5,
      "remote.x.auth.username",
      /CR, LF or NUL/,
    ],
    ["a secret with CR", `${HOST}auth = {username = "a", secret = "s\\r"}`, 5, "remote.x.auth.secret", /CR, LF or NUL/],
    ["a username without a secret", `${HOST}auth.username = "a"`, 5, "remote.x.auth.username", /needs auth.secret/],
    ["a secret without a username", `${HOST}auth.secret = "a"`, 5, "remote.x.auth.secret", /needs auth.username/],
    [
      "an account on an IMAP host",
      `${HOST.replace("smtp", "imap")}auth = {username = "a",\n secret = "s"}`,
      5,
      "remote.x.auth.username",
      /SMTP and LMTP/,
    ],
    ["a table that is none", `${HOST}tls = true`, 5, "remote.x.tls", /must be a table, not a boolean/],
    ["an array of tables", "[[remote]]\n[[remote.x]]", 1, "remote", /must be a table, not an array/],
    ["a boolean that is none", `${HOST}lookup = "yes"`, 5, "remote.x.lookup", /true or false, not a string/],
    ["a duration without a unit", `${HOST}timeout = "60"`, 5, "remote.x.timeout", /such as "30s"/],
    ["a duration of nothing", `${HOST}timeout = 0`, 5, "remote.x.timeout", /positive integer/],
    ["a duration past every timer", `${HOST}limits.idle = "25d"`, 5, "remote.x.limits.idle", /at most 24d/],
    ["too little memory", "[runtime]\nmemory = '16MiB'", 2, "runtime.memory", /at least 32MiB/],
    ["a heartbeat too short", "[runtime]\nheartbeat = '99ms'", 2, "runtime.heartbeat", /at least 100ms/],
    ["a size without a unit", `${HOST}limits.queue-bytes = "64"`, 5, "remote.x.limits.queue-bytes", /64MiB/],
    ["replies that are no array", `${HOST}replies = "x"`, 5, "remote.x.replies", /an array of tables/],
    [
      "a reply to no command",
      `${HOST}replies = [{ to = "data", code = 550, then = "found" }]`,
      5,
      "remote.x.replies[0].to",
      /"rcpt" or "auth"/,
    ],
    [
      "a reply's text that is no RE2",
      `${HOST}replies = [{ to = "rcpt", text = "(?=x)", then = "found" }]`,
      5,
      "remote.x.replies[0].text",
      /RE2/,
    ],
    [
      "a rule for every reply",
      `${HOST}replies = [{ to = "rcpt", then = "found" }]`,
      5,
      "remote.x.replies[0]",
      /it would fit every reply/,
    ],
    [
      "a rule that opens the door",
      `${HOST}replies = [{ to = "auth", code = 535, then = "found" }]`,
      5,
      "remote.x.replies[0].then",
      /would open the door/,
    ],
    [
      "bare recipients over SMTP",
      `${HOST}bare-recipients = true`,
      5,
      "remote.x.bare-recipients",
      /for LMTP hosts only/,
    ],
    ["ID for SMTP", `${HOST}client = "id"`, 5, "remote.x.client", /"imap" only/],
    ["XCLIENT for IMAP", `${HOST.replace("smtp", "imap")}client = "xclient"`, 5, "remote.x.client", /"smtp" or "lmtp"/],
    ["a refresh of 1", `${HOST}cache.refresh = 1`, 5, "remote.x.cache.refresh", /less than 1/],
    ["a refresh below 0", `${HOST}cache.refresh = -0.1`, 5, "remote.x.cache.refresh", /from 0/],
    ["a rate of no time", `${HOST}limits.rate = "20"`, 5, "remote.x.limits.rate", /"200\/s"/],
    ["a rate of nothing", `${HOST}limits.rate = "0/s"`, 5, "remote.x.limits.rate", /positive integer/],
    ["a rate that is a number", `${HOST}limits.rate = 20`, 5, "remote.x.limits.rate", /not a number/],
    [
      "a look for catch-alls where nobody looks up",
      `${HOST}lookups.catch-all = "detect"`,
      5,
      "remote.x.lookups.catch-all",
      /with lookup = true/,
    ],
    [
      "what to make of catch-alls that nobody looks for",
      `${HOST}lookups.accepts-all = "found"`,
      5,
      "remote.x.lookups.accepts-all",
      /without lookups\.catch-all/,
    ],
    [
      "a shield against harvesting where nobody looks up",
      `${HOST}lookups.harvest.unknown = 20`,
      5,
      "remote.x.lookups.harvest.unknown",
      /with lookup = true/,
    ],
    [
      "a window of no shield",
      `${HOST}lookups.harvest.window = "1m"`,
      5,
      "remote.x.lookups.harvest.window",
      /needs lookups\.harvest\.unknown/,
    ],
    ["a burst of no rate", `${HOST}limits.rate-burst = 20`, 5, "remote.x.limits.rate-burst", /needs limits\.rate/],
    ["a refresh that is not a number", `${HOST}cache.refresh = nan`, 5, "remote.x.cache.refresh", /from 0/],
    ["negative entries", `${HOST}cache.entries = -1`, 5, "remote.x.cache.entries", /from 0/],
    ["no connection at all", `${HOST}concurrency = 0`, 5, "remote.x.concurrency", /from 1/],
    ["a date", `${HOST}concurrency = 1979-05-27`, 5, "remote.x.concurrency", /not a date/],
    ["an older TLS", `${HOST}tls.min-version = "1.1"`, 5, "remote.x.tls.min-version", /"1.2" or "1.3"/],
    ["starttls beside implicit TLS", `${HOST}tls.starttls = "disable"`, 5, "remote.x.tls.starttls", /implicit = false/],
    [
      "a source address that is a name",
      `${HOST}source-address = "localhost"`,
      5,
      "remote.x.source-address",
      /IP address/,
    ],
    ["a hostname that nobody may say", "[runtime]\nhostname = 'my host'", 2, "runtime.hostname", /host name/],
    [
      "an unknown key",
      `${HOST}allow_invalid_certs = true`,
      5,
      "remote.x.allow_invalid_certs",
      /did you mean tls.allow-invalid-certs\?|unknown/,
    ],
    ["a mistyped key", `${HOST}concurency = 1`, 5, "remote.x.concurency", /did you mean concurrency\?/],
    ["a key in camel case", `${HOST}tls.serverName = "a"`, 5, "remote.x.tls.serverName", /did you mean server-name\?/],
    ["a key in the wrong table", `${HOST}implicit = true`, 5, "remote.x.implicit", /did you mean tls.implicit\?/],
    ["a dotted key in quotes", `${HOST}"tls.implicit" = true`, 5, 'remote.x."tls.implicit"', /without the quotes/],
    ["a key like nothing", `${HOST}zzzzzzzz = true`, 5, "remote.x.zzzzzzzz", /known here are address, port/],
    ["a table's child of a plain key", `${HOST}port2 = 1`, 5, "remote.x.port2", /did you mean port\?/],
    ["an unknown table", "[remotes.x]", 1, "remotes", /did you mean remote\?/],
    ["an id with a space", HOST.replace("remote.x", 'remote."a b"'), 1, 'remote."a b"', /no id of a host/],
    [
      "an id of 65 letters",
      HOST.replace("remote.x", `remote.${"x".repeat(65)}`),
      1,
      `remote."${"x".repeat(61)}..."`,
      /no id/,
    ],
    ["an id with a line feed", HOST.replace("remote.x", 'remote."a\\nb"'), 1, 'remote."a\\nb"', /no id/],
    ["__proto__ as an id", HOST.replace("remote.x", "remote.__proto__"), 1, "remote.__proto__", /no id/],
    ["__proto__ as a key", `${HOST}__proto__.port = 1`, 5, "remote.x.__proto__", /unknown/],
    ["constructor as a key", `${HOST}constructor = 1`, 5, "remote.x.constructor", /unknown/],
    ["rules that are no table", "rule = 1", 1, "rule", /must be a table/],
    ["a certificate without a key", `${HOST}tls.cert = "x"`, 5, "remote.x.tls.cert", /needs tls.key|does not exist/],
    ["a CA file that does not exist", `${HOST}tls.ca = "/no/such/file"`, 5, "remote.x.tls.ca", /does not exist/],
    ["a CA file that is a directory", `${HOST}tls.ca = "/"`, 5, "remote.x.tls.ca", /is a directory/],
    [
      "a CA that is no file",
      `${HOST}tls.ca = """-----BEGIN CERTIFICATE-----\nMII"""`,
      5,
      "remote.x.tls.ca",
      /must name a PEM file/,
    ],
  ];
  for (const [name, toml, line, key, message] of cases) {
    it(`are told with line and key: ${name}`, async () => {
      const problem = (await problemsOf(toml)).find((each) => each.key === key);
      assert.ok(problem, `no problem with ${key}`);
      assert.match(problem.message, message);
      assert.deepEqual([problem.file, problem.line, problem.code], ["remotes.toml", line, "CONFIG_VALUE"]);
    });
  }

  it("are told all together, by line", async () => {
    const problems = await problemsOf(
      `${HOST.replace("25", "0")}lookup = 1\n[runtime]\nthreads = 0\n[remote.y]\n[nonsense]\n`,
    );
    assert.deepEqual(
      problems.map(({ line, key }) => `${line} ${key}`),
      [
        "3 remote.x.port",
        "5 remote.x.lookup",
        "7 runtime.threads",
        "8 remote.y.address",
        "8 remote.y.protocol",
        "8 remote.y.port",
        "9 nonsense",
      ],
    );
  });

  it("in an object name no file and no line", async () => {
    const input = {
      remote: { x: { address: 7, port: 25, protocol: "smtp", "tls.implicit": true } },
      rule: { f: () => {} },
    };
    await assert.rejects(loadSettings(input as unknown as ConfigInput), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(
        error.problems.map(({ file, line, key }) => [file, line, key]),
        [
          [undefined, undefined, "rule"],
          [undefined, undefined, "remote.x.address"],
          [undefined, undefined, 'remote.x."tls.implicit"'],
        ],
      );
      return true;
    });
    for (const input of [null, undefined, 7, [], () => {}]) {
      await assert.rejects(loadSettings(input as never), ConfigError);
    }
  });

  it("never show a value, and always show a line", async () => {
    const canary = "Canary7";
    const leaf = fc.constantFrom<unknown>(
      canary,
      `${canary}\n`,
      `-----BEGIN ${canary}`,
      7,
      -1,
      1.5,
      true,
      "1d",
      "1",
      [canary],
      { [canary]: canary },
      "smtp",
      "",
    );
    const keys = [...Object.keys(HOST_SCHEMA), "tls", "cache.ttl", "nonsense", "auth.secret.x"];
    const host = fc.dictionary(fc.constantFrom(...keys), leaf, { maxKeys: 6 });
    await fc.assert(
      fc.asyncProperty(host, fc.constantFrom("remote.x", "remote.'a b'", "runtime", "rule"), async (table, name) => {
        // Later keys of one table may redefine earlier ones: then the text is not TOML, which must not show it either.
        const lines = Object.entries(table).map(([key, value]) => `${key} = ${tomlOf(value)}`);
        for (const problem of await problemsOf(`[${name}]\n${lines.join("\n")}\n`)) {
          assert.ok(problem.line !== undefined && problem.line >= 1);
          assert.doesNotMatch(problem.message, /Canary/);
          assert.match(problem.message, /^[ -~]+$/);
        }
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 1000) },
    );
  });

  it("are all that any object can lead to", async () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      maxDepth: 3,
    });
    const table = fc.dictionary(fc.constantFrom(...Object.keys(HOST_SCHEMA), "tls", "auth", "limits"), anything);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(anything, fc.record({ remote: fc.record({ x: table }), runtime: anything })),
        async (input) => {
          if (typeof input === "string") {
            return;
          }
          try {
            await loadSettings(input as ConfigInput);
          } catch (error) {
            assert.ok(error instanceof ConfigError, String(error));
          }
        },
      ),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 1000) },
    );
  });
});

describe("files of a configuration", () => {
  let directory = "";
  const at = (name: string): string => join(directory, name);

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "relaypost-config-"));
    const pair = await generate([{ name: "commonName", value: "localhost" }], { keySize: 2048 });
    const encrypted = generateKeyPairSync("ed25519", {
      privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    const other = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" });
    await Promise.all([
      writeFile(at("cert.pem"), pair.cert),
      writeFile(at("key.pem"), pair.private),
      writeFile(at("other.pem"), other),
      writeFile(at("encrypted.pem"), encrypted.privateKey),
      writeFile(at("broken.pem"), "-----BEGIN CERTIFICATE-----\nCanary7\n-----END CERTIFICATE-----\n"),
      writeFile(at("latin1.toml"), Buffer.from("# \xe4", "latin1")),
      writeFile(at("remotes.toml"), `${HOST}tls = {ca = "cert.pem", cert = "cert.pem", key = "./key.pem"}\n`),
    ]);
  });
  after(() => rm(directory, { recursive: true }));

  it("may be named by path or URL, and name PEM files beside them", async () => {
    for (const source of [at("remotes.toml"), pathToFileURL(at("remotes.toml"))]) {
      const { tls } = (await loadSettings(source)).hosts.get("x")!;
      assert.match(tls.ca ?? "", /BEGIN CERTIFICATE/);
      assert.equal(tls.cert, tls.ca);
      assert.match(tls.key ?? "", /PRIVATE KEY/);
    }
  });

  for (const [name, tls, key, message] of [
    ["a key of another certificate", 'cert = "cert.pem", key = "other.pem"', "key", /does not belong/],
    ["an encrypted key", 'cert = "cert.pem", key = "encrypted.pem"', "key", /encrypted/],
    ["a certificate as a key", 'cert = "cert.pem", key = "cert.pem"', "key", /no PEM private key/],
    ["a key as a CA", 'ca = "key.pem"', "ca", /no PEM certificate/],
    ["a certificate that cannot be read", 'ca = "broken.pem"', "ca", /cannot be read/],
  ] as const) {
    it(`are checked: ${name}`, async () => {
      await assert.rejects(parseSettings(`${HOST}tls = {${tls}}`, { file: at("x.toml") }), (error) => {
        assert.ok(error instanceof ConfigError);
        assert.deepEqual(
          [error.problems.length, error.problems[0]?.key, error.problems[0]?.line],
          [1, `remote.x.tls.${key}`, 5],
        );
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /Canary/);
        return true;
      });
    });
  }

  for (const [name, source, message] of [
    ["does not exist", () => at("none.toml"), /none\.toml: the file does not exist/],
    ["is a directory", () => directory, /is a directory/],
    ["is not UTF-8", () => at("latin1.toml"), /not UTF-8/],
    ["is on the web", () => new URL("https://example.org/"), /file: URL/],
  ] as const) {
    it(`are refused when the one to load ${name}`, async () => {
      await assert.rejects(
        loadSettings(source()),
        (error) => error instanceof ConfigError && message.test(error.message),
      );
    });
  }
});

function keysOf(table: object, prefix = ""): string[] {
  return Object.entries(table).flatMap(([name, value]) =>
    typeof value === "object" && !Array.isArray(value) ? keysOf(value, `${prefix}${name}.`) : [`${prefix}${name}`],
  );
}

function tomlOf(value: unknown): string {
  if (typeof value !== "object" || value === null) {
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map(tomlOf).join(", ")}]`;
  }
  return `{${Object.entries(value)
    .map(([key, inner]) => `${key} = ${tomlOf(inner)}`)
    .join(", ")}}`;
}
