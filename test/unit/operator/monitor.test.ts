/** The operator's model with a source and a clock of the test's own: rates, gaps, percentiles, failures in the host's own words. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { loadSettings } from "../../../src/config/load.js";
import type { HostSettings } from "../../../src/config/settings.js";
import { newHostStats } from "../../../src/messages/host-stats.js";
import { percentile } from "../../../src/operator/measures.js";
import { Monitor } from "../../../src/operator/monitor.js";
import type { WriteLog } from "../../../src/runtime/log.js";
import type { HostStats } from "../../../src/stats.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const START_MS = Date.UTC(2026, 0, 2, 3, 0, 0);

describe("the operator's model", () => {
  let clock: VirtualClock;
  let stats: HostStats;
  let settings: HostSettings;
  let monitor: Monitor;
  let log: WriteLog;
  let looks: number;

  beforeEach(async () => {
    clock = new VirtualClock();
    const startMs = clock.now();
    stats = { ...newHostStats({ id: "store", address: "192.0.2.1", port: 24, protocol: "lmtp" }), state: "up" };
    settings = (
      await loadSettings({ remote: { store: { address: "mx.example.org", port: 24, protocol: "lmtp" } } })
    ).hosts.get("store")!;
    monitor = new Monitor(clock, () => START_MS + clock.now() - startMs);
    log = monitor.tap({ level: "silent", setLevel: () => {}, write: () => {} }).write;
    looks = 0;
    monitor.open({
      async stats() {
        looks++;
        return { threads: 1, hosts: { store: structuredClone(stats) } };
      },
      settingsOf: (id) => (id === "store" ? settings : undefined),
    });
  });

  async function pass(seconds: number, each: () => void = () => {}): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      each();
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test("looks at nothing before somebody asks, and once a second from then on", async () => {
    await pass(5);
    assert.equal(looks, 0);
    await monitor.reports();
    const first = looks;
    await pass(5);
    assert.equal(looks, first + 5);
    monitor.stop();
    await pass(5);
    assert.equal(looks, first + 5);
  });

  test("tells rates, the hit ratio, percentiles and the uncertain of what was added", async () => {
    stats.relays.settled = 1_000_000;
    await monitor.reports();
    await pass(30, () => {
      stats.relays.settled += 20;
      stats.relays.uncertain += 1;
      stats.lookups.cached += 30;
      stats.lookups.remote += 10;
      stats.durations.relay.counts[5]! += 20;
    });
    const [report] = await monitor.reports();
    assert.equal(report?.messageRate, 20);
    assert.equal(report.lookupRate, 40);
    assert.equal(report.hitRatio, 0.75);
    assert.equal(report.uncertain, 30);
    assert.equal(report.p50Ms, 37.5, "the middle of the bucket of 25 to 50 ms");
    const { seconds, minutes } = monitor.lines("store")!;
    assert.equal(seconds.values.messages.at(-1), 20);
    assert.equal(seconds.values.messages[0], null, "nobody looked then");
    assert.equal(minutes.values.messages.at(-1), 20);
    assert.equal(minutes.values.messages.length, 60);
  });

  test("counts what a new worker did from zero, and nothing below it", async () => {
    stats.relays.settled = 500;
    await monitor.reports();
    await pass(3);
    stats.relays.settled = 7;
    await pass(1);
    assert.equal(monitor.lines("store")!.seconds.values.messages.at(-1), 7);
  });

  test("sees that a host answers nothing, although the cache does", async () => {
    stats.inFlight = 3;
    stats.connections.busy = 1;
    await monitor.reports();
    await pass(15, () => stats.lookups.cached++);
    assert.equal((await monitor.diagnosis("store"))?.cause, "hung");
    stats.lookups.remote++;
    await pass(1);
    assert.notEqual((await monitor.diagnosis("store"))?.cause, "hung");
  });

  test("knows the last failure in the host's own words, how often it was, and that it is over", async () => {
    await monitor.reports();
    stats.opened = stats.connectFailures = 2;
    stats.circuit = "open";
    const fields = { code: "HOST_UNAVAILABLE", reply: { code: 554, text: "<eve@example.org> is not welcome" } };
    log(
      "warn",
      "connect-failed",
      "store",
      "The host refused the connection: 554 <eve@example.org> is not welcome",
      fields,
    );
    await pass(2);
    log(
      "warn",
      "connect-failed",
      "store",
      "The host refused the connection: 554 <eve@example.org> is not welcome",
      fields,
    );
    const hidden = await monitor.diagnosis("store");
    assert.match(hidden!.why, /^2 attempts to connect failed within 2 s.*554 ‹address› is not welcome\.$/);
    const shown = await monitor.diagnosis("store", { addresses: true });
    assert.match(shown!.why, /554 <eve@example.org> is not welcome\.$/);
    stats.opened++;
    stats.circuit = "closed";
    stats.connections.idle = 1;
    await pass(2);
    assert.equal((await monitor.diagnosis("store"))?.cause, "recovering");
  });

  test("keeps the last hundred events of each host, with addresses only where they are asked for", () => {
    for (let number = 0; number < 250; number++) {
      log("warn", "late-verdict", "store", `${number} for anna@example.org`, { code: 250, text: "anna@example.org" });
      log("info", "worker-restarted", "other", "it runs");
    }
    const events = monitor.events("store");
    assert.equal(events.length, 100);
    assert.equal(events[0]?.message, "150 for ‹address›");
    assert.equal(events.at(-1)?.message, "249 for ‹address›");
    assert.deepEqual(events[0]?.fields, { code: 250 }, "a reply's text is not kept");
    assert.equal(monitor.events("store", { addresses: true })[0]?.message, "150 for anna@example.org");
    assert.equal(monitor.events().length, 200);
  });
});

test("a percentile lies within its bucket, and says nothing of nothing", () => {
  assert.ok(Number.isNaN(percentile([0, 0, 0], 50)));
  assert.equal(percentile([10], 50), 0.5);
  assert.equal(percentile([0, 0, 4, 0], 100), 5);
  assert.equal(percentile([...new Array(15).fill(0), 3], 99), 60_000, "the last bucket has no end");
});
