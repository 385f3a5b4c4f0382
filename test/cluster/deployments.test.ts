/** Places are granted however a site runs its Redis. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePlaceReply, encodePlaceCall, PLACE_SCRIPT, placesKey } from "../../src/cluster/place-script.js";
import { RedisLink, RedisScript } from "../../src/cluster/redis.js";
import type { RedisSettings } from "../../src/config/settings.js";
import { command, RedisClusterServers, Sentinels, startTls } from "./kit/deployments.js";
import { RedisServer } from "./kit/redis-server.js";

const SCRIPT = new RedisScript(PLACE_SCRIPT);
/** A failover takes its time; how long a call may take is another test's. */
const TIMEOUT_MS = 5_000;

async function linkTo(settings: RedisSettings): Promise<RedisLink> {
  const link = await RedisLink.open(settings, TIMEOUT_MS);
  await settled(link);
  return link;
}

async function settled(link: RedisLink): Promise<void> {
  while (!link.isReady) {
    await new Promise<void>((resolve) => {
      link.onSettled = resolve;
    });
  }
}

let serial = 0;

async function grant(link: RedisLink, cluster = "mail"): Promise<number> {
  const claim = { hostId: "lmtp", total: 3, want: 2, claim: 0, leased: 0, seen: 0, elapsedMs: -1 };
  const call = { gateway: "g", serial: ++serial, leaseMs: 1000, isStrict: false, isLeaving: false, claims: [claim] };
  const reply = await link.run(SCRIPT, [placesKey(cluster)], encodePlaceCall(call));
  return decodePlaceReply(reply, 1)![0]!.target;
}

test("a server behind a unix socket", async () => {
  const server = await RedisServer.start();
  const link = await linkTo({ urls: [`unix:${server.socketPath}`] });
  assert.equal(await grant(link), 2);
  link.close();
  await server.close();
});

test("a server that speaks TLS, with a CA of the site's own; without it, no connection stands", async () => {
  const { server, url, ca } = await startTls();
  const link = await linkTo({ urls: [url], ca });
  assert.equal(await grant(link), 2);
  const other = await RedisLink.open({ urls: [url] }, TIMEOUT_MS);
  await new Promise<void>((resolve) => {
    other.onSettled = resolve;
  });
  await assert.rejects(grant(other), /certificate/);
  link.close();
  other.close();
  await server.close();
});

test("an account with the rights that docs/cluster.md names, and no more", async () => {
  const rights = "+@connection +evalsha +eval +script|load +hmget +hset +pexpire +time +info ~relaypost:*";
  const server = await RedisServer.start([`user mail on >secret-word resetchannels ${rights}`]);
  const link = await linkTo({ urls: [server.url], username: "mail", password: "secret-word" });
  assert.equal(await grant(link), 2);
  await assert.rejects(link.command("relaypost:x", ["FLUSHALL"]), /^Error: NOPERM|NOPERM/);
  const other = await RedisLink.open({ urls: [server.url], username: "mail", password: "wrong" }, TIMEOUT_MS);
  await new Promise<void>((resolve) => {
    other.onSettled = resolve;
  });
  await assert.rejects(grant(other), /WRONGPASS/);
  link.close();
  other.close();
  await server.close();
});

test("a sentinel's master, and whoever takes over from it", async () => {
  const sentinels = await Sentinels.start();
  const link = await linkTo({ urls: [], sentinel: { name: "mail", urls: [sentinels.sentinel.url] } });
  assert.equal(await grant(link), 2);
  await sentinels.master.kill();
  let granted = 0;
  while (granted === 0) {
    granted = await grant(link).catch(() => 0);
    await settled(link);
  }
  assert.equal(granted, 2);
  assert.match(String(await command(sentinels.replica.url, "INFO", "replication")), /role:master/);
  link.close();
  await sentinels.close();
});

test("a Redis Cluster of three nodes, wherever the slot of a cluster's name lies", async () => {
  const cluster = await RedisClusterServers.start();
  const link = await linkTo({ urls: cluster.urls });
  for (const name of ["mail", "other", "third", "fourth", "fifth"]) {
    assert.equal(await grant(link, name), 2, name);
  }
  link.close();
  await cluster.close();
});
