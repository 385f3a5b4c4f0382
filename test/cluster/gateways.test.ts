/** Several gateways, a real Redis and a host that counts: what no part of it shows alone. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/input.js";
import { RemoteHosts } from "../../src/index.js";
import { command } from "./kit/deployments.js";
import type { GatewayProcess } from "./kit/gateways.js";
import { HostileRedis } from "./kit/hostile-redis.js";
import { Stage } from "./kit/stage.js";
import { StrictHost } from "./kit/strict-host.js";

const TOTAL = 9;
/** What a gateway could use by itself. */
const CONCURRENCY = 8;

type OnLoss = "share" | "refuse" | "local";

const stage = Stage.forEachTest(StrictHost.start);

function configOf(url: string, onLoss: OnLoss, lease = "2s"): ConfigInput {
  return {
    // A busy machine is not a lost Redis.
    cluster: { url, name: "test", lease, timeout: "1s", "on-loss": onLoss },
    remote: {
      lmtp: stage.lmtp({ concurrency: CONCURRENCY, limits: { pipeline: 1 }, cluster: { concurrency: TOTAL } }),
    },
  };
}

function start(onLoss: OnLoss, parallel = 2 * CONCURRENCY): GatewayProcess {
  return stage.start(configOf(stage.redis.url, onLoss), parallel);
}

describe("gateways of one cluster", () => {
  test("have no more connections together than the total, and each has its share", async () => {
    const gateways = [start("refuse"), start("refuse"), start("refuse")];
    await Promise.all(gateways.map((gateway) => gateway.until(({ held }) => held === TOTAL / 3)));
    const before = gateways.map(({ tally }) => tally.delivered);
    await Promise.all(
      gateways.map((gateway, index) => gateway.until(({ delivered }) => delivered > before[index]! + 100)),
    );
    assert.equal(stage.host.most, TOTAL);
    for (const { tally } of gateways) {
      assert.equal(tally.uncertain, 0);
      assert.deepEqual(tally.failed, {});
    }
  });

  test("use the places of one that was killed, and of one that has nothing to do", async () => {
    const gateways = [start("refuse"), start("refuse")];
    const idle = start("refuse", 1);
    await Promise.all(gateways.map((gateway) => gateway.until(({ held }) => held === (TOTAL - 1) / 2)));
    await idle.until(({ held }) => held === 1);
    await gateways[0]!.kill();
    await gateways[1]!.until(({ held }) => held === CONCURRENCY);
    assert.equal(stage.host.most, TOTAL);
  });

  test("keep the places of their connections when a reload changes the lease", async () => {
    stage.host.thinkMs = 200;
    await using remotes = await RemoteHosts.open(configOf(stage.redis.url, "share", "5m"));
    const relay = () =>
      remotes.host("lmtp").relay({ from: "a@example.org", to: "b@example.org" }, "Subject: x\r\n\r\nx\r\n");
    const places = async () => {
      const table = await command(stage.redis.url, "HGET", "relaypost:{test}:places", "lmtp");
      const [id, , granted] = String(table).split("\n")[1]!.split(" ");
      return { id, granted: Number(granted) };
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, relay));
    const before = await places();
    assert.equal(before.granted, CONCURRENCY);
    await remotes.reload(configOf(stage.redis.url, "share", "4m"));
    assert.deepEqual(await places(), before);
    await Promise.all(Array.from({ length: CONCURRENCY }, relay));
    assert.equal((await places()).id, before.id);
    assert.equal(stage.host.most, CONCURRENCY);
  });

  test("give their places back when they close", async () => {
    stage.host.thinkMs = 200;
    // Nobody waits for such a lease to end.
    const open = (): Promise<RemoteHosts> => RemoteHosts.open(configOf(stage.redis.url, "share", "5m"));
    const relay = (remotes: RemoteHosts) =>
      remotes.host("lmtp").relay({ from: "a@example.org", to: "b@example.org" }, "Subject: x\r\n\r\nx\r\n");
    const first = await open();
    await Promise.all(Array.from({ length: CONCURRENCY }, () => relay(first)));
    assert.equal(stage.host.most, CONCURRENCY);
    await first.close();
    const second = await open();
    await Promise.all(Array.from({ length: CONCURRENCY }, () => relay(second)));
    assert.equal(stage.host.messages, 2 * CONCURRENCY);
    await stage.host.until(({ connections }) => connections === CONCURRENCY);
    await second.close();
  });
});

describe("Redis is lost", () => {
  test("refuse: nothing is opened any more, requests are refused, and all goes on when it is back", async () => {
    const gateways = [start("refuse"), start("refuse")];
    await Promise.all(gateways.map((gateway) => gateway.until(({ held }) => held >= 4)));
    await stage.redis.kill();
    await Promise.all(gateways.map((gateway) => gateway.until(({ failed }) => (failed.HOST_UNAVAILABLE ?? 0) > 10)));
    await stage.host.until(({ connections }) => connections === 0);
    await stage.redis.restart();
    await Promise.all(gateways.map((gateway) => gateway.until(({ held }) => held >= 4)));
    assert.equal(stage.host.most, TOTAL);
    for (const { tally } of gateways) {
      assert.equal(tally.uncertain, 0);
      assert.deepEqual(Object.keys(tally.failed), ["HOST_UNAVAILABLE"]);
    }
  });

  test("share: each goes on with its part of the total", async () => {
    const gateways = [start("share"), start("share"), start("share")];
    await Promise.all(gateways.map((gateway) => gateway.until(({ held }) => held === 3)));
    stage.host.forget();
    await stage.redis.kill();
    const before = gateways.map(({ tally }) => tally.delivered);
    await Promise.all(
      gateways.map((gateway, index) => gateway.until(({ delivered }) => delivered > before[index]! + 300)),
    );
    assert.equal(stage.host.most, TOTAL);
    for (const { tally } of gateways) {
      assert.deepEqual(tally.failed, {});
      assert.equal(tally.held, 3);
    }
  });

  test("local: each goes on with its own concurrency", async () => {
    const gateways = [start("local"), start("local")];
    await Promise.all(gateways.map((gateway) => gateway.until(({ held }) => held >= 4)));
    await stage.redis.kill();
    await Promise.all(gateways.map((gateway) => gateway.until(({ held }) => held === CONCURRENCY)));
    assert.deepEqual(gateways[0]!.tally.failed, {});
  });

  test("flushed: with refuse, the host never sees more than the total", async () => {
    const gateways = [start("refuse"), start("refuse"), start("refuse")];
    await Promise.all(gateways.map((gateway) => gateway.until(({ held }) => held === 3)));
    await gateways[0]!.kill();
    await command(stage.redis.url, "FLUSHALL");
    await Promise.all(gateways.slice(1).map((gateway) => gateway.until(({ held }) => held >= 4)));
    assert.equal(stage.host.most, TOTAL);
  });

  test("from the start, and saying nothing: a request waits for it once, for no longer than cluster.timeout", async () => {
    const hostile = await HostileRedis.start();
    hostile.greeting = "hang";
    const remotes = await RemoteHosts.open(configOf(hostile.url, "share"));
    const relay = () =>
      remotes.host("lmtp").relay({ from: "a@example.org", to: "b@example.org" }, "Subject: x\r\n\r\nx\r\n");
    const { recipients } = await relay();
    assert.equal(recipients[0]!.status, "delivered");
    await Promise.all(Array.from({ length: 20 }, relay));
    assert.equal(stage.host.most, 1, "a share that nobody was told is one");
    await remotes.close();
    await hostile.close();
  });
});
