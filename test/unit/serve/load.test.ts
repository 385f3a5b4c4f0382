/** `[serve]` in a configuration: what it takes, and every mistake with its line, together with those of hosts and rules. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { KeySpec, Schema } from "../../../src/config/key-spec.js";
import { ConfigError } from "../../../src/errors.js";
import { isLocal, parseListenAddress } from "../../../src/serve/listen-address.js";
import { loadFile, warningsOf } from "../../../src/serve/load.js";
import { LISTENER_SCHEMAS, SERVE_SCHEMA } from "../../../src/serve/schema.js";

const HOSTS = `[remote.lmtp]
address = "localhost"
port = 24
protocol = "lmtp"
lookup = true
[remote.quiet]
address = "localhost"
port = 25
protocol = "smtp"
[remote.imap]
address = "localhost"
port = 993
protocol = "imap"
lookup = true
`;

const folder = mkdtempSync(join(tmpdir(), "relaypost-serve-load-"));
after(() => rmSync(folder, { recursive: true }));

function load(text: string) {
  const file = join(folder, "serve.toml");
  writeFileSync(file, HOSTS + text);
  return loadFile(file);
}

/** `line key: message` of each problem; lines count from the end of {@link HOSTS}. */
async function problemsOf(text: string): Promise<string[]> {
  const offset = HOSTS.split("\n").length - 1;
  try {
    await load(text);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    return error.problems.map(({ line, key, message }) => `${(line ?? 0) - offset} ${key}: ${message}`);
  }
}

describe("[serve]", () => {
  it("has defaults for everything but where to listen and whom to ask", async () => {
    const { serve } = await load(`[serve.map]\nprotocol = "socketmap"\nlisten = "unix:/run/relaypost/map"\n`);
    assert.equal(serve.drainMs, 30_000);
    assert.deepEqual(serve.listeners.get("map"), {
      name: "map",
      listen: { kind: "unix", path: "/run/relaypost/map" },
      mode: 0o660,
      clients: 1000,
      idleMs: 300_000,
      timeoutMs: 30_000,
      pipeline: 100,
      proxyFrom: [],
      requestOctets: 8192,
      protocol: "socketmap",
      value: "OK",
    });
    assert.equal((await load("")).serve.listeners.size, 0);
  });

  it("takes rules where the schema says so", async () => {
    const { serve } = await load(`[serve.in]
protocol = "smtp"
listen = "127.0.0.1:2525"
host = [ { if = "rcpt-domain", eq = "example.org", then = "lmtp" }, { else = "550 5.7.1 no relay" } ]
verify = false
`);
    const gateway = serve.listeners.get("in");
    assert.ok(gateway?.protocol === "smtp");
    assert.deepEqual(gateway.host, { kind: "rules", path: ["serve", "in", "host"] });
    assert.deepEqual(gateway.verify, { kind: "plain", value: false });
  });

  it("tells every mistake of hosts, rules and listeners together, with its line", async () => {
    assert.deepEqual(
      await problemsOf(`[serve]
drian = "1s"
[serve.a]
protocol = "socketmap"
listen = "nowhere"
mode = "0660"
limits = { client = 3, idle = "1x" }
[serve.b]
protocol = "gopher"
[serve.c]
protocol = "policy"
listen = "127.0.0.1:1"
host = "imap"
rule = "none"
[serve.d]
protocol = "smtp"
listen = "127.0.0.1:1"
host = [ { if = "rcpt", eq = "a@b.c", then = "imap" }, { if = "bogus", then = "lmtp" }, { else = "nobody" } ]
verify = [ { else = "yes" } ]
auth = { host = "quiet" }
[serve.e]
protocol = "tcp-table"
listen = "127.0.0.1:3"
map = "quiet-rcpt"
proxy-from = ["127.0.0.1/33"]
[serve.f]
protocol = "http"
listen = "0.0.0.0:4"
token-file = "token"
[serve.g]
protocol = "socketmap"
listen = "unix:/run/g"
proxy-from = ["::1"]
[remote.more]
port = 0
protocol = "smtp"
address = "localhost"
`),
      [
        "2 serve.drian: is unknown; did you mean drain?",
        '5 serve.a.listen: must be "127.0.0.1:10031", "[::1]:10031", "localhost:10031" or "unix:/run/relaypost/map"',
        "6 serve.a.mode: is for unix sockets only; leave it out",
        "7 serve.a.limits.client: is unknown; did you mean clients?",
        '7 serve.a.limits.idle: must be a positive integer with ms, s, m, h or d, such as "30s", or a bare integer of seconds; at least 10ms and at most 1d',
        '9 serve.b.protocol: must be one of "socketmap", "tcp-table", "policy", "dovecot-auth", "smtp", "lmtp", "http", "control"',
        "13 serve.c.host: must be the id of an SMTP or LMTP host",
        "14 serve.c.rule: exactly one of host, rule and action must be there",
        "14 serve.c.rule: there is no such [rule.<name>]",
        "17 serve.d.listen: is where serve.c listens already",
        '18 serve.d.host[1].if: there is no [rule."bogus"]',
        "18 serve.d.host[0].then: must be the id of an SMTP or LMTP host",
        "18 serve.d.host[2].else: there is no remote host of that id",
        "19 serve.d.verify[0].else: must be true or false, not a string",
        "20 serve.d.auth.host: that host can only be asked with lookup = true",
        "20 serve.d.auth.host: needs tls.cert and tls.key, or allow-plaintext = true: passwords would be readable",
        "24 serve.e.map: that host can only be asked with lookup = true",
        '25 serve.e.proxy-from[0]: must be an IP address or a range such as "127.0.0.1/32"',
        "29 serve.f.token-file: needs a unix socket or loopback in listen: the token would cross the network in clear",
        "29 serve.f.token-file: cannot be read: ENOENT",
        "33 serve.g.proxy-from: is for TCP listeners only: nobody has an address on a unix socket",
        "35 remote.more.port: must be an integer from 1 to 65535",
      ],
    );
  });

  it("warns of listeners that others can reach, and of passwords in the clear", async () => {
    const { serve } = await load(`[serve.map]
protocol = "socketmap"
listen = "[::]:10031"
[serve.in]
protocol = "smtp"
listen = "[::1]:2525"
host = "lmtp"
auth = { host = "imap", allow-plaintext = true }
`);
    const warnings = warningsOf(serve);
    assert.equal(warnings.length, 2);
    assert.match(warnings[0]!, /^serve\.map\.listen = "\[::\]:10031"/);
    assert.match(warnings[1]!, /^serve\.in\.auth\.allow-plaintext/);
  });
});

describe("an address to listen on", () => {
  it("is a port of an address, or a unix socket", () => {
    assert.deepEqual(parseListenAddress("[::1]:25"), { kind: "tcp", host: "::1", port: 25 });
    for (const wrong of [
      "",
      "25",
      ":25",
      "::1:25",
      "a b:25",
      "127.0.0.1:65536",
      "unix:",
      "unix:here",
      `unix:/${"x".repeat(107)}`,
    ]) {
      assert.equal(parseListenAddress(wrong), undefined, wrong);
    }
  });

  it("is known to be this machine's own, or not", () => {
    const local = (text: string) => isLocal(parseListenAddress(text)!);
    for (const text of ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/x"]) {
      assert.equal(local(text), true, text);
    }
    for (const text of ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "mail.example.org:1"]) {
      assert.equal(local(text), false, text);
    }
  });
});

describe("docs/serve.md", () => {
  const file = new URL("../../../../docs/serve.md", import.meta.url);
  const defaultOf = ({ isRequired, fallback, fallbackName }: KeySpec) =>
    isRequired ? "*required*" : (fallbackName ?? (fallback === undefined ? "none" : `\`${JSON.stringify(fallback)}\``));
  const tableOf = (schema: Schema) =>
    [
      "| key | default | meaning |",
      "|---|---|---|",
      ...Object.entries(schema).map(([key, spec]) => `| \`${key}\` | ${defaultOf(spec)} | ${spec.meaning} |`),
    ].join("\n");

  // UPDATE_DOCS=1 writes the tables instead of comparing them.
  for (const [name, schema] of Object.entries({ serve: SERVE_SCHEMA, ...LISTENER_SCHEMAS })) {
    if (name === "lmtp") {
      continue; // The keys of smtp.
    }
    it(`says of ${name} what the schema says`, async () => {
      const docs = await readFile(file, "utf8");
      const begin = `<!-- keys of ${name}: begin -->\n`;
      const start = docs.indexOf(begin) + begin.length;
      const end = docs.indexOf(`<!-- keys of ${name}: end -->`);
      assert.ok(start >= begin.length && end >= start, `no marks for ${name}`);
      const expected = `\n${tableOf(schema)}\n\n`;
      if (process.env.UPDATE_DOCS === "1") {
        writeFileSync(file, docs.slice(0, start) + expected + docs.slice(end));
      } else {
        assert.equal(docs.slice(start, end), expected);
      }
    });
  }

  it("goes with an example that loads", async () => {
    const { serve } = await loadFile(new URL("../../../../examples/serve.toml", import.meta.url).pathname);
    assert.deepEqual(
      new Set([...serve.listeners.values()].map(({ protocol }) => protocol)),
      new Set(["socketmap", "tcp-table", "policy", "dovecot-auth", "smtp", "lmtp", "http"]),
    );
  });
});
