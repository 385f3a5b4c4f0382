/** The life of a daemon: what a reload changes and what it leaves alone, how it drains, what it tells by HTTP and to systemd. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { netstring } from "../../../src/serve/netstring.js";
import { House } from "./kit/house.js";

const CLI = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

const MAP = `
[serve.map]
protocol = "socketmap"
listen = "unix:FOLDER/map"
`;
const TABLE = `
[serve.table]
protocol = "tcp-table"
listen = "unix:FOLDER/table"
map = "lmtp-rcpt"
`;
const HTTP = `
[serve.http]
protocol = "http"
listen = "127.0.0.1:0"
`;
const SASL = `
[serve.sasl]
protocol = "dovecot-auth"
listen = "unix:FOLDER/sasl"
host = "imap"
`;
const QUESTION = netstring("lmtp-rcpt ann@example.org");

describe("a daemon", { timeout: 30_000 }, () => {
  const get = async (
    house: House,
    path: string,
    method = "GET",
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: string }> => {
    const address = house.address("http");
    assert.equal(address.kind, "tcp");
    const outgoing = request({
      host: "127.0.0.1",
      port: address.kind === "tcp" ? address.port : 0,
      path,
      method,
      headers,
    }).end();
    const [incoming] = await once(outgoing, "response");
    let body = "";
    for await (const chunk of incoming) {
      body += chunk;
    }
    return { status: incoming.statusCode, body };
  };

  it("keeps the clients of listeners that a reload does not change", async () => {
    await using house = await House.open(MAP);
    using client = house.connect("map");
    await client.say(QUESTION).until(/OK,/);
    house.write(MAP + TABLE);
    assert.equal(await house.daemon.reload(), true);
    await client.say(QUESTION).until(/OK,/);
    using other = house.connect("table");
    await other.say("get ann@example.org\n").until(/200 OK\n/);
    house.write(TABLE.replace("[serve.table]", '[serve.table]\nvalue = "yes"'));
    assert.equal(await house.daemon.reload(), true);
    assert.equal(await client.rest(), "");
    assert.equal(existsSync(`${house.folder}/map`), false);
    // An MTA that keeps the connection for its next question must notice when it asks, not when it waits for the answer.
    const failure = await new Promise((resolve) => client.socket.write(QUESTION, resolve));
    assert.equal((failure as NodeJS.ErrnoException)?.code, "EPIPE");
    assert.equal(await other.rest(), "");
    using changed = house.connect("table");
    await changed.say("get ann@example.org\n").until(/200 yes\n/);
  });

  it("goes on as it was when the file has mistakes, or names a place that is taken", async () => {
    await using house = await House.open(MAP);
    using client = house.connect("map");
    await client.say(QUESTION).until(/OK,/);
    const taken = `[serve.other]\nprotocol = "socketmap"\nlisten = "127.0.0.1:${house.lmtp.port}"\n`;
    for (const text of [`${MAP}\nwrong = 1\n`, "[serve", `${TABLE}${taken}`]) {
      house.write(text);
      assert.equal(await house.daemon.reload(), false);
      await client.say(QUESTION).until(/OK,/);
      assert.equal(house.daemon.addressOf("table"), undefined);
    }
    const failures = house.records.filter(({ event }) => event === "serve-reload-failed");
    assert.equal(failures.length, 3);
    assert.match(failures[0]!.msg, /serve\.toml:\d+: serve\.map\.wrong: is unknown/);
    assert.match(failures[2]!.msg, /EADDRINUSE/);
  });

  it("calls a port that is taken no client's doing", async () => {
    await using house = await House.open(MAP);
    house.write(`${MAP}[serve.in]\nprotocol = "smtp"\nlisten = "127.0.0.1:${house.lmtp.port}"\nhost = "lmtp"\n`);
    assert.equal(await house.daemon.reload(), false);
    assert.deepEqual(
      house.records.filter(({ level }) => Number(level) > 30).map(({ event }) => event),
      ["serve-reload-failed"],
    );
  });

  it("says of a question without sense that its client was told PERM, and names the map", async () => {
    await using house = await House.open(MAP);
    using client = house.connect("map");
    await client.say(netstring("other-rcpt ann@example.org")).until(/PERM [^,]*,/);
    await client.say(netstring("imap-vrfy ann")).until(/PERM [^,]*,/);
    const told = house.records.filter(({ event }) => event === "serve-wrong-question");
    assert.deepEqual(
      told.map(({ map, code, hostId }) => [map, code, hostId]),
      [
        ["other-rcpt", "UNKNOWN_HOST", undefined],
        ["imap-vrfy", "NOT_SUPPORTED", "imap"],
      ],
    );
    assert.match(told[0]!.msg, /^a client was told PERM by other-rcpt: /);
    // Nobody's names are kept: neither in the windows of the log, nor in a record of any length.
    await client.say(netstring(`${"x".repeat(5000)}\x1b-rcpt ann@example.org`)).until(/PERM [^,]*,/);
    assert.ok(house.records.every((record) => JSON.stringify(record).length < 2000));
  });

  it("answers what is in work before it closes, and takes nothing new", async () => {
    await using house = await House.open(MAP + HTTP);
    let answer: () => void = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    house.lmtp.order({ on: "RCPT", waitFor: answered, reply: "250 2.1.5 OK" });
    using client = house.connect("map");
    client.say(QUESTION);
    await house.lmtp.ledger.until(() => house.lmtp.ledger.connections.some(({ commands }) => commands.length > 1));
    const closed = house.daemon.close(10_000);
    using late = house.connect("map");
    assert.equal(await late.rest(), "");
    assert.equal((await get(house, "/readyz")).status, 503);
    answer();
    assert.equal(await client.rest(), netstring("OK OK"));
    await closed;
  });

  it("tells by HTTP how it is", async () => {
    await using house = await House.open(MAP + HTTP);
    using client = house.connect("map");
    await client.say(QUESTION).until(/OK,/);
    assert.deepEqual(await get(house, "/healthz"), { status: 200, body: "ok\n" });
    assert.deepEqual(await get(house, "/readyz"), { status: 200, body: "ready\n" });
    const hosts = JSON.parse((await get(house, "/hosts?pretty")).body);
    const { lmtp } = hosts.hosts;
    assert.equal(lmtp.lookups.remote, 1);
    assert.deepEqual([lmtp.protocol, lmtp.address, lmtp.port], ["lmtp", house.lmtp.address, house.lmtp.port]);
    assert.equal(lmtp.durations.rcpt.counts.length, hosts.boundsMs.length + 1);
    assert.equal(lmtp.rates.lookupsPerSecond >= 0, true);
    assert.equal(hosts.clients.map, 1);
    const { map } = hosts.listeners;
    assert.deepEqual([map.protocol, map.clients, map.answers], ["socketmap", 1, 1]);
    const people = await get(house, "/hosts", "GET", { accept: "text/html,*/*;q=0.8" });
    assert.match(people.body, /^ {2}"hosts": \{$/m);
    const metrics = await get(house, "/metrics");
    assert.equal(metrics.status, 200);
    assert.match(metrics.body, /^# TYPE relaypost_\w+ \w+$/m);
    assert.match(metrics.body, /^relaypost_\w+\{.*host="lmtp".*\} \d/m);
    assert.equal((await get(house, "/other")).status, 404);
    assert.equal((await get(house, "/healthz", "POST")).status, 405);
  });

  it("counts for Prometheus what it does itself, beside what its hosts do", async () => {
    await using house = await House.open(`${MAP}${HTTP}${SASL}`);
    using map = house.connect("map");
    await map.say(QUESTION).until(/OK,/);
    await map.say(netstring("imap-rcpt ann@example.org")).until(/PERM [^,]*,/);
    using mta = house.connect("sasl");
    const response = Buffer.from("\0ann\0wrong").toString("base64");
    await mta.say(`AUTH\t1\tPLAIN\tresp=${response}\n`).until(/FAIL\t1/);
    const withdraw = house.lmtp.order({ on: "RCPT", match: /bob@/, reply: "451 4.3.0 later" });
    await map.say(netstring("lmtp-rcpt bob@example.org")).until(/TEMP [^,]*,/);
    withdraw();
    house.write("nonsense");
    assert.equal(await house.daemon.reload(), false);
    const { body } = await get(house, "/metrics");
    const { version } = JSON.parse(readFileSync(new URL("../../../../package.json", import.meta.url), "utf8"));
    for (const line of [
      'relaypost_listener_clients{listener="map",protocol="socketmap"} 1',
      'relaypost_listener_answers_total{listener="map",protocol="socketmap"} 3',
      'relaypost_listener_login_failures_total{listener="sasl",protocol="dovecot-auth"} 1',
      'relaypost_listener_login_failures_total{listener="map",protocol="socketmap"} 0',
      'relaypost_request_failures_total{host="lmtp",code="REPLY_TRANSIENT"} 1',
      'relaypost_connections_limit{host="lmtp"} 10',
      'relaypost_queue_oldest_seconds{host="lmtp"} 0',
      'relaypost_reloads_total{result="failed"} 1',
      "relaypost_last_reload_successful 0",
      `relaypost_build_info{version="${version}",node="${process.versions.node}"} 1`,
    ]) {
      assert.ok(body.split("\n").includes(line), line);
    }
    for (const name of ["process_cpu_seconds_total", "process_resident_memory_bytes", "nodejs_eventloop_lag_seconds"]) {
      assert.match(body, new RegExp(`^${name} \\d`, "m"));
    }
    assert.match(body, /^relaypost_queue_limit\{host="lmtp"\} [1-9]/m);
    const [, seconds] = /^relaypost_last_reload_timestamp_seconds (\S+)$/m.exec(body)!;
    assert.ok(Math.abs(Number(seconds) * 1000 - Date.now()) < 60_000);
  });

  it("is ready by what is asked of its hosts, and names those that are not", async () => {
    await using house = await House.open(MAP + HTTP);
    await house.lmtp.close();
    using client = house.connect("map");
    // Until the host is taken for unreachable.
    for (let tries = 0; (await get(house, "/readyz")).body === "ready\n"; tries++) {
      assert.ok(tries < 50);
      await client.say(netstring(`lmtp-rcpt user${tries}@example.org`)).until(/(?:TEMP|TIMEOUT) [^,]*,/);
    }
    const ofAll = await get(house, "/readyz?hosts=all");
    assert.equal(ofAll.status, 503);
    assert.match(ofAll.body, /^not ready\nlmtp is \w+\n$/);
    assert.equal((await get(house, "/readyz?hosts=lmtp")).status, 503);
    assert.equal((await get(house, "/readyz?hosts=imap,lmtp")).status, 503);
    for (const query of ["", "?hosts=any", "?hosts=imap"]) {
      const page = await get(house, `/readyz${query}`);
      assert.equal(page.status, 200, query);
      assert.match(page.body, /^ready\nlmtp is \w+\n$/);
    }
    const { lmtp } = JSON.parse((await get(house, "/hosts")).body).hosts;
    assert.equal(lmtp.lastFailure.code, "CONNECT_FAILED");
    assert.ok(lmtp.since <= Date.now() && lmtp.retryAt > lmtp.since, JSON.stringify(lmtp));
    assert.equal(lmtp.oldestQueuedMs, 0);
    const unknown = await get(house, "/readyz?hosts=imap,other");
    assert.equal(unknown.status, 400);
    assert.match(unknown.body, /^there is no host other/);
  });

  it("replaces the socket that a dead daemon left, and no other file", async () => {
    await using house = await House.open("");
    const left = spawn(process.execPath, [
      "-e",
      `require("node:net").createServer().listen(${JSON.stringify(`${house.folder}/map`)}, () => process.kill(process.pid, "SIGKILL"))`,
    ]);
    await once(left, "exit");
    assert.equal(existsSync(`${house.folder}/map`), true);
    house.write(MAP);
    assert.equal(await house.daemon.reload(), true);
    using client = house.connect("map");
    await client.say(QUESTION).until(/OK,/);
    writeFileSync(`${house.folder}/table`, "precious");
    house.write(MAP + TABLE);
    assert.equal(await house.daemon.reload(), false);
    assert.equal(readFileSync(`${house.folder}/table`, "utf8"), "precious");
  });

  it("warns loudly of what other machines can reach", async () => {
    await using house = await House.open(MAP.replace("unix:FOLDER/map", "0.0.0.0:0"));
    const { level, msg } = await house.event("serve-exposed");
    assert.equal(level, 40);
    assert.match(msg, /serve\.map\.listen = "0\.0\.0\.0:0": other machines reach it/);
  });

  it("runs under signals as a command, and tells systemd", async (t) => {
    await using house = await House.open("");
    house.write(MAP);
    const told = join(house.folder, "told");
    writeFileSync(join(house.folder, "systemd-notify"), `#!/bin/sh\necho "$@" >>${told}\n`);
    chmodSync(join(house.folder, "systemd-notify"), 0o755);
    const env = { ...process.env, PATH: `${house.folder}:${process.env.PATH}`, NOTIFY_SOCKET: "/nowhere" };
    const child = spawn(process.execPath, [CLI, "serve", house.file], { env, stdio: ["ignore", "ignore", "pipe"] });
    const exited = once(child, "exit");
    t.after(() => child.kill("SIGKILL"));
    const events: string[] = [];
    let wake: () => void = () => {};
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.trim().split("\n")) {
        events.push((JSON.parse(line) as { event: string }).event);
      }
      wake();
    });
    const until = async (event: string) => {
      while (!events.includes(event)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    await until("serve-ready");
    house.write(MAP + TABLE);
    child.kill("SIGHUP");
    await until("serve-reloaded");
    assert.deepEqual(
      events.filter((event) => event === "serve-listening" || event === "serve-reloaded"),
      ["serve-listening", "serve-listening", "serve-reloaded"],
      "the new listener stands before the event says so",
    );
    house.write("nonsense");
    child.kill("SIGHUP");
    await until("serve-reload-failed");
    child.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
    const lines = readFileSync(told, "utf8").trim().split("\n");
    assert.match(lines[0]!, /^--pid=\d+ READY=1$/);
    assert.match(lines[1]!, /RELOADING=1 MONOTONIC_USEC=\d+$/);
    assert.match(lines.at(-1)!, /STOPPING=1$/);
  });
});
