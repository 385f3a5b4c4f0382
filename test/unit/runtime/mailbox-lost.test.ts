/** The mailbox when its worker is lost: what is asked again of the next one, what is rejected, and what is uncertain. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { NO_CLIENT } from "../../../src/messages/client.js";
import { ANN, delivered, HEAD, isCode, LOST, MailboxRig, OK } from "../kit/mailbox-rig.js";

describe("the mailbox when the worker is lost", () => {
  let rig: MailboxRig;

  beforeEach(() => {
    rig = new MailboxRig();
  });
  afterEach(() => rig.close());

  beforeEach(() => rig.connect());

  test("a lookup is asked again of each successor, with what is left of its time", async () => {
    const answer = rig.ask("again@example.org", { timeoutMs: 1000 });
    await rig.actor.slots(1);
    for (const leftMs of [600, 200]) {
      rig.clock.advance(400);
      rig.mailbox.disconnect(LOST, true);
      rig.connect();
      await rig.actor.slots(1);
      const [name, , kind, value, deadlineMs] = rig.actor.calls[0]!;
      assert.deepEqual(
        [name, kind, value, (deadlineMs as number) - rig.clock.now()],
        ["lookup", "rcpt", "again@example.org", leftMs],
      );
    }
    rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
    assert.ok((await answer).found);
  });

  test("a lookup that has lost one worker too many is rejected", async () => {
    const answers = [rig.ask(), rig.mailbox.authenticate(rig.load, ANN, NO_CLIENT, undefined)];
    for (let losses = 0; losses < 2; losses++) {
      await rig.actor.slots(2);
      rig.mailbox.disconnect(LOST, true);
      rig.connect();
    }
    await rig.actor.slots(2);
    assert.deepEqual(rig.actor.calls[1]!.slice(0, 3), ["authenticate", 1, ANN]);
    rig.mailbox.disconnect(LOST, true);
    for (const answer of answers) {
      await assert.rejects(answer, isCode("WORKER_LOST"));
    }
    assert.equal(rig.mailbox.owed, 0);
  });

  test("a slot's former losses do not count for who has it next", async () => {
    for (let round = 0; round < 3; round++) {
      const answer = rig.ask();
      await rig.actor.slots(1);
      rig.mailbox.disconnect(LOST, true);
      rig.connect();
      await rig.actor.slots(1);
      rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
      assert.ok((await answer).found);
      rig.connect();
    }
  });

  test("a login is asked again while no connection has it, and never once its credentials may have been shown", async () => {
    const answer = rig.mailbox.authenticate(rig.load, ANN, NO_CLIENT, undefined);
    await rig.actor.slots(1);
    // Shown to a connection that was dead: nothing was written, so it waits again.
    assert.ok(rig.worker.toEnvelope(0) && rig.worker.toQueued(0));
    rig.mailbox.disconnect(LOST, true);
    rig.connect();
    await rig.actor.slots(1);
    assert.ok(rig.worker.toEnvelope(0));
    rig.mailbox.disconnect(LOST, true);
    await assert.rejects(answer, isCode("WORKER_LOST"));
    assert.equal(rig.mailbox.owed, 0);
  });

  test("a lookup whose deadline passes while no worker is there is rejected then", async () => {
    const answer = rig.ask("x@example.org", { timeoutMs: 100 });
    await rig.actor.slots(1);
    rig.mailbox.disconnect(LOST, true);
    rig.clock.advance(150);
    await assert.rejects(answer, isCode("DEADLINE_EXCEEDED"));
    rig.connect();
    await rig.actor.slots(2);
    rig.worker.failed(0, { code: "DEADLINE_EXCEEDED", message: "" });
    while (rig.mailbox.owed > 0) {
      await turn();
    }
  });

  test("relays are rejected before the terminator and uncertain after it", async () => {
    const results = [0, 1, 2, 3].map(() => rig.mailbox.relay(rig.load, HEAD, "x", 1, NO_CLIENT, undefined));
    const slots = await rig.actor.slots(4);
    rig.worker.toEnvelope(slots[1]!);
    for (const slot of slots.slice(2)) {
      assert.ok(rig.worker.toEnvelope(slot) && rig.worker.toContent(slot) && rig.worker.toTerminator(slot));
    }
    rig.worker.toReplied(slots[3]!);
    const lostWorker = rig.worker;
    rig.mailbox.disconnect(LOST, true);
    await assert.rejects(results[0]!, isCode("WORKER_LOST"));
    await assert.rejects(results[1]!, isCode("WORKER_LOST"));
    for (const result of results.slice(2)) {
      assert.deepEqual(await result, {
        recipients: HEAD.recipients.map((address) => ({ address, status: "uncertain" })),
        connection: 0,
      });
    }
    assert.equal(lostWorker.toContent(slots[1]!), false, "a worker that lives on can send nothing more");
    rig.connect();
    const next = [0, 1, 2, 3].map(() => rig.mailbox.relay(rig.load, HEAD, "x", 1, NO_CLIENT, undefined));
    const again = await rig.actor.slots(4);
    for (const slot of again) {
      assert.equal(lostWorker.toEnvelope(slot), false, "and touches no relay of its successor");
    }
    for (const slot of again) {
      assert.ok(rig.worker.toEnvelope(slot));
      rig.worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
    }
    await Promise.all(next);
    assert.equal(rig.load.pending + rig.load.octets + rig.mailbox.owed, 0);
  });

  test("what the worker has not seen goes to the next one, relays too", async () => {
    const result = rig.mailbox.relay(rig.load, HEAD, "unseen", 6, NO_CLIENT, undefined);
    const answer = rig.ask("unseen@example.org");
    rig.mailbox.disconnect(LOST, true);
    const later = rig.ask("later@example.org");
    rig.connect();
    const slots = await rig.actor.slots(3);
    assert.equal(Buffer.from(rig.actor.jobs[0]!.content!).toString(), "unseen");
    assert.ok(rig.worker.toEnvelope(slots[0]!));
    rig.worker.relayed(slots[0]!, HEAD.recipients.map(delivered), OK, 1);
    for (const slot of slots.slice(1)) {
      rig.worker.answered(slot, { found: true, values: [], reply: OK }, "remote", 0);
    }
    await Promise.all([result, answer, later]);
  });

  test("nothing of a lost worker's requests disturbs those that take their slots", async () => {
    const source = Readable.from(["first"]);
    const result = rig.mailbox.relay(rig.load, HEAD, source, 0, NO_CLIENT, undefined);
    const [slot] = await rig.actor.slots(1);
    rig.worker.wantContent(slot!);
    rig.worker.flush();
    rig.mailbox.catchUp();
    await turn();
    rig.mailbox.disconnect(LOST, true);
    await assert.rejects(result, isCode("WORKER_LOST"));
    const answer = rig.ask();
    rig.connect();
    await rig.actor.slots(1);
    assert.deepEqual(rig.actor.calls[0]!.slice(0, 2), ["lookup", slot]);
    rig.worker.answered(slot!, { found: true, values: [], reply: OK }, "remote", 0);
    await answer;
  });

  test("for good, everything is settled", async () => {
    const refused = { code: "HOST_UNAVAILABLE", message: "failed" } as const;
    const sent = [rig.ask(), rig.mailbox.relay(rig.load, HEAD, "x", 1, NO_CLIENT, undefined)];
    await rig.actor.slots(2);
    const unsent = [rig.ask(), rig.mailbox.relay(rig.load, HEAD, "x", 1, NO_CLIENT, undefined)];
    rig.mailbox.disconnect(refused, false);
    for (const request of [...sent, ...unsent]) {
      await assert.rejects(request, isCode("HOST_UNAVAILABLE"));
    }
    assert.equal(rig.mailbox.owed, 0);
    rig.connect();
    const answer = rig.ask("fresh@example.org");
    await rig.actor.slots(1);
    assert.equal(rig.actor.calls[0]![3], "fresh@example.org");
    rig.worker.answered(rig.actor.calls[0]![1], { found: true, values: [], reply: OK }, "remote", 0);
    await answer;
  });
});
