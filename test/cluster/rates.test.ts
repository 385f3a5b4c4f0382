/** One rate for several gateways: a real Redis, gateways in processes of their own, and a host that notes when messages come. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/input.js";
import { RemoteHosts } from "../../src/index.js";
import { GatewayProcess } from "./kit/gateways.js";
import { HostileRedis } from "./kit/hostile-redis.js";
import { RedisServer } from "./kit/redis-server.js";
import { StrictHost } from "./kit/strict-host.js";

const PER_SECOND = 100;
const BURST = 20;
/** What a busy machine may hold up of the first messages: then more come in less time. */
const HELD_UP_MS = 1_000;

let redis: RedisServer;
let host: StrictHost;
let running: GatewayProcess[] = [];

function configOf(url: string, onLoss: "share" | "refuse" | "local"): ConfigInput {
  return {
    cluster: { url, name: "test", lease: "2s", timeout: "1s", "on-loss": onLoss },
    remote: {
      lmtp: {
        address: "127.0.0.1",
        port: host.port,
        protocol: "lmtp",
        tls: { implicit: false, starttls: "disable" },
        cluster: { rate: `${PER_SECOND}/s`, "rate-burst": BURST },
      },
    },
  };
}

function start(onLoss: "share" | "refuse"): GatewayProcess {
  const gateway = GatewayProcess.start({ config: configOf(redis.url, onLoss), parallel: 10 });
  running.push(gateway);
  return gateway;
}

/** The most that may have come in so long. */
function most(ms: number, gateways: number, perSecond = PER_SECOND): number {
  return (perSecond * (ms + HELD_UP_MS)) / 1000 + BURST + gateways;
}

beforeEach(async () => {
  redis = await RedisServer.start();
  host = await StrictHost.start();
  host.thinkMs = 0;
});

afterEach(async () => {
  await Promise.all(running.map((gateway) => gateway.kill()));
  running = [];
  await host.close();
  await redis.close();
});

describe("gateways of one cluster", () => {
  test("begin no more messages together than the rate allows, and each has its part", async () => {
    const sinceMs = performance.now();
    const gateways = [start("refuse"), start("refuse"), start("refuse")];
    await Promise.all(gateways.map((gateway) => gateway.until(({ delivered }) => delivered >= 150)));
    assert.ok(host.messages <= most(performance.now() - sinceMs, 3), `${host.messages} messages are too many`);
    for (const { tally } of gateways) {
      assert.deepEqual(tally.failed, {});
      assert.ok(tally.delivered <= 300, "one had twice what another had");
    }
    await Promise.all(gateways.slice(1).map((gateway) => gateway.kill()));
    // The parts of those that died are in use again.
    await gateways[0]!.until(({ part }) => part > 0.9);
  });

  test("share: each goes on with its part while Redis is lost", async () => {
    const gateways = [start("share"), start("share")];
    await Promise.all(gateways.map((gateway) => gateway.until(({ delivered }) => delivered >= 50)));
    await redis.kill();
    const sinceMs = performance.now();
    const before = host.messages;
    const delivered = gateways.map(({ tally }) => tally.delivered);
    await Promise.all(
      gateways.map((gateway, index) => gateway.until((tally) => tally.delivered >= delivered[index]! + 150)),
    );
    assert.ok(host.messages - before <= most(performance.now() - sinceMs, 2));
    assert.deepEqual(gateways[0]!.tally.failed, {});
  });

  test("refuse: nothing begins while Redis is lost, and requests are refused at once", async () => {
    const hostile = await HostileRedis.start();
    const remotes = await RemoteHosts.open(configOf(hostile.url, "refuse"));
    const relay = () =>
      remotes.host("lmtp").relay({ from: "a@example.org", to: "b@example.org" }, "Subject: x\r\n\r\nx\r\n");
    await assert.rejects(relay(), { code: "HOST_UNAVAILABLE", message: /part of the rate/ });
    assert.equal(host.messages, 0);
    await remotes.close();
    await hostile.close();
  });
});
