/** Real worker threads with fake actors: crashes, spinning, restart intensity, reload, drain, and the end of the process. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, test } from "node:test";
import type { Worker } from "node:worker_threads";
import type { HostInput } from "../../../src/config/input.js";
import { RelaypostError } from "../../../src/errors.js";
import type { RemoteHosts } from "../../../src/remote-hosts.js";
import { HOST, openFakeHosts, RecordedLog } from "../kit/fake-hosts.js";

let opened: RemoteHosts[] = [];

async function open(...all: Parameters<typeof openFakeHosts>): Promise<RemoteHosts> {
  const hosts = await openFakeHosts(...all);
  opened.push(hosts);
  return hosts;
}

afterEach(async () => {
  const all = opened;
  opened = [];
  await Promise.all(all.map((hosts) => hosts.close({ drainMs: 0 })));
});

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof RelaypostError && error.code === code;
}

/** Asks until the host answers. */
async function untilAnswered(hosts: RemoteHosts, id = "a"): Promise<void> {
  assert.ok((await hosts.host(id).verifyRecipient("yes@example.org", { timeoutMs: 20_000 })).found);
}

describe("worker threads", () => {
  test("each host has its own thread up to the limit, then the least loaded ones are shared", async () => {
    const remote = Object.fromEntries(["a", "b", "c", "d", "e"].map((id) => [id, { address: `${id}.example.org` }]));
    const hosts = await open(remote, { threads: 2 });
    assert.equal((await hosts.stats()).threads, 2);
    for (const id of hosts.ids) {
      assert.deepEqual((await hosts.host(id).verify("user")).values, [`${id}.example.org`]);
    }
  });

  test("a crashed worker is replaced: lookups are asked again, relays are not, other hosts notice nothing", async () => {
    const log = new RecordedLog();
    const hosts = await open({ a: {}, b: {} }, {}, { logger: log.logger });
    const [a, b] = [hosts.host("a"), hosts.host("b")];
    const elsewhere = b.verifyRecipient("hold@example.org");
    const relay = a.relay({ from: "", to: "hold@example.org" }, "content");
    const terminated = a.relay({ from: "", to: ["late@example.org", "b@example.org"] }, "content");
    // Asked again, it crashes its second worker too, and its third, and is given up before its host fails for it.
    const crash = a.verifyRecipient("crash@example.org");
    await assert.rejects(relay, isCode("WORKER_LOST"));
    assert.deepEqual(
      (await terminated).recipients.map(({ status }) => status),
      ["uncertain", "uncertain"],
    );
    await assert.rejects(crash, isCode("WORKER_LOST"));
    await untilAnswered(hosts);
    await b.verifyRecipient("release@example.org");
    assert.ok((await elsewhere).found);
    const { hosts: stats } = await hosts.stats();
    assert.deepEqual([stats.a!.restarts, stats.b!.restarts], [3, 0]);
    const record = await log.event("worker-lost");
    assert.equal(record.hostId, "a");
    assert.equal(record.reason, "crashed as asked");
  });

  test("a thread that ends by itself is replaced", async () => {
    const hosts = await open({ a: {} });
    await assert.rejects(hosts.host("a").verifyRecipient("exit@example.org"), isCode("WORKER_LOST"));
    await untilAnswered(hosts);
  });

  test("hosts that share a crashed thread lose no lookup", async () => {
    const hosts = await open({ a: {}, b: {} }, { threads: 1, restarts: 5 });
    const held = hosts.host("b").verifyRecipient("hold@example.org");
    await assert.rejects(
      hosts.host("a").relay({ from: "", to: "crash@example.org" }, "x").then(assertUncertain),
      isCode("WORKER_LOST"),
    );
    await hosts.host("b").verifyRecipient("release@example.org");
    assert.ok((await held).found);
  });

  test("a spinning worker is replaced", async () => {
    const log = new RecordedLog();
    const hosts = await open({ a: {}, b: {} }, { heartbeat: "100ms" }, { logger: log.logger });
    const spinning = hosts.host("a").verifyRecipient("spin@example.org");
    await assert.rejects(spinning, isCode("WORKER_LOST"));
    assert.match(String((await log.event("worker-lost")).reason), /no sign of life/);
    await untilAnswered(hosts);
    assert.equal((await hosts.stats()).hosts.b!.restarts, 0);
  });

  test("a worker never runs beside its predecessor, whose connections may stand still", async () => {
    const events: string[] = [];
    const watch = (worker: Worker): void => {
      events.push("start");
      worker.once("exit", () => events.push("end"));
    };
    process.on("worker", watch);
    try {
      const hosts = await open({ a: {} }, { heartbeat: "100ms", restarts: 2 });
      await assert.rejects(hosts.host("a").verifyRecipient("stuck@example.org"), isCode("WORKER_LOST"));
      await untilAnswered(hosts);
      assert.deepEqual(events, ["start", "end", "start", "end", "start"]);
    } finally {
      process.off("worker", watch);
    }
  });

  test("a control call to a spinning worker is answered too", async () => {
    const hosts = await open({ a: {} }, { heartbeat: "100ms", restarts: 2 });
    const spinning = hosts.host("a").verifyRecipient("spin@example.org");
    // Control calls may overtake requests; the first one behind it finds the worker spinning, and then its cache lost.
    while ((await hosts.host("a").forget()) > 0) {}
    await assert.rejects(spinning, isCode("WORKER_LOST"));
  });

  test("a worker lost too often leaves its host failed: requests are refused at once", async () => {
    const log = new RecordedLog();
    const hosts = await open({ a: {}, b: {} }, { restarts: 1 }, { logger: log.logger });
    const waiting = hosts.host("a").verifyRecipient("hold@example.org");
    await assert.rejects(hosts.host("a").verifyRecipient("crash@example.org"), isCode("HOST_UNAVAILABLE"));
    await assert.rejects(waiting, isCode("HOST_UNAVAILABLE"));
    await assert.rejects(hosts.host("a").verifyRecipient("yes@example.org"), isCode("HOST_UNAVAILABLE"));
    await assert.rejects(hosts.host("a").relay({ from: "", to: "a@example.org" }, ""), isCode("HOST_UNAVAILABLE"));
    const { hosts: stats } = await hosts.stats();
    assert.deepEqual([stats.a!.state, stats.b!.state], ["failed", "up"]);
    assert.ok(log.records.some(({ event, state }) => event === "worker-lost" && state === "failed"));
  });

  test("open() fails when no thread can be started", async () => {
    const missing = new URL("./no-such-module.js", import.meta.url);
    await assert.rejects(openFakeHosts({ a: {} }, { restarts: 1 }, {}, missing), isCode("HOST_UNAVAILABLE"));
  });

  test("records of the workers reach the gateway's logger, those below its level do not travel", async () => {
    const log = new RecordedLog("warn");
    const hosts = await open({ a: {} }, {}, { logger: log.logger });
    await hosts.host("a").verifyRecipient("log@example.org");
    const record = await log.event("late-verdict");
    assert.deepEqual([record.hostId, record.msg, record.level, record.value], ["a", "as asked", 40, "log@example.org"]);
  });
});

function assertUncertain(): never {
  throw new RelaypostError("WORKER_LOST", "the relay is uncertain, as it ought to be");
}

describe("reload()", () => {
  function input(remote: Record<string, Partial<HostInput>>) {
    return { remote: Object.fromEntries(Object.entries(remote).map(([id, host]) => [id, { ...HOST, ...host }])) };
  }

  test("reports what became of each host and serves them by the new settings", async () => {
    const hosts = await open({ kept: {}, moved: { address: "old.example.org" }, gone: {} });
    const gone = hosts.host("gone");
    const held = gone.verifyRecipient("hold@example.org");
    const report = await hosts.reload(
      input({
        kept: {},
        moved: { address: "new.example.org", limits: { queue: 1 } },
        fresh: { address: "fresh.example.org" },
      }),
    );
    assert.deepEqual(report, { added: ["fresh"], removed: ["gone"], changed: ["moved"], unchanged: ["kept"] });
    assert.deepEqual([...hosts.ids].sort(), ["fresh", "kept", "moved"]);
    assert.ok((await held).found, "what a removed host has in hand is finished");
    assert.deepEqual((await hosts.host("moved").verify("user")).values, ["new.example.org"]);
    assert.deepEqual((await hosts.host("fresh").verify("user")).values, ["fresh.example.org"]);
    await assert.rejects(gone.verifyRecipient("yes@example.org"), isCode("MAILBOX_CLOSED"));
    assert.throws(() => hosts.host("gone"), isCode("UNKNOWN_HOST"));
    assert.equal((await hosts.stats()).hosts.kept!.restarts, 0);
  });

  test("a host that comes back is reached by its old handle too", async () => {
    const hosts = await open({ a: {}, b: {} }, { threads: 1 });
    const b = hosts.host("b");
    await hosts.reload(input({ a: {} }));
    await hosts.reload(input({ a: {}, b: { address: "again.example.org" } }));
    assert.deepEqual((await b.verify("user")).values, ["again.example.org"]);
    assert.equal(hosts.host("b"), b);
  });

  test("another protocol takes a new actor, and the old one finishes what it has", async () => {
    const hosts = await open({ a: {} });
    const held = hosts.host("a").verifyRecipient("hold@example.org");
    const report = await hosts.reload(input({ a: { protocol: "lmtp", address: "lmtp.example.org" } }));
    assert.deepEqual(report.changed, ["a"]);
    assert.equal(hosts.host("a").protocol, "lmtp");
    assert.deepEqual((await hosts.host("a").verify("user")).values, ["lmtp.example.org"]);
    assert.ok((await held).found);
  });

  test("a configuration with mistakes changes nothing", async () => {
    const hosts = await open({ a: {} });
    await assert.rejects(hosts.reload({ remote: { b: { ...HOST, port: 0 } } }), isCode("CONFIG_VALUE"));
    assert.deepEqual(hosts.ids, ["a"]);
    await untilAnswered(hosts);
    assert.deepEqual((await hosts.reload(input({ a: {} }))).unchanged, ["a"]);
  });

  test("changes survive the loss of the worker", async () => {
    const hosts = await open({ a: {} }, { threads: 1, restarts: 2 });
    await hosts.reload(input({ a: { address: "new.example.org" }, b: { address: "b.example.org" } }));
    await assert.rejects(hosts.host("a").verifyRecipient("exit@example.org"), isCode("WORKER_LOST"));
    assert.deepEqual((await hosts.host("a").verify("user")).values, ["new.example.org"]);
    assert.deepEqual((await hosts.host("b").verify("user")).values, ["b.example.org"]);
  });
});

describe("close()", () => {
  test("finishes work in hand, then refuses", async () => {
    const hosts = await open({ a: {}, b: {} });
    const held = hosts.host("a").verifyRecipient("hold@example.org");
    const closed = hosts.close({ drainMs: 1000 });
    await assert.rejects(hosts.host("a").verifyRecipient("yes@example.org"), isCode("MAILBOX_CLOSED"));
    assert.ok((await held).found);
    await closed;
    await hosts.close();
    assert.deepEqual(await hosts.stats(), { threads: 0, hosts: {} });
    await assert.rejects(hosts.reload({}), isCode("MAILBOX_CLOSED"));
    assert.equal(await hosts.host("a").forget(), 0);
  });

  test("without a drain settles everything as it stands", async () => {
    const hosts = await open({ a: {} });
    const lookup = hosts.host("a").verifyRecipient("hold@example.org");
    const relay = hosts.host("a").relay({ from: "", to: "hold@example.org" }, "x");
    await Promise.all([
      hosts.close({ drainMs: 0 }),
      assert.rejects(lookup, isCode("MAILBOX_CLOSED")),
      assert.rejects(relay, isCode("MAILBOX_CLOSED")),
    ]);
  });

  test("settles the requests of a worker that spins", async () => {
    const hosts = await open({ a: {} }, { heartbeat: "100ms" });
    const lookup = hosts.host("a").verifyRecipient("spin@example.org");
    await Promise.all([hosts.close(), assert.rejects(lookup, isCode("MAILBOX_CLOSED"))]);
  });

  test("by the signal of open(), and by await using", async () => {
    const controller = new AbortController();
    const hosts = await open({ a: {} }, {}, { signal: controller.signal });
    const lookup = hosts.host("a").verifyRecipient("hold@example.org");
    controller.abort();
    await assert.rejects(lookup, isCode("MAILBOX_CLOSED"));
    await assert.rejects(openFakeHosts({ a: {} }, {}, { signal: controller.signal }), isCode("ABORTED"));
    const during = new AbortController();
    const opening = openFakeHosts({ a: {}, b: {} }, {}, { signal: during.signal });
    during.abort();
    await assert.rejects(opening, isCode("ABORTED"));
    const disposed = await open({ a: {} });
    await disposed[Symbol.asyncDispose]();
    await assert.rejects(disposed.host("a").verifyRecipient("yes@example.org"), isCode("MAILBOX_CLOSED"));
  });
});

describe("the process", () => {
  const kit = new URL("../kit/fake-hosts.js", import.meta.url).href;

  /** Runs a module to its end; its exit code and what it wrote. */
  async function run(source: string): Promise<{ code: number | null; output: string }> {
    const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    try {
      const file = join(folder, "main.mjs");
      await writeFile(file, `import { openFakeHosts } from ${JSON.stringify(kit)};\n${source}`);
      const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"], timeout: 30_000 });
      let output = "";
      child.stdout.on("data", (chunk) => {
        output += String(chunk);
      });
      const [code] = (await once(child, "close")) as [number | null];
      return { code, output };
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  test("ends by itself after close()", async () => {
    const { code, output } = await run(`
      const hosts = await openFakeHosts({ a: {}, b: {} });
      await hosts.host("a").verifyRecipient("yes@example.org", { timeoutMs: 60_000 });
      await hosts.close();
      console.log("closed");`);
    assert.deepEqual([code, output], [0, "closed\n"]);
  });

  test("stays while hosts are open, also between two workers", async () => {
    const { code, output } = await run(`
      const hosts = await openFakeHosts({ a: {} });
      await hosts.host("a").verifyRecipient("exit@example.org").catch((error) => console.log(error.code));
      console.log((await hosts.host("a").verifyRecipient("yes@example.org")).found);
      process.exit(5);`);
    assert.deepEqual([code, output], [5, "WORKER_LOST\ntrue\n"]);
  });

  test("survives a worker that runs out of memory", async () => {
    const program = `
      const hosts = await openFakeHosts({ a: {}, b: {} }, { heartbeat: "1m", memory: "64MiB" });
      await hosts.host("a").relay({ from: "", to: "hoard@example.org" }, "x").catch((error) => console.log(error.code));
      console.log((await hosts.host("a").verifyRecipient("yes@example.org")).found);
      console.log((await hosts.stats()).hosts.b.restarts);
      await hosts.close();`;
    const { code, output } = await run(program);
    assert.deepEqual([code, output], [0, "true\n0\n"]);
  });

  test("with unref, ends when nothing is asked any more, and not before", async () => {
    const { code, output } = await run(`
      const hosts = await openFakeHosts({ a: {}, b: {} }, {}, { unref: true });
      console.log((await hosts.host("a").verifyRecipient("yes@example.org")).found);
      console.log((await hosts.stats()).threads);
      console.log((await hosts.host("b").relay({ from: "", to: "x@example.org" }, "x")).recipients.length);`);
    assert.deepEqual([code, output], [0, "true\n2\n1\n"]);
  });

  test("may be one that was started with a program on its command line", async () => {
    const program = `import { openFakeHosts } from ${JSON.stringify(kit)};
      const hosts = await openFakeHosts({ a: {} });
      await hosts.close();`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: "inherit",
      timeout: 30_000,
    });
    const [code] = (await once(child, "close")) as [number | null];
    assert.equal(code, 0);
  });
});
