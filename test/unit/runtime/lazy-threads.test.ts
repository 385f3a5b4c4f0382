/** Threads that are started when somebody asks, and given back when nobody does: real threads with fake actors. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, test } from "node:test";
import type { Worker } from "node:worker_threads";
import { loadSettings } from "../../../src/config/load.js";
import { RelaypostError } from "../../../src/errors.js";
import { heapLimits } from "../../../src/runtime/heap-limits.js";
import { HostLoad } from "../../../src/runtime/slot.js";
import { Supervisor } from "../../../src/runtime/supervisor.js";
import { systemClock, TimerWheel } from "../../../src/timer-wheel.js";
import { FAKE_ENTRY, HOST, openFakeHosts, RecordedLog } from "../kit/fake-hosts.js";

const LAZY = { start: "lazy" } as const;
const OAUTH = {
  "token-url": "https://login.example.org/token",
  "client-id": "gateway",
  "client-secret": "not used here, and long",
} as const;
const MESSAGE = [{ from: "", to: "x@example.org" }, "x"] as const;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
});

async function open(...all: Parameters<typeof openFakeHosts>): ReturnType<typeof openFakeHosts> {
  const hosts = await openFakeHosts(...all);
  ends.push(() => hosts.close({ drainMs: 0 }));
  return hosts;
}

describe('runtime.start = "lazy"', () => {
  test("open() starts no thread, and a request the one of its host", async () => {
    const log = new RecordedLog();
    const hosts = await open({ a: {}, b: {} }, LAZY, { logger: log.logger });
    const before = await hosts.stats();
    assert.deepEqual([before.threads, before.hosts.a!.state], [0, "idle"]);
    assert.ok((await hosts.host("a").verifyRecipient("yes@example.org")).found);
    const after = await hosts.stats();
    assert.deepEqual([after.threads, after.hosts.a!.state, after.hosts.b!.state], [1, "up", "idle"]);
    assert.ok(!log.records.some(({ event }) => event === "worker-restarted"));
  });

  test("is the default", async () => {
    assert.equal((await loadSettings({ remote: { a: HOST } })).runtime.start, "lazy");
  });

  test("close() lets a request through that nobody has awaited yet", async () => {
    const hosts = await open({ a: {} }, LAZY);
    const relay = hosts.host("a").relay(...MESSAGE);
    await hosts.close();
    assert.equal((await relay).recipients[0]!.status, "delivered");
  });

  test("close() without a drain rejects it, and starts nothing", async () => {
    const hosts = await open({ a: {} }, LAZY);
    const started = workersStarted();
    const relay = hosts.host("a").relay(...MESSAGE);
    const rejected = assert.rejects(relay, isCode("MAILBOX_CLOSED"));
    await hosts.close({ drainMs: 0 });
    await rejected;
    assert.equal(started(), 0);
  });

  test("a host that a reload removes does what it was asked before its thread was there", async () => {
    const hosts = await open({ a: {}, b: {} }, LAZY);
    const relay = hosts.host("a").relay(...MESSAGE);
    await hosts.reload({ remote: { b: HOST }, runtime: LAZY });
    assert.equal((await relay).recipients[0]!.status, "delivered");
  });

  test("close() in the middle of a reload leaves no host behind that takes requests and never answers", async () => {
    const remote = { a: { ...HOST, auth: { username: "gw", oauth2: OAUTH } }, b: HOST };
    // Wherever in the reload it happens.
    for (let turns = 0; turns < 60; turns++) {
      const hosts = await open({ a: {} }, LAZY);
      const reload = hosts.reload({ remote, runtime: LAZY }).catch(() => {});
      for (let turn = 0; turn < turns; turn++) {
        await (turn % 4 === 3 ? new Promise((resolve) => setImmediate(resolve)) : undefined);
      }
      await Promise.all([hosts.close({ drainMs: 0 }), reload]);
      for (const id of hosts.ids) {
        await assert.rejects(
          hosts.host(id).verifyRecipient("yes@example.org", { timeoutMs: 50 }),
          isCode("MAILBOX_CLOSED"),
          `after ${turns} turns`,
        );
      }
      assert.deepEqual(hosts.ids, [], `after ${turns} turns`);
    }
  });

  test("a pause is known to the thread that comes later", async () => {
    const hosts = await open({ a: {} }, LAZY);
    await hosts.host("a").pause({ requests: "wait" });
    assert.equal((await hosts.stats()).hosts.a!.state, "paused");
    assert.equal((await hosts.stats()).threads, 0);
  });

  test("a thread that cannot be started fails the request that wanted it", async () => {
    const missing = new URL("./no-such-module.js", import.meta.url);
    const hosts = await open({ a: {} }, { ...LAZY, restarts: 1 }, {}, missing);
    await assert.rejects(hosts.host("a").verifyRecipient("yes@example.org"), isCode("HOST_UNAVAILABLE"));
  });

  test("a host with a cache in a file has a thread to read it; forgetting needs none, a trace does", async () => {
    const hosts = await open({ a: {}, b: { cache: { file: "/nowhere/b.cache" } }, c: {} }, LAZY);
    assert.equal((await hosts.stats()).threads, 1);
    await hosts.host("a").forget();
    assert.equal((await hosts.stats()).threads, 1);
    for await (const _ of hosts.host("c").trace({ lines: 1 })) {
      // The fake actor has none.
    }
    assert.equal((await hosts.stats()).threads, 2);
  });

  test("the process stays while hosts are open that nobody has asked, unless they are unref'd", async () => {
    assert.equal(await exitCodeOf("{}"), 5);
    assert.equal(await exitCodeOf("{ unref: true }"), 0);
  });
});

describe("runtime.idle", () => {
  test("gives back the thread of a host that is not asked; the next request starts another", async () => {
    const worker = nextWorker();
    const hosts = await open({ a: { cache: { file: "/nowhere/a.cache" } } }, { ...LAZY, idle: "1s" });
    await hosts.host("a").verifyRecipient("yes@example.org");
    await once(await worker, "exit");
    const { threads, hosts: stats } = await hosts.stats();
    assert.deepEqual([threads, stats.a!.restarts], [0, 0]);
    // What the file knows has to be forgotten there.
    await hosts.host("a").forget();
    assert.equal((await hosts.stats()).threads, 1);
    assert.ok((await hosts.host("a").verifyRecipient("yes@example.org")).found);
    assert.equal((await hosts.stats()).threads, 1);
  });
});

describe("a thread that is given back", () => {
  async function raise(): Promise<{
    supervisor: Supervisor;
    ask: (value: string) => Promise<boolean>;
    log: RecordedLog;
  }> {
    const settings = await loadSettings({ remote: { a: HOST } });
    const log = new RecordedLog();
    const supervisor = new Supervisor({
      entry: FAKE_ENTRY,
      runtime: settings.runtime,
      heap: heapLimits(settings),
      log: { level: "debug", setLevel() {}, write: (level, event) => log.logger[level]({ event }) },
      wheel: new TimerWheel(systemClock, 20),
      clock: systemClock,
      random: Math.random,
      keepsAlive: true,
      places: { wanted() {}, healthFound() {}, workerStarted() {}, workerEnded() {} },
      tokens: { wanted() {} },
    });
    ends.push(() => supervisor.close(0));
    supervisor.assign(0, settings.hosts.get("a")!);
    await supervisor.awaken();
    const load = new HostLoad("a", 0);
    const ask = async (value: string) => (await supervisor.mailbox.lookup(load, "rcpt", value, "", undefined)).found;
    return { supervisor, ask, log };
  }

  test("what is asked meanwhile is answered by the next one, which is no replacement", async () => {
    const { supervisor, ask, log } = await raise();
    assert.ok(await ask("yes@example.org"));
    const counted = (await supervisor.stats()).get(0)!;
    const resting = supervisor.rest();
    assert.equal(supervisor.state, "resting");
    const [answer, other] = [ask("yes@example.org"), ask("no@example.org")];
    assert.deepEqual((await supervisor.stats()).get(0), undefined);
    await resting;
    assert.deepEqual([await answer, await other], [true, false]);
    assert.equal(supervisor.restarts, 0);
    assert.ok(!log.records.some(({ event }) => event === "worker-restarted" || event === "worker-lost"));
    assert.ok(counted.lookups.remote > 0);
  });

  test("its counters are shown until the next one counts", async () => {
    const { supervisor, ask } = await raise();
    await ask("yes@example.org");
    const { lookups } = (await supervisor.stats()).get(0)!;
    await supervisor.rest();
    assert.equal(supervisor.state, "idle");
    assert.deepEqual((await supervisor.stats()).get(0)!.lookups, lookups);
  });

  test("it is not while a request is under way", async () => {
    const { supervisor, ask } = await raise();
    const held = ask("hold@example.org");
    await supervisor.rest();
    assert.equal(supervisor.state, "up");
    await ask("release@example.org");
    assert.ok(await held);
  });

  test("close() meanwhile waits for its end", async () => {
    const { supervisor } = await raise();
    const resting = supervisor.rest();
    await supervisor.close(1000);
    assert.deepEqual([supervisor.state, supervisor.threadCount], ["stopped", 0]);
    await resting;
  });
});

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof RelaypostError && error.code === code;
}

function workersStarted(): () => number {
  let count = 0;
  const seen = (): void => {
    count++;
  };
  process.on("worker", seen);
  ends.push(async () => void process.off("worker", seen));
  return () => count;
}

function nextWorker(): Promise<Worker> {
  return new Promise((resolve) => process.once("worker", resolve));
}

/** Of a process that opens hosts, asks nothing, and would end with 5 if it were still there after a while. */
async function exitCodeOf(options: string): Promise<number | null> {
  const kit = JSON.stringify(new URL("../kit/fake-hosts.js", import.meta.url).href);
  const program = `import { openFakeHosts } from ${kit};
    await openFakeHosts({ a: {} }, { start: "lazy" }, ${options});
    setTimeout(() => process.exit(5), 100).unref();`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: "inherit",
    timeout: 30_000,
  });
  const [code] = (await once(child, "close")) as [number | null];
  return code;
}
