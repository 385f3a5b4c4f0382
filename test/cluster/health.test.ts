/** What gateways tell each other of a host's health: a real Redis, and a host that counts who comes to its door. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeHealthCall, HEALTH_SCRIPT, type HealthCall, healthKey } from "../../src/cluster/health-script.js";
import type { ConfigInput, HostInput } from "../../src/config/input.js";
import type { RemoteHosts } from "../../src/index.js";
import { RecordedLog } from "../unit/kit/fake-hosts.js";
import { command } from "./kit/deployments.js";
import { DoorHost } from "./kit/door-host.js";
import { GatewayProcess } from "./kit/gateways.js";
import { HostileRedis } from "./kit/hostile-redis.js";
import { Stage } from "./kit/stage.js";

const KEY = healthKey("test");
/** Stands in the words of the host. */
const CANARY = "kanarienvogel";

interface Gateway {
  readonly remotes: RemoteHosts;
  readonly log: RecordedLog;
}

const stage = Stage.forEachTest(DoorHost.start);
let asked = 0;

function configOf(url: string, settings: Partial<HostInput> = {}): ConfigInput {
  return {
    // A busy machine is not a lost Redis.
    cluster: { url, name: "test", lease: "1s", timeout: "1s" },
    runtime: { start: "eager" },
    remote: {
      lmtp: stage.lmtp({ lookup: true, cluster: { health: true }, ...settings }),
    },
  };
}

async function open(settings: Partial<HostInput> = {}, url = stage.redis.url): Promise<Gateway> {
  const log = new RecordedLog();
  const remotes = await stage.open(configOf(url, settings), { logger: log.logger });
  return { remotes, log };
}

/** Gateways that hear each other, and `others` that were there before. */
async function openAll(count: number, settings: Partial<HostInput> = {}, others = 0): Promise<Gateway[]> {
  const gateways = await Promise.all(Array.from({ length: count }, () => open(settings)));
  while (((await command(stage.redis.url, "PUBSUB", "NUMSUB", KEY)) as [string, number])[1] < count + others) {}
  return gateways;
}

const ask = ({ remotes }: Gateway) => remotes.host("lmtp").verifyRecipient(`${++asked}@example.org`);
const statsOf = async ({ remotes }: Gateway) => {
  const { cluster, hosts } = await remotes.stats();
  return { health: cluster!.health!, host: hosts.lmtp! };
};

/** Asks until the host is not said to be down any more, and then waits for the answer. */
async function askWhenBack(gateway: Gateway): Promise<unknown> {
  for (;;) {
    try {
      return await ask(gateway);
    } catch (error) {
      if (!/could not be reached by another gateway/.test((error as Error).message)) {
        throw error;
      }
    }
  }
}

async function until(gateway: Gateway, isWanted: (stats: Awaited<ReturnType<typeof statsOf>>) => boolean) {
  while (!isWanted(await statsOf(gateway))) {}
  // The worker hears hints in the order of its control calls: this one comes behind them.
  await statsOf(gateway);
}

/** Resolves when so many of them were told that it is another one's turn. */
async function untilAwaited(gateways: readonly Gateway[], count: number): Promise<void> {
  for (let awaited = 0; awaited < count; ) {
    const all = await Promise.all(gateways.map(statsOf));
    awaited = all.reduce((sum, { health }) => sum + health.awaited, 0);
  }
}

/** The field that gateways of this host use, as they wrote it. */
async function fieldOf(of: string): Promise<string> {
  const gateway = await open();
  stage.host.door = "closed";
  for (let at = 0; at < 3; at++) {
    await assert.rejects(ask(gateway));
  }
  let fields: string[] = [];
  while (fields.length === 0) {
    fields = (await command(stage.redis.url, "HKEYS", KEY)) as string[];
  }
  await gateway.remotes.close();
  await command(stage.redis.url, "FLUSHALL");
  stage.host.door = "open";
  stage.host.arrivals = 0;
  return fields[0]!.replace(/[^:]*$/, of);
}

/** What another gateway says, whoever that is. */
function say(by: string, call: HealthCall): Promise<unknown> {
  return command(stage.redis.url, "EVAL", HEALTH_SCRIPT, "1", KEY, ...encodeHealthCall(call, by, KEY));
}

/** Two gateways could not reach the host. */
async function sayDown(field: string, forMs: number, failures = 3): Promise<void> {
  for (const by of ["one", "another"]) {
    await say(by, { verb: "down", field, forMs, failures });
  }
}

describe("a host that is down", () => {
  test("is found to be so by one gateway: the others refuse at once, without a connection, and so does a new one", async () => {
    const [first, second] = (await openAll(2)) as [Gateway, Gateway];
    stage.host.door = "closed";
    // Each failure doubles what the next one costs.
    while ((await statsOf(second)).host.state !== "down") {
      await ask(first).catch(() => {});
    }
    await second.log.event("host-down");
    const field = ((await command(stage.redis.url, "HKEYS", KEY)) as string[])[0]!;
    await sayDown(field, 60_000);
    await until(second, ({ host: { retryAt } }) => retryAt! > Date.now() + 50_000);
    const { arrivals } = stage.host;
    const refusal = { code: "HOST_UNAVAILABLE", message: /could not be reached by another gateway lately/ };
    await assert.rejects(ask(second), refusal);
    const third = await open();
    await third.log.event("host-down");
    await assert.rejects(ask(third), refusal);
    assert.equal(stage.host.arrivals, arrivals);
    assert.equal((await statsOf(second)).host.opened, 0);
    assert.equal((await statsOf(third)).host.lastFailure!.code, "HOST_UNAVAILABLE");
  });

  test("is tried by one connection of all gateways; the others wait for what comes of it", async () => {
    const field = await fieldOf("service");
    const gateways = await openAll(4);
    await sayDown(field, 1_500);
    await Promise.all(gateways.map(({ log }) => log.event("host-down")));
    stage.host.door = "silent";
    const answers = Promise.all(gateways.map(askWhenBack));
    await stage.host.untilArrived(1);
    // The others are told that it is not their turn.
    await untilAwaited(gateways, 3);
    assert.equal(stage.host.arrivals, 1);
    stage.host.door = "open";
    await answers;
    await Promise.all(gateways.map(({ log }) => log.event("host-up")));
    assert.equal(stage.host.arrivals, 4, "each has its own now");
  });

  test("stays down for all where the one that tried found it so", async () => {
    const field = await fieldOf("service");
    const gateways = await openAll(3);
    await sayDown(field, 1_000, 9);
    await Promise.all(gateways.map(({ log }) => log.event("host-down")));
    stage.host.door = "silent";
    const outcomes = Promise.allSettled(gateways.map(askWhenBack));
    await stage.host.untilArrived(1);
    await untilAwaited(gateways, 2);
    stage.host.door = "closed";
    await Promise.race([
      outcomes,
      Promise.all(gateways.map((gateway) => until(gateway, (each) => each.host.state === "down"))),
    ]);
    for (const gateway of gateways) {
      await assert.rejects(ask(gateway), { code: "HOST_UNAVAILABLE" });
    }
    assert.equal(stage.host.arrivals, 1);
  });

  test("is tried by another gateway when the one whose turn it was is killed", async () => {
    stage.host.door = "closed";
    const killed = GatewayProcess.start({ config: configOf(stage.redis.url), parallel: 1 });
    while (Object.keys(await hashOf()).length === 0) {}
    const [gateway] = (await openAll(1, {}, 1)) as [Gateway];
    stage.host.door = "silent";
    const { arrivals } = stage.host;
    await stage.host.untilArrived(arrivals + 1);
    const answer = askWhenBack(gateway);
    await until(gateway, ({ health }) => health.awaited > 0);
    assert.equal(stage.host.arrivals, arrivals + 1);
    await killed.kill();
    await stage.host.untilArrived(arrivals + 2);
    stage.host.door = "open";
    await answer;
    assert.equal((await statsOf(gateway)).health.turns, 1);
  });

  test("is no news for whoever has forgotten it: a flushed Redis grants one turn all the same", async () => {
    const field = await fieldOf("service");
    const gateways = await openAll(3);
    await sayDown(field, 1_000);
    await Promise.all(gateways.map(({ log }) => log.event("host-down")));
    await command(stage.redis.url, "FLUSHALL");
    stage.host.door = "silent";
    const answers = Promise.all(gateways.map(askWhenBack));
    await stage.host.untilArrived(1);
    await untilAwaited(gateways, 2);
    assert.equal(stage.host.arrivals, 1);
    stage.host.door = "open";
    await answers;
  });

  test("is up for all gateways by an operator's order to one of them", async () => {
    const field = await fieldOf("service");
    const [first, second] = (await openAll(2)) as [Gateway, Gateway];
    await sayDown(field, 60_000);
    await Promise.all([first, second].map((gateway) => until(gateway, ({ health }) => health.heard === 2)));
    await first.remotes.host("lmtp").reconnect();
    await second.log.event("host-up");
    assert.ok((await ask(first)) && (await ask(second)));
    assert.deepEqual(await hashOf(), {});
  });
});

describe("what is not so", () => {
  test("counts for nothing where connections work, and is found out elsewhere after a few seconds", async () => {
    const field = await fieldOf("service");
    const [busy, idle] = (await openAll(2)) as [Gateway, Gateway];
    await ask(busy);
    await say("wrong", { verb: "down", field, forMs: 60_000, failures: 9 });
    await idle.log.event("host-down");
    await until(busy, ({ health }) => health.heard > 0);
    await ask(busy);
    assert.equal(stage.host.arrivals, 1);
    await assert.rejects(ask(idle), { code: "HOST_UNAVAILABLE" });
    await askWhenBack(idle);
    assert.equal(stage.host.arrivals, 2);
    assert.deepEqual(await hashOf(), {}, "it said so");
    assert.ok(busy.log.records.every(({ event }) => event !== "host-down"));
  });

  test("is told once by a gateway that alone cannot reach the host", async () => {
    const field = await fieldOf("service");
    const [right] = (await openAll(1)) as [Gateway];
    // Nobody listens there; what it says is said of the same host.
    const wrong = await open({ "source-address": "127.0.0.9", timeout: "1s" });
    stage.host.refusal = "421 4.3.2 not you";
    stage.host.door = "closed";
    for (let at = 0; at < 3; at++) {
      await assert.rejects(ask(wrong));
    }
    await right.log.event("host-down");
    stage.host.door = "open";
    await askWhenBack(right);
    stage.host.door = "closed";
    const { told } = (await statsOf(wrong)).health;
    while ((await statsOf(wrong)).host.connectFailures < 5) {
      await ask(wrong).catch(() => {});
    }
    assert.equal((await statsOf(wrong)).health.told, told, "the host works for others");
    assert.equal(await command(stage.redis.url, "HGET", KEY, field), null);
    stage.host.door = "open";
    await ask(right);
  });

  test("is not believed for longer than it may be: not from a clock that jumped, nor from words of somebody else", async () => {
    const field = await fieldOf("service");
    const inAnHour = Date.now() + 3_600_000;
    await command(stage.redis.url, "HSET", KEY, field, `d ${inAnHour} far ${inAnHour} 1 99 ${inAnHour} far`);
    const [gateway] = (await openAll(1)) as [Gateway];
    await ask(gateway);
    const { arrivals } = stage.host;
    for (const word of [
      "down",
      `down ${field} x -1 -1 1`,
      `turn ${field} x`,
      "down a b c d e",
      `note ${field} x 1 1 1`,
    ]) {
      await command(stage.redis.url, "PUBLISH", KEY, word);
    }
    await say("far", { verb: "down", field, forMs: 1e12, failures: 9 });
    const [left] = ((await say("any", { verb: "claim", field, lifeMs: 1 })) as number[]).slice(1);
    assert.ok(left! <= 5_000);
    await ask(gateway);
    assert.equal(stage.host.arrivals, arrivals);
  });
});

describe("how many connections a host bears, and whom it blocks", () => {
  test("the others open no more of them than it bears", async () => {
    const field = await fieldOf("limit");
    const [gateway] = (await openAll(1, { limits: { pipeline: 1 }, concurrency: 8 })) as [Gateway];
    await ask(gateway);
    await say("one", { verb: "note", field, forMs: 60_000, value: 2 });
    await until(gateway, ({ health }) => health.heard > 0);
    stage.host.thinkMs = 20;
    await Promise.all(Array.from({ length: 16 }, () => ask(gateway)));
    assert.ok(stage.host.most < 8, `${stage.host.most} connections`);
  });

  test("a gateway says what it learnt when the host refused one more", async () => {
    stage.host.thinkMs = 200;
    const [first, second] = (await openAll(2, { limits: { pipeline: 1 }, concurrency: 8 })) as [Gateway, Gateway];
    const early = Promise.all([ask(first), ask(first)]);
    await stage.host.untilArrived(2);
    stage.host.door = "closed";
    const late = Promise.allSettled([ask(first), ask(first)]);
    await until(second, ({ health }) => health.heard > 0);
    const told = Object.entries(await hashOf()).find(([name]) => name.endsWith(":limit"))!;
    assert.match(told[1], /^n \d+ \S+ \d+ [12]$/);
    await Promise.all([early, late]);
  });

  test("a policy refusal is no verdict where another gateway is blocked, until a recipient is accepted", async () => {
    const field = await fieldOf("blocked");
    const [gateway] = (await openAll(1)) as [Gateway];
    stage.host.reply = "550 5.7.1 not from you";
    assert.equal(((await ask(gateway)) as { found: boolean }).found, false);
    await say("one", { verb: "note", field, forMs: 60_000, value: 1 });
    await gateway.log.event("host-blocked");
    await assert.rejects(ask(gateway), { code: "HOST_UNAVAILABLE" });
    stage.host.reply = "550 5.1.1 nobody";
    assert.equal(((await ask(gateway)) as { found: boolean }).found, false, "that one is");
    stage.host.reply = "";
    assert.equal(((await ask(gateway)) as { found: boolean }).found, true);
    stage.host.reply = "550 5.7.1 not from you";
    assert.equal(((await ask(gateway)) as { found: boolean }).found, false, "it has seen for itself");
  });

  test("a gateway that is blocked says so, and when it is over", async () => {
    const [first, second] = (await openAll(2, { limits: { refusals: 2 } })) as [Gateway, Gateway];
    stage.host.reply = "550 5.7.1 not from you";
    await Promise.all([ask(first), ask(first)]);
    assert.equal((await second.log.event("host-blocked")).told, true);
    stage.host.reply = "";
    await ask(first);
    await until(second, ({ health }) => health.heard > 1);
    stage.host.reply = "550 5.7.1 not from you";
    assert.equal(((await ask(second)) as { found: boolean }).found, false);
  });
});

describe("Redis", () => {
  test("is lost: each gateway finds out by itself, and waits for it once at most", async () => {
    const hostile = await HostileRedis.start();
    const gateway = await open({}, hostile.url);
    stage.host.door = "closed";
    while ((await statsOf(gateway)).host.state !== "down") {
      await ask(gateway).catch(() => {});
    }
    stage.host.door = "open";
    for (;;) {
      const outcome = await ask(gateway).catch(() => undefined);
      if (outcome !== undefined) {
        break;
      }
    }
    assert.ok((await statsOf(gateway)).health.failed <= 2, "it was asked again and again");
    await hostile.close();
  });

  test("holds nothing that the host said, and nothing of where it is", async () => {
    const [first, second] = (await openAll(2, { limits: { refusals: 1 } })) as [Gateway, Gateway];
    stage.host.reply = `550 5.7.1 ${CANARY}`;
    await ask(first);
    await second.log.event("host-blocked");
    await Promise.all([first, second].map(({ remotes }) => remotes.host("lmtp").reconnect()));
    stage.host.refusal = `421 4.3.2 ${CANARY}`;
    stage.host.door = "closed";
    while ((await statsOf(second)).host.state !== "down") {
      await ask(first).catch(() => {});
    }
    const texts = Object.entries(await hashOf()).flat();
    assert.ok(texts.length > 0);
    for (const text of texts) {
      assert.match(text, /^(lmtp:[\w-]{8}:(service|login|limit|blocked)|[dn]( [\w-]+)+)$/);
    }
  });
});

async function hashOf(): Promise<Record<string, string>> {
  return (await command(stage.redis.url, "HGETALL", KEY)) as Record<string, string>;
}
