/** Answers that gateways share: a real Redis, and a host that counts what it is asked. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HostInput } from "../../src/config/input.js";
import type { RemoteHosts } from "../../src/index.js";
import { AskedHost } from "./kit/asked-host.js";
import { command } from "./kit/deployments.js";
import { HostileRedis } from "./kit/hostile-redis.js";
import { CuttingProxy } from "./kit/proxy.js";
import { Stage } from "./kit/stage.js";

const SECRET = "a secret of this test, of 32 octets and more";
/** Stands in an address, a password and a reply. */
const CANARY = "kanarienvogel";

/** What a Redis that is lost, or is none, answers to everything. */
const LOSSES: readonly string[] = [
  "*1\r\n:7\r\n",
  ":1\r\n",
  "hang",
  "-LOADING Redis is loading the dataset in memory\r\n",
  "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
  "-READONLY You can't write against a read only replica.\r\n",
  "-CLUSTERDOWN The cluster is down\r\n",
  "-NOPERM this user has no permissions\r\n",
  "-NOSCRIPT No matching script.\r\n",
];

const stage = Stage.forEachTest(AskedHost.start);

function open(url = stage.redis.url, settings: Partial<HostInput> = {}): Promise<RemoteHosts> {
  return stage.open({
    // A busy machine is not a lost Redis.
    cluster: { url, name: "test", secret: SECRET, timeout: "1s" },
    remote: {
      lmtp: stage.lmtp({
        lookup: true,
        auth: { "allow-plaintext": true },
        limits: { errors: 1000 },
        cluster: { cache: true, "cache-auth": true },
        ...settings,
      }),
    },
  });
}

const ask = (remotes: RemoteHosts, address: string) => remotes.host("lmtp").verifyRecipient(address);
const login = (remotes: RemoteHosts, username: string, secret: string) =>
  remotes.host("lmtp").authenticate({ username, secret });

/** What a gateway is told when it asks the other gateways' Redis, and not before: the connection stands. */
async function ready(remotes: RemoteHosts): Promise<void> {
  for (let asked = 0; asked === 0; ) {
    await ask(remotes, `ready-${Math.random()}@example.org`);
    asked = (await remotes.stats()).cluster!.answers!.asked;
  }
}

async function pair(settings: Partial<HostInput> = {}): Promise<[RemoteHosts, RemoteHosts]> {
  const both: [RemoteHosts, RemoteHosts] = [
    await open(stage.redis.url, settings),
    await open(stage.redis.url, settings),
  ];
  await Promise.all(both.map(ready));
  stage.host.recipients = 0;
  return both;
}

describe("an answer", () => {
  test("that one gateway was given serves the others, found and not found; then it is in their own caches", async () => {
    const [first, second] = await pair();
    for (const [address, found] of [
      ["anna@Example.org", true],
      ["nobody@example.org", false],
    ] as const) {
      const own = await ask(first, address);
      assert.deepEqual([own.found, own.source], [found, "remote"]);
      const other = await ask(second, address.toLowerCase());
      assert.deepEqual([other.found, other.source, other.reply], [found, "cluster", own.reply]);
      assert.equal((await ask(second, address.toLowerCase())).source, "cache");
      assert.equal((await ask(first, address)).source, "cache");
    }
    assert.equal(stage.host.recipients, 2);
    const { lookups, kinds } = (await second.stats()).hosts.lmtp!;
    assert.equal(lookups.cluster, 2);
    assert.ok(kinds.rcpt.cachedFound >= 2 && kinds.rcpt.cachedNotFound >= 2);
  });

  test("is asked for once by gateways that ask at the same time", async () => {
    const [first, second] = await pair();
    stage.host.answerAfterMs = 300;
    const answers = await Promise.all([first, second, first, second].map((remotes) => ask(remotes, "a@example.org")));
    assert.equal(stage.host.recipients, 1);
    assert.deepEqual(answers.map(({ source }) => source).sort(), ["cluster", "cluster", "remote", "shared"]);
    assert.equal((await second.stats()).cluster!.answers!.awaited + (await first.stats()).cluster!.answers!.awaited, 1);
  });

  test("that does not come is never shared: who waited for it asks for himself", async () => {
    const [first, second] = await pair();
    stage.host.answerAfterMs = 200;
    stage.host.reply = "451 4.3.0 not now";
    const outcomes = await Promise.allSettled([ask(first, "a@example.org"), ask(second, "a@example.org")]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    assert.equal(stage.host.recipients, 2);
  });

  test("is not waited for longer than a caller's deadline, and the claim of one who gave up is given back", async () => {
    const [first, second] = await pair();
    stage.host.answerAfterMs = 400;
    const slow = ask(first, "a@example.org");
    await assert.rejects(second.host("lmtp").verifyRecipient("a@example.org", { timeoutMs: 50 }), {
      code: "DEADLINE_EXCEEDED",
    });
    await slow;
    const controller = new AbortController();
    const aborted = first.host("lmtp").verifyRecipient("b@example.org", { signal: controller.signal });
    controller.abort();
    await assert.rejects(aborted, { code: "ABORTED" });
    assert.equal((await ask(second, "b@example.org")).found, true);
  });

  test("is one client's alone with cache.by-client", async () => {
    const [first, second] = await pair({ cache: { "by-client": true } });
    const of = (remotes: RemoteHosts, address: string) =>
      remotes.host("lmtp").verifyRecipient("a@example.org", { client: { address } });
    await of(first, "192.0.2.1");
    assert.equal((await of(second, "192.0.2.1")).source, "cluster");
    assert.equal((await of(second, "192.0.2.2")).source, "remote");
  });

  test("ends with its TTL, counted from when the host gave it", async () => {
    const [first, second] = await pair({ cache: { ttl: { positive: "1s" } } });
    await ask(first, "a@example.org");
    while ((await ask(second, "a@example.org")).source !== "remote") {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(stage.host.recipients, 2);
  });
});

describe("a password", () => {
  test("that was right is known to the others, one that was wrong is not, and none is without cache-auth", async () => {
    const [first, second] = await pair();
    assert.equal((await login(first, "anna", "right")).source, "remote");
    assert.deepEqual(
      [(await login(second, "anna", "right")).source, (await login(second, "anna", "right")).source],
      ["cluster", "cache"],
    );
    assert.equal((await login(first, "anna", "wrong")).found, false);
    assert.deepEqual([(await login(second, "anna", "wrong")).source], ["remote"]);
    const [third, fourth] = await pair({ cluster: { cache: true } });
    await login(third, "bert", "right");
    assert.equal((await login(fourth, "bert", "right")).source, "remote");
  });
});

describe("forget()", () => {
  test("reaches every gateway: a recipient, a user, and everything", async () => {
    const [first, second] = await pair();
    const known = async (): Promise<string[]> => [
      (await ask(second, "a@example.org")).source,
      (await ask(second, "b@example.org")).source,
      (await login(second, "anna", "right")).source,
    ];
    const learn = async (): Promise<void> => {
      await known();
      await ask(first, "a@example.org");
      await ask(first, "b@example.org");
      await login(first, "anna", "right");
      assert.deepEqual(await known(), ["cache", "cache", "cache"]);
    };
    for (const [filter, expected] of [
      [{ recipient: "A@Example.org" }, ["cache", "cache", "cache"]],
      [{ recipient: "a@EXAMPLE.org" }, ["remote", "cache", "cache"]],
      [{ username: "anna" }, ["cache", "cache", "remote"]],
      [{}, ["remote", "remote", "remote"]],
    ] as const) {
      await learn();
      const forgotten = (await second.stats()).hosts.lmtp!.cache.positive;
      await first.host("lmtp").forget(filter);
      // Word of it takes its time.
      while (expected.includes("remote" as never) && (await second.stats()).hosts.lmtp!.cache.positive === forgotten) {}
      assert.deepEqual(await known(), expected);
    }
  });

  test("reaches one that was cut off meanwhile: it drops all it knew", async () => {
    const proxy = await CuttingProxy.start(stage.redis.port);
    const [first, second] = [await open(), await open(proxy.url)];
    await Promise.all([first, second].map(ready));
    await ask(second, "a@example.org");
    await ask(second, "b@example.org");
    proxy.cut();
    await first.host("lmtp").forget({ recipient: "a@example.org" });
    assert.equal((await ask(second, "a@example.org")).source, "cache");
    proxy.heal();
    while ((await second.stats()).hosts.lmtp!.cache.positive > 0) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal((await ask(second, "a@example.org")).source, "remote");
    await proxy.close();
  });

  test("is not undone by an answer that was asked for before", async () => {
    const [first, second] = await pair();
    stage.host.answerAfterMs = 500;
    const before = ask(first, "a@example.org");
    await stage.host.untilAsked(1);
    await second.host("lmtp").forget({ recipient: "a@example.org" });
    await before;
    assert.equal((await ask(second, "a@example.org")).source, "remote");
    assert.equal((await ask(first, "a@example.org")).source, "cluster", "it kept what it asked for before");
  });

  test("that Redis could not be told is told when it is reached again", async () => {
    const proxy = await CuttingProxy.start(stage.redis.port);
    const [first, second] = [await open(proxy.url), await open()];
    await Promise.all([first, second].map(ready));
    await ask(first, "a@example.org");
    assert.equal((await ask(second, "a@example.org")).source, "cluster");
    proxy.cut();
    await first.host("lmtp").forget({ recipient: "a@example.org" });
    proxy.heal();
    while ((await second.stats()).hosts.lmtp!.cache.positive > 0) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal((await ask(first, "a@example.org")).source, "remote");
    await proxy.close();
  });

  test("holds where Redis comes back as it was before", async () => {
    const [first, second] = await pair();
    await ask(first, "a@example.org");
    const keys = (await command(stage.redis.url, "KEYS", "*:answers:*")) as string[];
    const copy = await Promise.all(
      keys.map(async (key) => [key, await command(stage.redis.url, "HGETALL", key)] as const),
    );
    await first.host("lmtp").forget({ recipient: "a@example.org" });
    await command(stage.redis.url, "FLUSHALL");
    for (const [key, fields] of copy) {
      await command(stage.redis.url, "HSET", key, ...Object.entries(fields as Record<string, string>).flat());
    }
    assert.equal((await ask(second, "a@example.org")).source, "remote");
  });
});

describe("in Redis", () => {
  test("nothing can be read but ids of hosts, digests and times: no address, no password, no reply", async () => {
    const [first] = await pair();
    stage.host.text = CANARY;
    await ask(first, `${CANARY}@example.org`);
    await ask(first, `nobody-${CANARY}@example.org`);
    await login(first, `user-${CANARY}`, "right");
    await first.host("lmtp").forget({ recipient: `other-${CANARY}@example.org` });
    const dump: string[] = [];
    for (const key of (await command(stage.redis.url, "KEYS", "*")) as string[]) {
      dump.push(key, JSON.stringify(await command(stage.redis.url, "HGETALL", key)));
    }
    const text = dump.join("\n");
    assert.ok(dump.length >= 8 && / \d+ [A-Za-z0-9+/=]{40,}/.test(text), "answers stand there");
    for (const secret of [CANARY, SECRET, "right", "example.org"]) {
      const bytes = Buffer.from(secret);
      const shifted = [0, 1, 2].map((pad) =>
        Buffer.concat([Buffer.alloc(pad), bytes])
          .toString("base64")
          .slice(4, -4),
      );
      for (const form of [secret, bytes.toString("hex"), ...shifted.filter(({ length }) => length > 5)]) {
        assert.ok(!text.includes(form), `${form} stands in Redis`);
      }
    }
  });

  test("nobody without the secret can plant an answer, or move one to another place", async () => {
    const [first, second] = await pair();
    await ask(first, "a@example.org");
    await ask(first, "nobody@example.org");
    const records: [string, string, string][] = [];
    for (const key of (await command(stage.redis.url, "KEYS", "*:answers:*")) as string[]) {
      for (const [field, value] of Object.entries((await command(stage.redis.url, "HGETALL", key)) as object)) {
        if (String(value).startsWith("a ")) {
          records.push([key, field, value]);
        }
      }
    }
    for (const [key, field] of records) {
      for (const [, , value] of records.filter(([other]) => other !== key)) {
        await command(stage.redis.url, "HSET", key, field, value);
      }
    }
    assert.deepEqual(
      [(await ask(second, "a@example.org")).found, (await ask(second, "nobody@example.org")).found],
      [true, false],
    );
    assert.equal(stage.host.recipients, 4);
  });
});

describe("Redis is lost", () => {
  /** The lookups of one moment cost a question each, and those behind them none. */
  async function holdsFor(first: RemoteHosts): Promise<void> {
    const { asked } = (await first.stats()).cluster!.answers!;
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(first, `${Math.random()}@example.org`)));
    assert.ok(answers.every(({ found }) => found));
    for (let at = 0; at < 20; at++) {
      await ask(first, `${Math.random()}@example.org`);
    }
    assert.ok((await first.stats()).cluster!.answers!.asked - asked <= 21, "it was asked again and again");
  }

  test("a lookup waits for it once, for no longer than cluster.timeout, and then it is left alone until it answers", async (context) => {
    const hostile = await HostileRedis.start();
    context.after(() => hostile.close());
    hostile.behaviour = "*1\r\n:7\r\n";
    const first = await open(hostile.url);
    await ready(first);
    for (const behaviour of LOSSES) {
      hostile.behaviour = behaviour;
      await holdsFor(first);
    }
  });

  test("the same holds where answers are looked for without the function", async (context) => {
    const hostile = await HostileRedis.start();
    context.after(() => hostile.close());
    const first = await open(hostile.url);
    for (const behaviour of LOSSES) {
      hostile.behaviour = findsEverything;
      hostile.calls.length = 0;
      while (!hostile.calls.includes("HGET")) {
        await ask(first, `${Math.random()}@example.org`);
      }
      // It is lost with the next question that looks for an answer, and not with what is still told of the last one.
      hostile.behaviour = (words) => {
        if (words[0] !== "HGET") {
          return findsEverything(words);
        }
        hostile.behaviour = behaviour;
        return behaviour === "hang" ? "" : behaviour;
      };
      hostile.calls.length = 0;
      await holdsFor(first);
      assert.ok(hostile.calls.includes("HGET"));
    }
  });
});

/** A Redis that says of every question that it has the answer, which nobody can open. */
function findsEverything([name, , , , , verb]: readonly string[]): string {
  switch (name) {
    case "EVALSHA":
      return verb === "count" ? ":0\r\n" : "*5\r\n:1\r\n:0\r\n:0\r\n$1\r\nx\r\n:1000\r\n";
    case "HGET":
      return "$-1\r\n";
    case "HMGET":
      return "*2\r\n$-1\r\n$-1\r\n";
    case "TIME":
      return "*2\r\n$1\r\n1\r\n$1\r\n1\r\n";
    default:
      return "";
  }
}
