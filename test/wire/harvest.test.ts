/** The whole house on loopback with clients that try out addresses: the host is left alone, and mail to known recipients goes on. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pino } from "pino";
import { RemoteHosts } from "../../src/index.js";
import { collectMetrics } from "../../src/metrics.js";
import { listenMail } from "../../src/testing/index.js";
import { closeAfterEach } from "./kit/closing.js";

const ANNA = "anna@example.org";
const HARVESTER = { client: { address: "2001:db8::1", port: 1025 } };
/** In the harvester's /64. */
const NEIGHBOUR = { client: { address: "2001:db8::ffff" } };
const HONEST = { client: { address: "2001:db8:0:1::1" } };

const closing = closeAfterEach();

async function openHouse(unknown: number) {
  const server = await listenMail({ protocol: "lmtp", recipients: [ANNA, "bob@example.org"] });
  closing.push(() => server.close());
  const { address, port } = server;
  const tls = { implicit: false, starttls: "disable" } as const;
  const limits = { errors: 1000, requests: 1000 };
  const lookups = { harvest: { unknown } };
  const store = { address, port, protocol: "lmtp", lookup: true, tls, limits, lookups, concurrency: 1 } as const;
  const events: string[] = [];
  const logger = pino({ level: "warn" }, { write: (line: string) => events.push(line) });
  const remotes = await RemoteHosts.open({ remote: { store } }, { logger });
  closing.push(() => remotes.close({ drainMs: 0 }));
  return { server, remotes, host: remotes.host("store"), events };
}

type House = Awaited<ReturnType<typeof openHouse>>;

/** So many unknown recipients at once: all are on their way before the first is answered. */
async function harvest({ server, remotes, host }: House, count: number): Promise<void> {
  let go!: () => void;
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const withdraw = server.order({ on: "RCPT", match: /x\d/, waitFor: gate, reply: "550 5.1.1 who?" });
  const answers = Array.from({ length: count }, (_, at) => host.verifyRecipient(`x${at}@example.org`, HARVESTER));
  for (;;) {
    const { queued, inFlight } = (await remotes.stats()).hosts.store!;
    if (queued + inFlight === count) {
      break;
    }
  }
  go();
  assert.ok((await Promise.all(answers)).every(({ found }) => !found));
  withdraw();
}

function asked({ server }: House): number {
  return server.ledger.commands.filter((line) => line.startsWith("RCPT")).length;
}

describe("a client that tries out addresses", () => {
  test("has no more answers from the host, and those that are known to exist from the cache", async () => {
    const house = await openHouse(3);
    const { remotes, host } = house;
    assert.equal((await host.verifyRecipient(ANNA, HONEST)).found, true);
    await harvest(house, 6);
    for (let times = 0; times < 3; times++) {
      assert.equal((await host.verifyRecipient("x1@example.org")).source, "cache");
    }
    const before = asked(house);
    for (const client of [HARVESTER, NEIGHBOUR]) {
      const refusal = { code: "HARVEST_SUSPECTED", scope: "request", retryable: true, hostId: "store" };
      await assert.rejects(host.verifyRecipient("new@example.org", client), refusal);
      // What another client learnt of one who does not exist is not told either.
      await assert.rejects(host.verifyRecipient("x1@example.org", client), refusal);
      await assert.rejects(host.verify("anna", client), refusal);
      assert.equal((await host.verifyRecipient(ANNA, client)).source, "cache");
    }
    assert.equal(asked(house), before);
    const { harvest: stats, lookups, failures } = (await remotes.stats()).hosts.store!;
    assert.deepEqual(stats, { suspects: 1, late: 0, refused: 6 });
    assert.equal(lookups.failed, 6);
    assert.deepEqual(failures, { HARVEST_SUSPECTED: 6 });
    assert.match(
      await collectMetrics(remotes),
      /relaypost_harvest_lookups_total\{host="store",outcome="refused"\} 6\n/,
    );
    const told = house.events.filter((line) => line.includes('"harvest-suspected"'));
    assert.equal(told.length, 1);
    assert.match(told[0]!, /"client":"2001:db8::\/64"/);
  });

  test("is nobody but itself: other clients, and requests without one, are answered as ever", async () => {
    const house = await openHouse(3);
    await harvest(house, 6);
    assert.equal((await house.host.verifyRecipient("new@example.org", HONEST)).found, false);
    assert.equal((await house.host.verifyRecipient("newer@example.org")).found, false);
    for (let times = 0; times < 4; times++) {
      assert.equal((await house.host.verifyRecipient(ANNA, HONEST)).found, true);
    }
  });

  test("that is answered late may give up meanwhile, and the end of the host is no answer", async () => {
    const house = await openHouse(3);
    await harvest(house, 3);
    const before = asked(house);
    const giveUp = new AbortController();
    const answers = [
      house.host.verifyRecipient("a@example.org", { ...HARVESTER, signal: giveUp.signal }),
      house.host.verifyRecipient("b@example.org", HARVESTER),
    ].map((answer) => answer.catch(({ code }) => code));
    while ((await house.remotes.stats()).hosts.store!.harvest.late < 2) {}
    giveUp.abort();
    assert.equal(await answers[0], "ABORTED");
    await house.remotes.close({ drainMs: 0 });
    assert.equal(await answers[1], "MAILBOX_CLOSED");
    assert.equal(asked(house), before);
  });
});
