/** What people see of a cluster: `relaypost check --connect`, `stats()` and the metrics. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { RemoteHosts } from "../../src/index.js";
import { collectMetrics } from "../../src/metrics.js";
import { jsonLines, relaypost } from "../cli/command-line.js";
import { RedisServer } from "./kit/redis-server.js";
import { StrictHost } from "./kit/strict-host.js";

const MESSAGE = "Subject: x\r\n\r\nx\r\n";

describe("a cluster is seen", () => {
  let redis: RedisServer;
  let host: StrictHost;
  let folder: string;
  let file: string;

  const configuration = (url: string) => `
[cluster]
url = "${url}"
timeout = "5s"
[remote.lmtp]
address = "127.0.0.1"
port = ${host.port}
protocol = "lmtp"
tls = { implicit = false, starttls = "disable" }
cluster.concurrency = 3
`;

  before(async () => {
    redis = await RedisServer.start([
      "user poor on >word-word-word ~relaypost:* +@connection +time +info +hmget +eval",
      "user poorest on >word-word-word ~relaypost:* +@connection",
    ]);
    host = await StrictHost.start();
    folder = await mkdtemp(join(tmpdir(), "relaypost-cluster-"));
    file = join(folder, "relaypost.toml");
    await writeFile(file, configuration(redis.url));
  });

  after(async () => {
    await host.close();
    await redis.close();
    await rm(folder, { recursive: true });
  });

  test("in stats() and in the metrics, while it holds and when Redis is lost", async () => {
    const own = await RedisServer.start();
    const settings = configuration(own.url);
    await writeFile(join(folder, "own.toml"), settings);
    await using remotes = await RemoteHosts.open(join(folder, "own.toml"));
    const relay = () => remotes.host("lmtp").relay({ from: "a@example.org", to: "b@example.org" }, MESSAGE);
    host.thinkMs = 50;
    await Promise.all(Array.from({ length: 6 }, relay));
    const { cluster, hosts } = await remotes.stats();
    const { places } = hosts.lmtp!;
    assert.equal(cluster!.state, "held");
    assert.equal(cluster!.losses, 0);
    assert.ok(cluster!.calls.answered >= 2);
    assert.equal(
      cluster!.calls.durations.counts.reduce((sum, count) => sum + count),
      cluster!.calls.answered,
    );
    assert.equal(places!.total, 3);
    assert.equal(places!.basis, "lease");
    assert.equal(places!.gateways, 1);
    assert.equal(places!.used, 3);
    assert.ok(places!.waits >= 1);
    const text = await collectMetrics(remotes);
    assert.match(text, /^relaypost_cluster_places\{of="total",host="lmtp"\} 3$|\{host="lmtp",of="total"\} 3$/m);
    assert.match(text, /^relaypost_cluster_gateways\{host="lmtp"\} 1$/m);
    assert.match(text, /^relaypost_cluster_lost 0$/m);
    assert.match(text, /^relaypost_cluster_call_seconds_count [1-9]/m);
    await own.close();
    await remotes.host("lmtp").relay({ from: "a@example.org", to: "c@example.org" }, MESSAGE);
    while ((await remotes.stats()).cluster!.state !== "lost") {
      await relay();
    }
    const lost = (await remotes.stats()).cluster!;
    assert.equal(lost.losses, 1);
    assert.ok(lost.calls.failed >= 1);
    assert.match(await collectMetrics(remotes), /^relaypost_cluster_lost 1$/m);
  });

  test("by the command: version, latency, clock, gateways", async () => {
    await using remotes = await RemoteHosts.open(file);
    await remotes.host("lmtp").relay({ from: "a@example.org", to: "b@example.org" }, MESSAGE);
    const ran = await relaypost(["check", "--connect", "--json", file]);
    assert.equal(ran.code, 0, ran.stderr);
    const { cluster } = jsonLines<{ cluster: Record<string, unknown> }>(ran)[0]!;
    assert.match(String(cluster.server), /^(redis|valkey) [7-9]\./);
    assert.deepEqual([cluster.ok, cluster.lacking, cluster.gateways], [true, [], 1]);
    assert.ok(Number(cluster.latencyMs) > 0 && Math.abs(Number(cluster.skewMs)) < 60_000);
    const { stdout } = await relaypost(["check", "--connect", file]);
    assert.match(stdout, /^cluster: (redis|valkey) \S+, \S+ ms away, its clock is \d+ ms .*; 1 gateway has a lease$/m);
  });

  test("by the command: an account that lacks rights, and a Redis that is not there", async () => {
    const poor = join(folder, "poor.toml");
    await writeFile(poor, configuration(redis.url.replace("//", "//poor:word-word-word@")));
    const lacking = await relaypost(["check", "--connect", poor]);
    assert.equal(lacking.code, 75);
    assert.match(
      lacking.stdout,
      /^cluster: the account may not use hset, pexpire, hget, hdel, publish, subscribe, evalsha$/m,
    );
    assert.doesNotMatch(lacking.stdout + lacking.stderr, /word-word/);
    const secret = `name = "test"\nsecret = "${"s".repeat(32)}"`;
    await writeFile(
      poor,
      configuration(redis.url.replace("//", "//poor:word-word-word@")).replace("[remote", `${secret}\n[remote`),
    );
    const more = await relaypost(["check", "--connect", poor]);
    const listed = "hset, pexpire, hget, hdel, publish, subscribe, pttl, del, evalsha";
    assert.ok(more.stdout.includes(`cluster: the account may not use ${listed}\n`), more.stdout);
    await writeFile(poor, configuration(redis.url.replace("//", "//poorest:word-word-word@")));
    const poorest = await relaypost(["check", "--connect", poor]);
    assert.equal(poorest.code, 75);
    assert.match(
      poorest.stdout,
      /^cluster: redis \?, \S+ ms away, its clock cannot be read; 0 gateways have a lease$/m,
    );
    const all = "time, info, hset, pexpire, hmget, eval, hget, hdel, publish, subscribe, evalsha";
    assert.ok(poorest.stdout.includes(`cluster: the account may not use ${all}\n`), poorest.stdout);
    const away = join(folder, "away.toml");
    await writeFile(away, configuration("redis://:word-word-word@127.0.0.1:1"));
    const nobody = await relaypost(["check", "--connect", "--json", away]);
    assert.equal(nobody.code, 75);
    assert.match(JSON.stringify(jsonLines(nobody)[0]), /"cluster":\{"ok":false,"problem":"Redis cannot be reached: /);
    assert.doesNotMatch(nobody.stdout + nobody.stderr, /word-word/);
  });
});
