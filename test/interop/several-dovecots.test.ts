/** One store at three real Dovecots: recipients have a node of their own, and a node that is stopped or killed costs no mail. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { RelaypostError, RemoteHosts } from "../../src/index.js";
import { RecordedLog } from "../unit/kit/fake-hosts.js";
import { Dovecot } from "./kit/dovecot.js";
import { addressOf, RECIPIENTS, reasonToSkip } from "./kit/sandbox.js";

/** Of three nodes the last one is a backup. */
const [BACKUP, NODES] = [2, [0, 1, 2]] as const;
/** A node that is stopped takes connections and says nothing. */
const TIMEOUTS = { greeting: "2s", mail: "2s", rcpt: "2s", "data-initiation": "2s", lookup: "2s" } as const;

describe("three Dovecots that are one store", { skip: reasonToSkip("dovecot"), timeout: 240_000 }, () => {
  const log = new RecordedLog();
  let dovecots: readonly Dovecot[];
  let hosts: RemoteHosts;
  let sent = 0;

  before(async () => {
    dovecots = await Promise.all(NODES.map(() => Dovecot.start()));
    const address = dovecots.map(({ ports }, node) => ({
      address: "127.0.0.1",
      port: ports.lmtp,
      weight: 2 - (node % 2),
      backup: node === BACKUP,
    }));
    const tls = { implicit: false, starttls: "disable" } as const;
    const store = { address, protocol: "lmtp", sticky: "recipient", concurrency: 8, timeout: "5s", tls } as const;
    const config = { remote: { store: { ...store, timeouts: TIMEOUTS } } };
    hosts = await RemoteHosts.open(config, { logger: log.logger });
  });

  after(async () => {
    await hosts?.close({ drainMs: 0 });
    await Promise.all((dovecots ?? []).map((dovecot) => dovecot.stop()));
  });

  /** Sends a message to each recipient, and again where nobody can have it; resolves with what is in their subjects. */
  async function sendToAll(): Promise<Map<string, string>> {
    const subjects = new Map(RECIPIENTS.map((user) => [user, `${user} ${sent++}.`]));
    await Promise.all([...subjects].map(([user, subject]) => send(user, subject)));
    return subjects;
  }

  async function send(user: string, subject: string): Promise<void> {
    const host = hosts.host("store");
    const envelope = { from: "me@else.test", to: addressOf(user) };
    for (;;) {
      try {
        const { recipients } = await host.relay(envelope, `Subject: ${subject}\r\n\r\nx\r\n`);
        assert.equal(recipients[0]!.status, "delivered", `${subject} ${recipients[0]!.reply?.text}`);
        return;
      } catch (error) {
        assert.ok(error instanceof RelaypostError && error.retryable, String(error));
        await pause(50);
      }
    }
  }

  /** On which node each message is. It is there once, and nowhere else. */
  function nodesOf(subjects: ReadonlyMap<string, string>): number[] {
    return [...subjects].map(([user, subject]) => {
      const found = NODES.flatMap((node) =>
        dovecots[node]!.mailbox(user)
          .filter((message) => message.includes(`Subject: ${subject}`))
          .map(() => node),
      );
      assert.equal(found.length, 1, `${subject} is at ${found}`);
      return found[0]!;
    });
  }

  /** Its mail goes there again: whoever asks for it is the one who tries the address. */
  async function untilUp(node: number): Promise<void> {
    const isUp = async () => (await hosts.stats()).hosts.store?.addresses?.[node]?.state === "up";
    while (!(await isUp())) {
      await send(RECIPIENTS[0]!, `${RECIPIENTS[0]} ${sent++}.`);
      await pause(50);
    }
  }

  let own: readonly number[];

  it("give each recipient a node, and the backup none", async () => {
    own = nodesOf(await sendToAll());
    assert.deepEqual(new Set(own), new Set([0, 1]));
    assert.deepEqual(nodesOf(await sendToAll()), own, "the same one again");
  });

  it("lose and double nothing while one is stopped, whose recipients alone move, and come back", async () => {
    dovecots[1]!.signal("SIGSTOP");
    let subjects: Map<string, string>;
    try {
      subjects = await sendToAll();
    } finally {
      dovecots[1]!.signal("SIGCONT");
    }
    assert.deepEqual(new Set(nodesOf(subjects)), new Set([0]), "the backup is for when both are gone");
    await log.event("address-down");
    await untilUp(1);
    assert.deepEqual(nodesOf(await sendToAll()), own);
  });

  it("lose and double nothing when both are killed, one after the other: the backup has it until one is back", async () => {
    await dovecots[1]!.kill();
    assert.deepEqual(new Set(nodesOf(await sendToAll())), new Set([0]));
    await dovecots[0]!.kill();
    assert.deepEqual(new Set(nodesOf(await sendToAll())), new Set([BACKUP]));
    await dovecots[0]!.begin();
    await untilUp(0);
    assert.deepEqual(new Set(nodesOf(await sendToAll())), new Set([0]), "the backup is left again");
    await dovecots[1]!.begin();
    await untilUp(1);
    assert.deepEqual(nodesOf(await sendToAll()), own);
  });
});
