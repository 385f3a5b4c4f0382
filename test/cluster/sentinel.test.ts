/** Answers and health are shared on behind a sentinel, whoever is the master. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { healthKey } from "../../src/cluster/health-script.js";
import { RemoteHosts } from "../../src/index.js";
import { RecordedLog } from "../unit/kit/fake-hosts.js";
import { command, Sentinels } from "./kit/deployments.js";
import { DoorHost } from "./kit/door-host.js";

const SECRET = "a secret of this test, of 32 octets and more";
const CHANNEL = healthKey("test");

let asked = 0;

const anybody = (): string => `${++asked}@example.org`;
const ask = (remotes: RemoteHosts, address: string) => remotes.host("lmtp").verifyRecipient(address);

/** Until what one of them was told by the host is known to the other one by Redis. */
async function untilShared(from: RemoteHosts, to: RemoteHosts): Promise<void> {
  for (let source = ""; source !== "cluster"; ) {
    const address = anybody();
    await ask(from, address);
    source = (await ask(to, address)).source;
  }
}

/** Until both hear what is published. */
async function untilHeard(url: string): Promise<void> {
  while (((await command(url, "PUBSUB", "NUMSUB", CHANNEL)) as [string, number])[1] < 2) {}
}

test("answers and health are told by a sentinel's master, and on by whoever takes over from it", {
  timeout: 60_000,
}, async (context) => {
  const sentinels = await Sentinels.start();
  context.after(() => sentinels.close());
  const host = await DoorHost.start();
  context.after(() => host.close());
  const open = async (): Promise<{ remotes: RemoteHosts; log: RecordedLog }> => {
    const log = new RecordedLog();
    const config = {
      // A busy machine is not a lost Redis.
      cluster: {
        sentinel: { name: "mail", urls: [sentinels.sentinel.url] },
        name: "test",
        secret: SECRET,
        timeout: "2s",
      },
      remote: {
        lmtp: {
          address: "127.0.0.1",
          port: host.port,
          protocol: "lmtp" as const,
          tls: { implicit: false, starttls: "disable" as const },
          lookup: true,
          limits: { errors: 1000, requests: 100_000 },
          cluster: { cache: true, health: true },
        },
      },
    };
    const remotes = await RemoteHosts.open(config, { logger: log.logger });
    context.after(() => remotes.close({ drainMs: 0 }));
    return { remotes, log };
  };
  const first = await open();
  const second = await open();
  await untilShared(first.remotes, second.remotes);
  await untilHeard(sentinels.master.url);

  await sentinels.master.kill();
  // Meanwhile each asks the host.
  assert.equal((await ask(first.remotes, anybody())).found, true);
  await untilShared(first.remotes, second.remotes);
  await untilShared(second.remotes, first.remotes);
  await untilHeard(sentinels.replica.url);

  const kept = anybody();
  await ask(first.remotes, kept);
  await ask(second.remotes, kept);
  assert.equal((await ask(second.remotes, kept)).source, "cache");
  await first.remotes.host("lmtp").forget({ recipient: kept });
  while ((await ask(second.remotes, kept)).source === "cache") {}

  host.door = "closed";
  host.breakAll();
  while ((await first.remotes.stats()).hosts.lmtp!.state !== "down") {
    await ask(first.remotes, anybody()).catch(() => {});
  }
  await second.log.event("host-down");
  const { opened } = (await second.remotes.stats()).hosts.lmtp!;
  await assert.rejects(ask(second.remotes, anybody()), /could not be reached by another gateway lately/);
  assert.equal((await second.remotes.stats()).hosts.lmtp!.opened, opened);
  host.door = "open";
  for (let isBack = false; !isBack; ) {
    isBack = await ask(first.remotes, anybody()).then(
      () => true,
      () => false,
    );
  }
  await second.log.event("host-up");
});
