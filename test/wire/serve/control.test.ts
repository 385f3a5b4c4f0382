/** The control listener under load: what each verb does to a host, whom it refuses, and what a trace shows and leaves out. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, statSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { netstring } from "../../../src/serve/netstring.js";
import { House } from "./kit/house.js";

const LISTENERS = `
[serve.map]
protocol = "socketmap"
listen = "unix:FOLDER/map"

[serve.sasl]
protocol = "dovecot-auth"
listen = "unix:FOLDER/sasl"
host = "lmtp"

[serve.mail]
protocol = "lmtp"
listen = "unix:FOLDER/mail"
host = "lmtp"

[serve.control]
protocol = "control"
listen = "unix:FOLDER/control"
addresses = true
`;
const HTTP = `
[serve.http]
protocol = "http"
listen = "127.0.0.1:0"
`;
const run = promisify(execFile);
const TOKEN = "a token of some length";
const CONTENT = "Subject: hello\r\n\r\nMAIL FROM:<not@a.command>\r\nAUTH PLAIN AHVzZXIAbm90aGluZw==\r\n";

interface Answer {
  readonly status: number;
  readonly values: Record<string, unknown>[];
}

/** Asks the control listener, as `relaypost ctl` does. */
async function send(house: House, path: string, body: string, options: object = {}): Promise<IncomingMessage> {
  const socketPath = join(house.folder, "control");
  const outgoing = request({ socketPath, method: "POST", path, ...options });
  outgoing.on("error", () => {});
  outgoing.end(body);
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  return incoming;
}

async function ask(house: House, verb: string, asked: object = {}, options: object = {}): Promise<Answer> {
  const incoming = await send(house, `/${verb}`, JSON.stringify({ by: "ann", ...asked }), options);
  let text = "";
  for await (const chunk of incoming) {
    text += chunk;
  }
  const values = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { status: incoming.statusCode!, values };
}

async function lookUp(house: House, recipient: string): Promise<string> {
  using client = house.connect("map");
  return await client.say(netstring(`lmtp-rcpt ${recipient}`)).until(/,$/);
}

describe("the control listener", { timeout: 60_000 }, () => {
  it("throws away a wrong verdict, and says who did", async () => {
    const known = ["ann@example.org"];
    await using house = await House.open(LISTENERS, { recipients: (address) => known.includes(address) });
    assert.match(await lookUp(house, "new@example.org"), /NOTFOUND/);
    known.push("new@example.org");
    assert.match(await lookUp(house, "new@example.org"), /NOTFOUND/, "for an hour");
    const { values } = await ask(house, "forget", { id: "lmtp", recipient: "new@example.org" });
    assert.deepEqual(values, [{ forgotten: 1 }]);
    assert.match(await lookUp(house, "new@example.org"), /OK/);
    const record = await house.event("host-forgot");
    assert.deepEqual([record.by, record.count, record.hostId], ["ann via serve.control", 1, "lmtp"]);
  });

  it("pauses a host: its connections QUIT, requests wait, and go on when it is resumed", async () => {
    await using house = await House.open(LISTENERS);
    await lookUp(house, "ann@example.org");
    const [connection] = (await ask(house, "connections", { id: "lmtp" })).values;
    assert.equal(connection?.state, "idle");
    assert.equal(connection?.requests, 1);
    assert.equal(connection?.address, "127.0.0.1");
    await ask(house, "pause", { id: "lmtp" });
    while (house.lmtp.open > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(house.lmtp.ledger.connections[0]?.saidGoodbye, true);
    assert.match(await lookUp(house, "ann@example.org"), /OK/, "the cache answers");
    const waiting = lookUp(house, "bob@example.org");
    let why: Answer;
    do {
      why = await ask(house, "why", { id: "lmtp" });
    } while (!/1 request waits/.test(String(why.values[0]?.why)));
    assert.equal(why.values[0]?.cause, "paused");
    assert.match(String(why.values[0]?.why), /^ann via serve\.control paused it/);
    assert.equal(house.lmtp.accepted, 1, "nobody dialled");
    await ask(house, "resume", { id: "lmtp" });
    assert.match(await waiting, /OK/);
  });

  it("tells on /hosts and /metrics how long the oldest request has waited", async () => {
    await using house = await House.open(`${LISTENERS}${HTTP}`);
    const address = house.address("http");
    const get = async (path: string) =>
      (await fetch(`http://127.0.0.1:${address.kind === "tcp" ? address.port : 0}${path}`)).text();
    const seen = async () => {
      const { queued, oldestQueuedMs: ms } = JSON.parse(await get("/hosts")).hosts.lmtp;
      const [, seconds] = /^relaypost_queue_oldest_seconds\{host="lmtp"\} (\S+)$/m.exec(await get("/metrics"))!;
      return { queued, ms, seconds: Number(seconds) };
    };
    await ask(house, "pause", { id: "lmtp" });
    const waiting = lookUp(house, "ann@example.org");
    let first = await seen();
    for (let tries = 0; first.ms === 0; tries++) {
      assert.ok(tries < 500, "the request waits, and nobody says so");
      first = await seen();
    }
    const later = await seen();
    assert.equal(later.queued, 1);
    assert.ok(later.ms >= first.ms && later.seconds >= later.ms / 1000, JSON.stringify({ first, later }));
    await ask(house, "resume", { id: "lmtp" });
    await waiting;
    assert.deepEqual(await seen(), { queued: 0, ms: 0, seconds: 0 });
  });

  it("reports what a shadow has found, to ctl as a table", async () => {
    await using house = await House.open(LISTENERS);
    const { address, port } = house.lmtp;
    const place = `address = "${address}"\nport = ${port}\nprotocol = "lmtp"\nlookup = true\n`;
    const tls = 'tls = { implicit = false, starttls = "disable" }\n';
    const shadow = 'shadow = { host = "lmtp", share = 1 }\n';
    house.write(`${LISTENERS}\n[remote.new]\n${place}${tls}${shadow}`);
    await house.daemon.reload();
    assert.equal((await ask(house, "shadow", { id: "lmtp" })).status, 400, "it has none");
    using client = house.connect("map");
    assert.match(await client.say(netstring("new-rcpt ann@example.org")).until(/,$/), /OK/);
    let answer: Answer;
    do {
      answer = await ask(house, "shadow", { id: "new" });
    } while (!/"agreed":1/.test(JSON.stringify(answer.values)));
    assert.deepEqual([answer.status, answer.values[0]?.host], [200, "lmtp"]);
    const command = join(import.meta.dirname, "../../../src/cli/main.js");
    const socket = join(house.folder, "control");
    const { stdout } = await run(process.execPath, [command, "ctl", "--socket", socket, "shadow", "new"]);
    assert.match(stdout, /^100 % of the lookups are asked of lmtp too/);
    assert.match(stdout, /kind +agreed +only here +only at lmtp +unsure +failed +not asked\nrcpt +1 +0 +0 +0 +0 +0\n/);
  });

  it("refuses requests of a paused host where it is asked to, those too that are known, and resumes by itself", async () => {
    await using house = await House.open(LISTENERS);
    // The third answer comes from the copy that the second one left on the gateway's thread.
    for (let times = 0; times < 3; times++) {
      assert.match(await lookUp(house, "ann@example.org"), /OK/);
    }
    await ask(house, "pause", { id: "lmtp", requests: "refuse", forMs: 2_000 });
    assert.match(await lookUp(house, "ann@example.org"), /TEMP/);
    await house.event("host-resumed");
    assert.match(await lookUp(house, "ann@example.org"), /OK/);
    const questions = house.lmtp.ledger.connections.flatMap(({ commands }) =>
      commands.filter((command) => /^RCPT/.test(command)),
    );
    assert.equal(questions.length, 1, "the cache was not lost by it");
  });

  it("reconnects: the host that came back is asked at once, although its circuit is open", async () => {
    await using house = await House.open(LISTENERS);
    house.lmtp.refuse();
    while (!/tried again/.test(await lookUp(house, "ann@example.org"))) {
      // Three failures open the circuit.
    }
    await house.lmtp.accept();
    await ask(house, "reconnect", { id: "lmtp" });
    assert.match(await lookUp(house, "ann@example.org"), /OK/);
  });

  it("traces connections that are in use: every line, no credentials, no content, and only the recipient that is wanted", async () => {
    await using house = await House.open(LISTENERS, { users: { ann: "right" } });
    await lookUp(house, "ann@example.org");
    const trace = ask(house, "trace", { id: "lmtp", forMs: 4_000 });
    await house.event("host-traced");
    using sasl = house.connect("sasl");
    const resp = Buffer.from("\0ann\0canary-4711").toString("base64");
    sasl.say("VERSION\t1\t1\nCPID\t7\n");
    await sasl.until(/DONE\n/);
    await sasl.say(`AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=${resp}\n`).until(/FAIL\t1/);
    await lookUp(house, "nobody@example.org");
    using mail = house.connect("mail");
    await mail.until(/220 .*\r\n/);
    await mail.say("LHLO me\r\nMAIL FROM:<bo@example.net>\r\n").until(/250 .*\r\n[\s\S]*250 .*\r\n/);
    await mail.say("RCPT TO:<ann@example.org>\r\nDATA\r\n").until(/354 .*\r\n/);
    await mail.say(`${CONTENT}.\r\n`).until(/^250 .*\r\n/m);
    const { values } = await trace;
    const lines = values.map(({ from, text }) => `${from === "host" ? "<" : ">"} ${text}`);
    assert.ok(lines.includes("> AUTH PLAIN ‹credentials›"), lines.join("\n"));
    assert.ok(lines.includes("< 535 ‹left out›"));
    assert.ok(lines.includes("> RCPT TO:<nobody@example.org>"));
    assert.ok(
      lines.includes("> MAIL FROM:<bo@example.net>") || lines.some((line) => line.startsWith("> MAIL FROM:<bo@")),
    );
    assert.ok(lines.some((line) => /^< 550 /.test(line)));
    assert.ok(lines.some((line) => /^> ‹\d+ octets of content›$/.test(line)));
    const text = JSON.stringify(values);
    assert.doesNotMatch(text, /canary|not@a\.command|hello|AHVzZXIA/);
    assert.ok(!text.includes(resp));

    const wanted = ask(house, "trace", { id: "lmtp", recipient: "cy@example.org", lines: 2 });
    while (house.records.filter(({ event }) => event === "host-traced").length < 2) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(["unwanted@example.org", "cy@example.org"].map((each) => lookUp(house, each)));
    const shown = JSON.stringify((await wanted).values);
    assert.match(shown, /RCPT TO:<cy@example\.org>/);
  });

  it("changes the log's level, that of the workers too", async () => {
    await using house = await House.open(LISTENERS);
    await ask(house, "log-level", { level: "error" });
    const before = house.records.length;
    house.lmtp.refuse();
    await lookUp(house, "ann@example.org");
    assert.equal(house.records.slice(before).filter(({ event }) => event === "connect-failed").length, 0);
    const { values } = await ask(house, "why", { id: "lmtp" });
    assert.match(String(values[0]?.why), /ECONNREFUSED/, "the diagnosis knows nevertheless");
    await ask(house, "log-level", { level: "debug" });
    await lookUp(house, "bob@example.org");
    assert.ok(house.records.some(({ event }) => event === "connect-failed"));
  });

  it("shows no recipient unless it is told to", async () => {
    await using house = await House.open(LISTENERS.replace("addresses = true", ""));
    await lookUp(house, "ann@example.org");
    const trace = ask(house, "trace", { id: "lmtp", lines: 2 });
    await house.event("host-traced");
    await lookUp(house, "bob@example.org");
    const text = JSON.stringify((await trace).values);
    assert.match(text, /RCPT TO:‹address›/);
    assert.doesNotMatch(text, /bob/);
  });

  it("refuses pages, other methods, unknown verbs and hosts, wrong words, and bodies without an end", async () => {
    await using house = await House.open(LISTENERS);
    const statusOf = async (path: string, body: string, options: object) =>
      (await send(house, path, body, options)).resume().statusCode;
    assert.equal(await statusOf("/hosts", "{}", { headers: { origin: "http://localhost" } }), 403);
    assert.equal(await statusOf("/hosts", "{}", { headers: { "sec-fetch-site": "none" } }), 403);
    assert.equal(await statusOf("/hosts", "", { method: "GET" }), 405);
    assert.equal(await statusOf("/toString", "{}", {}), 404);
    assert.equal(await statusOf("/hosts", "[]", {}), 400);
    assert.equal(await statusOf("/hosts", "x".repeat(100_000), {}), 413);
    assert.equal((await ask(house, "why", { id: "nobody" })).status, 404);
    assert.equal((await ask(house, "why", {})).status, 400);
    assert.equal((await ask(house, "pause", { id: "lmtp", forMs: "long" })).status, 400);
    assert.equal((await ask(house, "trace", { id: "lmtp", lines: 1e9 })).status, 400);
    assert.equal((await ask(house, "log-level", { level: "loud" })).status, 400);
    assert.equal((await ask(house, "hosts")).status, 200, "and goes on");
  });

  it("is its owner's alone", { skip: process.getuid?.() !== 0 && "only root can become somebody else" }, async () => {
    await using house = await House.open(LISTENERS);
    const path = join(house.folder, "control");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    chmodSync(house.folder, 0o755);
    const script = `require("net").connect(${JSON.stringify(path)}).on("error", (e) => console.log(e.code)).on("connect", function () { console.log("in"); this.end() })`;
    const { stdout } = spawnSync(process.execPath, ["-e", script], { uid: 65_534, gid: 65_534, encoding: "utf8" });
    assert.equal(stdout.trim(), "EACCES");
  });

  it("wants its token on a port, whole", async () => {
    const port = LISTENERS.replace('listen = "unix:FOLDER/control"', 'listen = "127.0.0.1:0"\ntoken-file = "token"');
    await using house = await House.open(LISTENERS);
    writeFileSync(join(house.folder, "token"), `${TOKEN}\n`);
    house.write(port);
    assert.equal(await house.daemon.reload(), true);
    const address = house.address("control");
    assert.equal(address.kind, "tcp");
    const at = { socketPath: undefined, host: "127.0.0.1", port: address.kind === "tcp" ? address.port : 0 };
    for (const authorization of [undefined, "Bearer ", `Bearer ${TOKEN.slice(1)}`, `Bearer ${TOKEN}x`, TOKEN]) {
      const headers = authorization === undefined ? {} : { authorization };
      assert.equal((await ask(house, "hosts", {}, { ...at, headers })).status, 401, authorization);
    }
    assert.equal((await ask(house, "hosts", {}, { ...at, headers: { authorization: `Bearer ${TOKEN}` } })).status, 200);
    assert.ok(!JSON.stringify(house.records).includes(TOKEN));
    house.write(port.replace("127.0.0.1:0", "0.0.0.0:0").replace('token-file = "token"', ""));
    assert.equal(await house.daemon.reload(), false);
    const failed = house.records.findLast(({ event }) => event === "serve-reload-failed");
    assert.match(String(failed?.msg), /must be a unix socket or on loopback/);
  });
});
