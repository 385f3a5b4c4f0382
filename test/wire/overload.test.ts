/** The whole house on loopback when there is too much to do, too little time, or a thread less: what is refused, what is settled, and what comes back. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { pino } from "pino";
import { type HostInput, RelaypostError, type RemoteHost, RemoteHosts } from "../../src/index.js";
import { listenMail, type MailSessionOptions, type StrictServer } from "../../src/testing/index.js";
import { closeAfterEach } from "./kit/closing.js";

const closing = closeAfterEach();

async function listen(options: MailSessionOptions = {}): Promise<StrictServer> {
  const server = await listenMail(options);
  closing.push(() => server.close());
  return server;
}

function hostOf(server: StrictServer, host: Partial<HostInput> = {}): HostInput {
  return {
    address: server.address,
    port: server.port,
    protocol: "smtp",
    lookup: true,
    tls: { implicit: false, starttls: "disable" },
    ...host,
  };
}

async function open(remote: Record<string, HostInput>): Promise<RemoteHosts> {
  const hosts = await RemoteHosts.open({ remote, runtime: { start: "eager" } }, { logger: pino({ level: "silent" }) });
  closing.push(() => hosts.close({ drainMs: 0 }));
  return hosts;
}

/** Holds the server's answers at a stage until it is released. */
function hold(server: StrictServer, on: string): () => void {
  let release!: () => void;
  const waitFor = new Promise<void>((resolve) => {
    release = resolve;
  });
  const withdraw = server.order({ on, waitFor });
  return () => {
    withdraw();
    release();
  };
}

/** A message that is under way, so that all others wait. */
async function occupy(server: StrictServer, host: RemoteHost, name: string): Promise<{ settled: Promise<string> }> {
  const settled = outcome(host.relay(to(name), "x"));
  await server.ledger.until(({ commands }) => commands.some((line) => line.includes(`<${name}@`)));
  return { settled };
}

function to(name: string): { from: string; to: string } {
  return { from: "me@a.example", to: `${name}@b.example` };
}

async function outcome(request: Promise<unknown>): Promise<string> {
  try {
    const value = (await request) as { recipients?: { status: string }[]; found?: boolean };
    return value.recipients?.map(({ status }) => status).join(" ") ?? String(value.found);
  } catch (error) {
    assert.ok(error instanceof RelaypostError, String(error));
    return error.code;
  }
}

/** Its outcome when it is settled by now, before the event loop turns. */
function outcomeNow(request: Promise<unknown>): Promise<string> {
  return Promise.race([outcome(request), nextTurn("later")]);
}

function repeat<T>(count: number, make: (number: number) => T): T[] {
  return Array.from({ length: count }, (_, number) => make(number));
}

describe("a full queue", () => {
  test("refuses at once by count, serves all it took, and then takes as many again", async () => {
    const server = await listen();
    const host = (await open({ a: hostOf(server, { concurrency: 1, limits: { queue: 5 } }) })).host("a");
    for (let round = 0; round < 3; round++) {
      const release = hold(server, "RCPT");
      const first = await occupy(server, host, `first${round}`);
      const waiting = repeat(5, (number) => outcome(host.relay(to(`w${number}`), "x")));
      const refused = [
        ...repeat(100, () => outcomeNow(host.relay(to("refused"), "x"))),
        ...repeat(100, (number) => outcomeNow(host.verifyRecipient(`refused${number}@b.example`))),
      ];
      assert.deepEqual(new Set(await Promise.all(refused)), new Set(["MAILBOX_FULL"]));
      release();
      assert.deepEqual(new Set(await Promise.all([first.settled, ...waiting])), new Set(["delivered"]));
    }
    assert.equal(server.ledger.deliveryCount, 18);
    assert.ok(!server.ledger.commands.some((line) => line.includes("refused")));
  });

  test("refuses at once by octets, takes what needs no room, and then takes as many again", async () => {
    const server = await listen({ keep: "envelope" });
    const limits = { "queue-bytes": "250KiB" };
    const host = (await open({ a: hostOf(server, { concurrency: 1, limits }) })).host("a");
    const content = "x".repeat(99 * 1024);
    for (let round = 0; round < 3; round++) {
      const release = hold(server, "RCPT");
      const first = await occupy(server, host, `first${round}`);
      const waiting = repeat(2, (number) => outcome(host.relay(to(`w${number}`), content)));
      assert.equal(await outcomeNow(host.relay(to("refused"), content)), "MAILBOX_FULL");
      const small = outcome(host.relay(to("small"), "small"));
      const stream = outcome(host.relay(to("stream"), Readable.from([Buffer.from(content)])));
      assert.equal(await outcomeNow(host.verifyRecipient(`later${round}@b.example`)), "later");
      release();
      assert.deepEqual(new Set(await Promise.all([first.settled, ...waiting, small, stream])), new Set(["delivered"]));
    }
    assert.equal(server.ledger.deliveryCount, 15);
  });

  test("has room again as soon as requests are given up", async () => {
    const server = await listen();
    const hosts = await open({ a: hostOf(server, { concurrency: 1, limits: { queue: 8 } }) });
    const host = hosts.host("a");
    const release = hold(server, "RCPT");
    const first = await occupy(server, host, "first");
    for (let round = 0; round < 5; round++) {
      const controller = new AbortController();
      const given = [
        ...repeat(4, (number) => host.relay(to(`given${number}`), "x", { signal: controller.signal })),
        ...repeat(2, () => host.verifyRecipient("given@b.example", { timeoutMs: 1 })),
        ...repeat(2, () => host.relay(to("given"), "x", { timeoutMs: 1 })),
      ].map(outcome);
      assert.equal(await outcomeNow(host.relay(to("refused"), "x")), "MAILBOX_FULL");
      controller.abort();
      const expected = [...repeat(4, () => "ABORTED"), ...repeat(4, () => "DEADLINE_EXCEEDED")];
      assert.deepEqual(await Promise.all(given), expected);
    }
    const { queued, inFlight } = (await hosts.stats()).hosts.a!;
    assert.deepEqual({ queued, inFlight }, { queued: 0, inFlight: 1 }, "what was given up stands in no queue");
    release();
    assert.equal(await first.settled, "delivered");
    assert.equal(await outcome(host.relay(to("last"), "x")), "delivered");
    assert.deepEqual(
      server.ledger.transactions.map(({ recipients }) => recipients[0]?.address),
      ["first@b.example", "last@b.example"],
    );
  });
});

describe("close()", () => {
  test("settles what is under way, what waits and what streams", async () => {
    const server = await listen();
    const hosts = await open({ a: hostOf(server, { concurrency: 2 }), b: hostOf(server, { concurrency: 1 }) });
    const host = hosts.host("a");
    hold(server, "terminator");
    const terminated = outcome(host.relay(to("terminated"), "x"));
    await server.ledger.until(({ transactions }) =>
      transactions.some(({ isTerminated, finalReplies }) => isTerminated && finalReplies.length === 0),
    );
    const endless = new Readable({ read() {} });
    endless.push("a beginning");
    const streaming = outcome(host.relay(to("streaming"), endless));
    const waiting = repeat(20, (number) => outcome(host.relay(to(`w${number}`), "x")));
    const lookups = repeat(20, (number) => outcome(host.verifyRecipient(`l${number}@b.example`)));
    await hosts.close({ drainMs: 50 });
    assert.equal(await terminated, "uncertain");
    assert.equal(await streaming, "MAILBOX_CLOSED");
    assert.ok(endless.destroyed);
    for (const settled of await Promise.all(waiting)) {
      assert.match(settled, /^(MAILBOX_CLOSED|uncertain)$/);
    }
    for (const settled of await Promise.all(lookups)) {
      assert.match(settled, /^(MAILBOX_CLOSED|true)$/);
    }
    assert.equal(await outcomeNow(host.relay(to("late"), "x")), "MAILBOX_CLOSED");
  });

  test("settles what waits for a peer that accepts and says nothing", async () => {
    const server = await listen();
    hold(server, "greeting");
    const hosts = await open({ a: hostOf(server) });
    const requests = repeat(5, (number) => outcome(hosts.host("a").relay(to(`w${number}`), "x")));
    await server.connection(1);
    await hosts.close({ drainMs: 50 });
    assert.deepEqual(new Set(await Promise.all(requests)), new Set(["MAILBOX_CLOSED"]));
  });
});

describe("the loss of a worker", () => {
  /** The threads of the hosts, in their order. */
  async function openWatched(remote: Record<string, HostInput>): Promise<{ hosts: RemoteHosts; workers: Worker[] }> {
    const workers: Worker[] = [];
    const watch = (worker: Worker): unknown => workers.push(worker);
    process.on("worker", watch);
    closing.push(async () => process.off("worker", watch));
    return { hosts: await open(remote), workers };
  }

  test("costs other hosts nothing: no request, no connection, no cached answer", async () => {
    const [fallen, other] = [await listen(), await listen()];
    const { hosts, workers } = await openWatched({ a: hostOf(fallen), b: hostOf(other, { concurrency: 1 }) });
    const [a, b] = [hosts.host("a"), hosts.host("b")];
    await b.verifyRecipient("known@b.example");
    for (let round = 0; round < 3; round++) {
      assert.equal(await outcome(a.relay(to("before"), "x")), "delivered");
      const restarted = workers.length === 2 ? workers[0]! : workers.at(-1)!;
      const gone = once(restarted, "exit");
      void restarted.terminate();
      const elsewhere = repeat(20, (number) => outcome(b.relay(to(`n${number}`), "x")));
      assert.deepEqual(new Set(await Promise.all(elsewhere)), new Set(["delivered"]));
      assert.equal((await b.verifyRecipient("known@b.example")).source, "cache");
      await gone;
      // Asked again of the next worker.
      assert.equal(await outcome(a.verifyRecipient(`round${round}@b.example`)), "true");
    }
    const { hosts: stats } = await hosts.stats();
    assert.deepEqual([stats.a?.restarts, stats.b?.restarts], [3, 0]);
    assert.equal(stats.b?.opened, other.accepted);
    assert.equal(other.peak, 1);
  });

  test("leaves a terminated message uncertain and sends it to nobody again; what had not come so far was delivered to nobody", async () => {
    const server = await listen();
    const { hosts, workers } = await openWatched({ a: hostOf(server, { concurrency: 1 }) });
    const host = hosts.host("a");
    const release = hold(server, "terminator");
    const terminated = outcome(host.relay({ from: "me@a.example", to: ["x@b.example", "y@b.example"] }, "x"));
    await server.ledger.until(({ transactions }) => transactions[0]?.isTerminated === true);
    const waiting = repeat(3, (number) => outcome(host.relay(to(`w${number}`), "x")));
    const lookup = outcome(host.verifyRecipient("asked@b.example"));
    // So that the worker has them all.
    await hosts.stats();
    void workers[0]!.terminate();
    assert.equal(await terminated, "uncertain uncertain");
    assert.deepEqual(await Promise.all(waiting), ["WORKER_LOST", "WORKER_LOST", "WORKER_LOST"]);
    release();
    assert.equal(await lookup, "true");
    assert.equal(await outcome(host.relay(to("after"), "x")), "delivered");
    const senders = server.ledger.transactions.filter(({ isTerminated }) => isTerminated);
    assert.deepEqual(
      senders.map(({ recipients }) => recipients[0]!.address),
      ["x@b.example", "after@b.example"],
    );
  });
});

describe("reload()", () => {
  test("leaves an unchanged host its connection and its cache; a changed one loses both", async () => {
    const [kept, changed] = [await listen(), await listen()];
    const remote = { kept: hostOf(kept, { concurrency: 1 }), changed: hostOf(changed, { concurrency: 1 }) };
    const hosts = await open(remote);
    for (const id of hosts.ids) {
      assert.equal(await outcome(hosts.host(id).relay(to("before"), "x")), "delivered");
      await hosts.host(id).verifyRecipient("known@b.example");
    }
    const report = await hosts.reload({ remote: { ...remote, changed: hostOf(changed, { concurrency: 2 }) } });
    assert.deepEqual(report, { added: [], removed: [], changed: ["changed"], unchanged: ["kept"] });
    for (const id of hosts.ids) {
      assert.equal(await outcome(hosts.host(id).relay(to("after"), "x")), "delivered");
    }
    assert.equal((await hosts.host("kept").verifyRecipient("known@b.example")).source, "cache");
    assert.equal((await hosts.host("changed").verifyRecipient("known@b.example")).source, "remote");
    assert.equal(kept.accepted, 1);
    assert.equal(changed.accepted, 2);
    await changed.ledger.until(({ connections }) => connections[0]!.saidGoodbye);
  });

  test("lets a message that is under way finish by the old settings while new ones use the new", async () => {
    const [old, next] = [await listen(), await listen()];
    const hosts = await open({ a: hostOf(old, { concurrency: 2 }) });
    const release = hold(old, "terminator");
    const before = outcome(hosts.host("a").relay(to("before"), "x"));
    await old.ledger.until(({ transactions }) => transactions[0]?.isTerminated === true);
    await hosts.reload({ remote: { a: hostOf(next, { concurrency: 2 }) } });
    assert.equal(await outcome(hosts.host("a").relay(to("after"), "x")), "delivered");
    release();
    assert.equal(await before, "delivered");
    assert.deepEqual([old.ledger.deliveryCount, next.ledger.deliveryCount], [1, 1]);
  });

  test("a host that is removed and added again keeps to its concurrency, with what it has in hand counted", async () => {
    const [server, other] = [await listen(), await listen()];
    const kept = { kept: hostOf(other, { concurrency: 1 }) };
    const hosts = await open({ ...kept, a: hostOf(server, { concurrency: 2 }) });
    const release = hold(server, "terminator");
    const first = outcome(hosts.host("a").relay(to("first"), "x"));
    await server.ledger.until(({ transactions }) => transactions[0]?.isTerminated === true);
    await hosts.reload({ remote: kept });
    await hosts.reload({ remote: { ...kept, a: hostOf(server, { concurrency: 2 }) } });
    const second = outcome(hosts.host("a").relay(to("second"), "x"));
    await server.ledger.until(({ transactions }) => transactions[1]?.isTerminated === true);
    const third = outcome(hosts.host("a").relay(to("third"), "x"));
    // So that the worker has it.
    assert.equal((await hosts.stats()).hosts.a!.connections.opening, 0);
    // Once more, while both have something in hand.
    await hosts.reload({ remote: kept });
    await hosts.reload({ remote: { ...kept, a: hostOf(server, { concurrency: 2 }) } });
    const fourth = outcome(hosts.host("a").relay(to("fourth"), "x"));
    const { connections, queued } = (await hosts.stats()).hosts.a!;
    assert.deepEqual([connections.opening, queued], [0, 1]);
    release();
    for (const result of [first, second, third, fourth]) {
      assert.equal(await result, "delivered");
    }
    assert.equal(server.peak, 2);
  });
});

describe("the process", { timeout: 60_000 }, () => {
  /** Runs a module beside the server to its end; its exit code and what it wrote. */
  async function run(server: StrictServer, source: string): Promise<{ code: number | null; output: string }> {
    const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    closing.push(() => rm(folder, { recursive: true }));
    const file = join(folder, "main.mjs");
    const library = new URL("../../src/index.js", import.meta.url).href;
    // Connections that nothing but the end of the process would close.
    const remote = { a: hostOf(server, { limits: { idle: "1h", lifetime: "1h" } }) };
    await writeFile(
      file,
      `import { RemoteHosts } from ${JSON.stringify(library)};\nconst remote = ${JSON.stringify(remote)};\n${source}`,
    );
    const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"], timeout: 60_000 });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
    });
    const [code] = (await once(child, "close")) as [number | null];
    return { code, output };
  }

  test("ends by itself after close(), which says QUIT", async () => {
    const server = await listen();
    const { code, output } = await run(
      server,
      `
      const hosts = await RemoteHosts.open({ remote });
      console.log((await hosts.host("a").relay({ from: "", to: "x@b.example" }, "x")).recipients[0].status);
      await hosts.close();
      console.log("closed");`,
    );
    assert.deepEqual([code, output], [0, "delivered\nclosed\n"]);
    await server.ledger.until(({ connections }) => connections[0]?.saidGoodbye === true);
  });

  test("with unref, ends although connections stand, and not before its requests are settled", async () => {
    const server = await listen();
    const { code, output } = await run(
      server,
      `
      const hosts = await RemoteHosts.open({ remote }, { unref: true });
      for (const name of ["x", "y"]) {
        console.log((await hosts.host("a").relay({ from: "", to: name + "@b.example" }, "x")).recipients[0].status);
      }`,
    );
    assert.deepEqual([code, output], [0, "delivered\ndelivered\n"]);
  });

  test("with unref, waits for a lookup that is asked again of the next worker", async () => {
    const server = await listen();
    const { code, output } = await run(
      server,
      `
      const workers = [];
      process.on("worker", (worker) => workers.push(worker));
      const hosts = await RemoteHosts.open({ remote }, { unref: true });
      await hosts.host("a").verifyRecipient("x@b.example");
      void workers[0].terminate();
      console.log((await hosts.host("a").verifyRecipient("y@b.example")).found);`,
    );
    assert.deepEqual([code, output], [0, "true\n"]);
  });
});
