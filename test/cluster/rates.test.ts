/** One rate for several gateways: a real Redis, gateways in processes of their own, and a host that notes when messages come. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/input.js";
import { RemoteHosts } from "../../src/index.js";
import type { GatewayProcess } from "./kit/gateways.js";
import { HostileRedis } from "./kit/hostile-redis.js";
import { Stage } from "./kit/stage.js";
import { StrictHost } from "./kit/strict-host.js";

const PER_SECOND = 100;
const BURST = 20;
/** What a busy machine may hold up of the first messages: then more come in less time. */
const HELD_UP_MS = 1_000;

const stage = Stage.forEachTest(startQuickHost);

function configOf(url: string, onLoss: "share" | "refuse" | "local"): ConfigInput {
  return {
    cluster: { url, name: "test", lease: "2s", timeout: "1s", "on-loss": onLoss },
    remote: {
      lmtp: stage.lmtp({ cluster: { rate: `${PER_SECOND}/s`, "rate-burst": BURST } }),
    },
  };
}

function start(onLoss: "share" | "refuse"): GatewayProcess {
  return stage.start(configOf(stage.redis.url, onLoss), 10);
}

async function startQuickHost(): Promise<StrictHost> {
  const host = await StrictHost.start();
  host.thinkMs = 0;
  return host;
}

/** The most that may have come in so long. */
function most(ms: number, gateways: number, perSecond = PER_SECOND): number {
  return (perSecond * (ms + HELD_UP_MS)) / 1000 + BURST + gateways;
}

describe("gateways of one cluster", () => {
  test("begin no more messages together than the rate allows, and each has its part", async () => {
    const sinceMs = performance.now();
    const gateways = [start("refuse"), start("refuse"), start("refuse")];
    await Promise.all(gateways.map((gateway) => gateway.until(({ delivered }) => delivered >= 150)));
    assert.ok(
      stage.host.messages <= most(performance.now() - sinceMs, 3),
      `${stage.host.messages} messages are too many`,
    );
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
    await stage.redis.kill();
    const sinceMs = performance.now();
    const before = stage.host.messages;
    const delivered = gateways.map(({ tally }) => tally.delivered);
    await Promise.all(
      gateways.map((gateway, index) => gateway.until((tally) => tally.delivered >= delivered[index]! + 150)),
    );
    assert.ok(stage.host.messages - before <= most(performance.now() - sinceMs, 2));
    assert.deepEqual(gateways[0]!.tally.failed, {});
  });

  test("refuse: nothing begins while Redis is lost, and requests are refused at once", async () => {
    const hostile = await HostileRedis.start();
    const remotes = await RemoteHosts.open(configOf(hostile.url, "refuse"));
    const relay = () =>
      remotes.host("lmtp").relay({ from: "a@example.org", to: "b@example.org" }, "Subject: x\r\n\r\nx\r\n");
    await assert.rejects(relay(), { code: "HOST_UNAVAILABLE", message: /part of the rate/ });
    assert.equal(stage.host.messages, 0);
    await remotes.close();
    await hostile.close();
  });
});
