/** A gateway that shares neither places nor a rate has no lease that finds out whether Redis answers: its connection to Redis says it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RemoteHosts } from "../../src/index.js";
import { RecordedLog } from "../unit/kit/fake-hosts.js";
import { RedisServer } from "./kit/redis-server.js";

test("a gateway that shares only health says that Redis is lost, and found again", {
  timeout: 60_000,
}, async (context) => {
  const redis = await RedisServer.start();
  context.after(() => redis.close());
  const log = new RecordedLog();
  await using remotes = await RemoteHosts.open(
    {
      cluster: { url: redis.url, name: "test", timeout: "1s" },
      remote: { lmtp: { address: "127.0.0.1", port: 1, protocol: "lmtp", cluster: { health: true } } },
    },
    { logger: log.logger },
  );
  const cluster = async () => (await remotes.stats()).cluster!;
  await log.event("cluster-found");
  const { state, losses, loss } = await cluster();
  assert.deepEqual([state, losses, loss], ["held", 0, undefined]);
  await redis.kill();
  const { msg } = await log.event("cluster-lost");
  assert.match(String(msg), /shares nothing with others/);
  const lost = await cluster();
  assert.deepEqual([lost.state, lost.losses, lost.loss?.failedCalls], ["lost", 1, 1]);
  assert.ok(lost.loss!.reason.length > 0);
  log.records.length = 0;
  await redis.restart();
  await log.event("cluster-found");
  assert.equal((await cluster()).state, "held");
});
