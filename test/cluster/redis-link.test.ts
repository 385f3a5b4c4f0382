/** What a Redis that misbehaves costs: at most the time limit, once, and nothing while it is gone. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { RedisLink, RedisScript } from "../../src/cluster/redis.js";
import type { Clock } from "../../src/timer-wheel.js";
import { type Behaviour, HostileRedis } from "./kit/hostile-redis.js";
import { RedisServer } from "./kit/redis-server.js";

const SCRIPT = new RedisScript("return ARGV[1]");
/** A busy machine is not a lost Redis. */
const TIMEOUT_MS = 1_000;

async function ready(link: RedisLink): Promise<void> {
  while (!link.isReady) {
    await new Promise<void>((resolve) => {
      link.onSettled = resolve;
    });
  }
}

async function failureOf(work: Promise<unknown>): Promise<string> {
  try {
    return `no failure, but ${String(await work)}`;
  } catch (error) {
    return (error as Error).message;
  }
}

describe("a Redis that", () => {
  let server: HostileRedis;
  let link: RedisLink;

  beforeEach(async () => {
    server = await HostileRedis.start();
    link = await RedisLink.open({ urls: [server.url] }, TIMEOUT_MS);
    await ready(link);
  });

  afterEach(async () => {
    link.close();
    await server.close();
  });

  for (const [name, behaviour, expected] of [
    ["loads its data", "-LOADING Redis is loading the dataset in memory\r\n", /^LOADING /],
    ["has no memory left", "-OOM command not allowed when used memory > 'maxmemory'\r\n", /^OOM /],
    ["knows no script, however often it is told", "-NOSCRIPT No matching script\r\n", /^NOSCRIPT /],
    ["is a cluster without a slot", "-CLUSTERDOWN Hash slot not served\r\n", /^CLUSTERDOWN /],
    ["gives no right", "-NOPERM User default has no permissions\r\n", /^NOPERM /],
  ] as const satisfies readonly (readonly [string, Behaviour, RegExp])[]) {
    test(`${name} is answered with its words, and keeps its connection`, async () => {
      server.behaviour = behaviour;
      assert.match(await failureOf(link.run(SCRIPT, ["k"], ["a"])), expected);
      assert.ok(link.isReady);
      server.behaviour = "$1\r\na\r\n";
      assert.equal(await link.run(SCRIPT, ["k"], ["a"]), "a");
    });
  }

  for (const [name, behaviour] of [
    ["accepts and says nothing", "hang"],
    ["closes the connection", "close"],
    ["speaks another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"],
    ["sends garbage", "\x00\x01\x02\xff\r\n"],
    ["begins an endless reply", "$99999999999\r\nabc"],
  ] as const satisfies readonly (readonly [string, Behaviour])[]) {
    test(`${name} is left alone, refuses calls at once meanwhile, and is found again`, async () => {
      server.behaviour = behaviour;
      assert.match(await failureOf(link.run(SCRIPT, ["k"], ["a"])), /^Redis cannot be reached: /);
      assert.ok(!link.isReady);
      const { length } = server.calls;
      assert.match(await failureOf(link.run(SCRIPT, ["k"], ["a"])), /^Redis cannot be reached: /);
      assert.equal(server.calls.length, length, "nothing was sent");
      server.behaviour = "$1\r\na\r\n";
      await ready(link);
      assert.equal(await link.run(SCRIPT, ["k"], ["a"]), "a");
    });
  }

  test("became a replica is left, since its name may lead to the master by now", async () => {
    server.behaviour = "-READONLY You can't write against a read only replica\r\n";
    assert.match(await failureOf(link.run(SCRIPT, ["k"], ["a"])), /^READONLY /);
    assert.ok(!link.isReady);
    assert.match(link.lastFailure, /^READONLY /);
    server.behaviour = "$1\r\na\r\n";
    await ready(link);
    assert.equal(await link.run(SCRIPT, ["k"], ["a"]), "a");
  });

  test("hangs costs all calls that wait for it no more than one time limit", async () => {
    server.behaviour = "hang";
    const first = failureOf(link.run(SCRIPT, ["k"], ["a"]));
    await turn();
    let settled = 0;
    const count = (): void => void settled++;
    for (let call = 0; call < 100; call++) {
      link.run(SCRIPT, ["k"], ["a"]).catch(count);
    }
    await first;
    await turn();
    assert.equal(settled, 100, "nobody waits for a time limit of their own");
  });

  test("answers several commands has each of its answers at the place of its command", async () => {
    server.behaviour = ([name, key]) => (name === "TIME" ? "*2\r\n$1\r\n7\r\n$1\r\n8\r\n" : `$1\r\n${key}\r\n`);
    assert.deepEqual(await link.commands("k", [["GET", "k"], ["TIME"], ["GET", "l"]]), ["k", ["7", "8"], "l"]);
    assert.deepEqual(server.calls, ["GET", "TIME", "GET"]);
  });

  test("refuses one of several commands, or hangs at one, answers none of them", async () => {
    server.behaviour = ([name]) => (name === "TIME" ? "-NOPERM no permissions\r\n" : "$1\r\na\r\n");
    assert.match(await failureOf(link.commands("k", [["TIME"], ["GET", "k"]])), /^NOPERM/);
    assert.ok(link.isReady);
    server.behaviour = ([name]) => (name === "TIME" ? "" : "$1\r\na\r\n");
    assert.match(await failureOf(link.commands("k", [["GET", "k"], ["TIME"]])), /^Redis cannot be reached: it did not/);
  });

  test("forgets its scripts is told them again", async () => {
    server.behaviour = ([name]) => (name === "EVAL" ? "$1\r\na\r\n" : "-NOSCRIPT No matching script\r\n");
    assert.equal(await link.run(SCRIPT, ["k"], ["a"]), "a");
    assert.deepEqual(server.calls, ["EVALSHA", "EVAL"]);
  });

  test("lets gateways in and answers nothing is tried less and less often, and each gateway has moments of its own", async () => {
    server.behaviour = "hang";
    const waits: number[] = [];
    const clock: Clock = {
      now: () => performance.now(),
      after(ms, run) {
        waits.push(ms);
        const next = setImmediate(run);
        return () => clearImmediate(next);
      },
    };
    const chances = [0, 0.5, 0.9, 0, 0, 0.5, 0];
    const other = await RedisLink.open({ urls: [server.url] }, TIMEOUT_MS, {
      clock,
      random: () => chances[waits.length]!,
    });
    while (waits.length < 6) {
      await ready(other);
      await failureOf(other.run(SCRIPT, ["k"], ["a"]));
      server.behaviour = "close";
    }
    assert.deepEqual(waits, [125, 375, 950, 1_000, 2_000, 3_750]);
    server.behaviour = "$1\r\na\r\n";
    await ready(other);
    assert.equal(await other.run(SCRIPT, ["k"], ["a"]), "a");
    server.behaviour = "close";
    await failureOf(other.run(SCRIPT, ["k"], ["a"]));
    assert.equal(waits[6], 125, "one that has answered is a new beginning");
    other.close();
  });

  test("never greets lets no call wait", async () => {
    server.greeting = "hang";
    const other = await RedisLink.open({ urls: [server.url] }, TIMEOUT_MS);
    assert.match(await failureOf(other.run(SCRIPT, ["k"], ["a"])), /^Redis cannot be reached: it is not connected yet/);
    other.close();
  });
});

test("a real server that is killed, and started again, is found again", async () => {
  const server = await RedisServer.start();
  const link = await RedisLink.open({ urls: [server.url] }, TIMEOUT_MS);
  await ready(link);
  assert.equal(await link.run(SCRIPT, ["k"], ["a"]), "a");
  await server.kill();
  assert.match(await failureOf(link.run(SCRIPT, ["k"], ["a"])), /^Redis cannot be reached: /);
  await server.restart();
  await ready(link);
  assert.equal(await link.run(SCRIPT, ["k"], ["b"]), "b");
  link.close();
  await server.close();
});

test("a real server that is stopped for longer than the time limit is found again when it goes on", async () => {
  const server = await RedisServer.start();
  const link = await RedisLink.open({ urls: [server.url] }, TIMEOUT_MS);
  await ready(link);
  server.pause();
  assert.match(await failureOf(link.run(SCRIPT, ["k"], ["a"])), /it did not answer within 1000 ms/);
  server.resume();
  await ready(link);
  assert.equal(await link.run(SCRIPT, ["k"], ["a"]), "a");
  link.close();
  await server.close();
});
