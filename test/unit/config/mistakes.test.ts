/** What is wrong in a configuration is told all together, by line and key, and never with a value. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { ConfigInput } from "../../../src/config/input.js";
import { loadSettings } from "../../../src/config/load.js";
import { HOST_SCHEMA } from "../../../src/config/schema.js";
import { ConfigError } from "../../../src/errors.js";
import { HOST, problemsOf } from "../kit/config-texts.js";

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
    ["a tenant without weight", `${HOST}[tenant.a]\nweight = 0`, 6, "tenant.a.weight", /from 1 to 1000/],
    ["a tenant's key that is none", `${HOST}[tenant.a]\nwait = 1`, 6, "tenant.a.wait", /unknown/],
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
