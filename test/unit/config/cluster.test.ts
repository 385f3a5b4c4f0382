import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseSettings } from "../../../src/config/load.js";
import type { ClusterSettings } from "../../../src/config/settings.js";
import { ConfigError } from "../../../src/errors.js";

let directory: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "relaypost-config-"));
  await writeFile(join(directory, "password"), "hush-hush\n");
  await writeFile(join(directory, "two-lines"), "hush\nhush\n");
  await writeFile(join(directory, "empty"), "");
});

after(() => rm(directory, { recursive: true }));

async function read(lines: string): Promise<ClusterSettings> {
  return (await parseSettings(`[cluster]\n${lines}\n`, { file: join(directory, "relaypost.toml") })).cluster!;
}

async function problemsOf(lines: string): Promise<string[]> {
  try {
    await read(lines);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    assert.doesNotMatch(String(error), /hush/);
    return error.problems.map(({ key, message }) => `${key} ${message}`);
  }
}

describe("[cluster]", () => {
  it("has defaults for all but where Redis is", async () => {
    assert.deepEqual(await read('url = "redis://cache.example.org"'), {
      redis: { urls: ["redis://cache.example.org"] },
      name: "relaypost",
      leaseMs: 10_000,
      timeoutMs: 100,
      onLoss: "share",
    });
  });

  it("takes a unix socket, the nodes of a Redis Cluster, and sentinels", async () => {
    const redis = async (lines: string): Promise<unknown> => (await read(lines)).redis;
    assert.deepEqual(await redis('url = "unix:/run/redis.sock"'), { urls: ["unix:/run/redis.sock"] });
    assert.deepEqual(await redis('url = ["redis://[::1]:7000", "redis://b:7001"]'), {
      urls: ["redis://[::1]:7000", "redis://b:7001"],
    });
    assert.deepEqual(await redis('sentinel = { name = "mail", urls = "redis://s:26379" }'), {
      urls: [],
      sentinel: { name: "mail", urls: ["redis://s:26379"] },
    });
  });

  it("takes the password from a file, without the newline at its end", async () => {
    const { redis } = await read('url = "redis://cache"\nusername = "mail"\npassword-file = "password"');
    assert.deepEqual(redis, { urls: ["redis://cache"], username: "mail", password: "hush-hush" });
  });

  for (const [lines, expected] of [
    ["", /^cluster\.url is missing/],
    ['url = "http://cache"', /^cluster\.url must be a url/],
    ['url = "redis://cache/mail"', /^cluster\.url must be a url/],
    ['url = "redis://u:%E0%A4%A@cache"', /^cluster\.url must be a url/],
    ['url = "redis://:hush@cache?x=1"', /^cluster\.url must be a url/],
    ["url = []", /^cluster\.url must be a url .*, or an array of at least one$/],
    ['url = "unix:redis.sock"', /^cluster\.url must be a url .* an absolute path/],
    ['url = ["redis://a", 7]', /^cluster\.url\[1\] must be a url/],
    ['url = ["redis://a", "rediss://b"]', /^cluster\.url mixes/],
    ['url = ["unix:/a", "unix:/b"]', /^cluster\.url names more than one unix socket/],
    ['url = "redis://a"\nsentinel = { name = "m", urls = "redis://s" }', /^cluster\.url stands beside sentinel/],
    ['sentinel = { name = "m" }', /^cluster\.sentinel\.name needs sentinel\.urls/],
    ['sentinel = { urls = "redis://s" }', /^cluster\.sentinel\.urls needs sentinel\.name/],
    ['sentinel = { name = "m", urls = "redis://u:hush@s" }', /^cluster\.sentinel\.urls must be a url/],
    ['url = "redis://:hush@a"\nusername = "u"', /^cluster\.url holds credentials beside/],
    ['url = "redis://a"\nca = "password"', /^cluster\.ca has no meaning without rediss:/],
    ['url = "redis://a"\npassword-file = "nowhere"', /^cluster\.password-file names a file that does not exist/],
    [
      'url = "redis://a"\npassword-file = "two-lines"',
      /^cluster\.password-file names a file that holds more than one line/,
    ],
    ['url = "redis://a"\npassword-file = "empty"', /^cluster\.password-file names a file that is empty/],
    ['url = "redis://a"\nlease = "1ms"', /^cluster\.lease must be/],
    ['url = "redis://a"\non-loss = "panic"', /^cluster\.on-loss must be "share" or "refuse" or "local"/],
    ['url = "redis://a"\nname = "a b"', /^cluster\.name must be/],
    ['url = "redis://a"\nsecret-file = "password"', /^cluster\.secret-file is too short/],
  ] as const) {
    it(`says what is wrong with ${JSON.stringify(lines)}`, async () => {
      const problems = await problemsOf(lines);
      assert.ok(
        problems.some((problem) => expected.test(problem)),
        JSON.stringify(problems),
      );
    });
  }
});

describe("the secret of shared answers", () => {
  const CACHED = 'address = "mx"\nport = 25\nprotocol = "smtp"\nlookup = true\ncluster.cache = true\n';
  const cluster = (lines: string): string => `[cluster]\nurl = "redis://a"\n${lines}\n[remote.a]\n${CACHED}`;

  it("is needed by a host that shares its answers, and has at least 32 octets", async () => {
    const settings = await parseSettings(cluster(`secret = "${"s".repeat(32)}"`));
    assert.equal(settings.hosts.get("a")!.cluster!.cache, true);
    await assert.rejects(parseSettings(cluster("")), /remote\.a\.cluster\.cache.*needs cluster\.secret-file/);
    await assert.rejects(parseSettings(cluster(`secret = "${"s".repeat(31)}"`)), /cluster\.secret.*at least 32 octets/);
  });

  it("shares nothing of a host that keeps nothing, and no passwords without the rest", async () => {
    const secret = `secret = "${"s".repeat(32)}"`;
    await assert.rejects(
      parseSettings(`${cluster(secret)}cache.entries = 0\n`),
      /cluster\.cache.*has no meaning without/,
    );
    const other = cluster(secret).replace("cluster.cache = true", "cluster.cache-auth = true");
    await assert.rejects(parseSettings(other), /cluster\.cache-auth.*needs cluster\.cache = true/);
  });
});

describe("remote.<id>.cluster", () => {
  const HOST = '[remote.a]\naddress = "mx"\nport = 25\nprotocol = "smtp"\ncluster.concurrency = 40\n';

  it("says how many connections all gateways may have", async () => {
    const { hosts } = await parseSettings(`${HOST}[cluster]\nurl = "redis://cache"\n`);
    assert.deepEqual(hosts.get("a")!.cluster, { concurrency: 40, health: true });
  });

  it("shares what is known of a host's health where it shares anything, unless it says otherwise", async () => {
    const cluster = async (lines: string) =>
      (
        await parseSettings(`${HOST.replace("cluster.concurrency = 40\n", lines)}[cluster]\nurl = "redis://cache"\n`)
      ).hosts.get("a")!.cluster;
    assert.equal(await cluster(""), undefined);
    assert.equal(await cluster("cluster.health = false\n"), undefined);
    assert.deepEqual(await cluster("cluster.health = true\n"), { health: true });
    assert.deepEqual(await cluster("cluster.health = false\ncluster.concurrency = 4\n"), { concurrency: 4 });
  });

  it("needs a cluster", async () => {
    await assert.rejects(parseSettings(HOST), /remote\.a\.cluster.*needs a \[cluster\] table/);
  });
});
