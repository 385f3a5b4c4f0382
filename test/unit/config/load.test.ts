/** What becomes of a configuration: defaults, the machine's name, unix sockets. */
import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { describe, it } from "node:test";
import type { ConfigInput } from "../../../src/config/input.js";
import { loadSettings, parseSettings } from "../../../src/config/load.js";
import type { Settings } from "../../../src/config/settings.js";
import { HOST, hostOf, problemsOf } from "../kit/config-texts.js";

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
