/** The mailbox with a worker at its other end: requests out, answers in, deadlines, and what is given up. */
import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { RecipientResult } from "../../../src/api.js";
import { NO_CLIENT } from "../../../src/messages/client.js";
import { delivered, HEAD, isCode, MailboxRig, OK } from "../kit/mailbox-rig.js";

describe("the mailbox with a worker", () => {
  let rig: MailboxRig;

  beforeEach(() => {
    rig = new MailboxRig();
  });
  afterEach(() => rig.close());

  beforeEach(() => rig.connect());

  test("requests of a turn travel in one batch", async () => {
    const answers = Promise.all([rig.ask("a@example.org"), rig.ask("b@example.org"), rig.ask("c@example.org")]);
    const slots = await rig.actor.slots(3);
    assert.equal(rig.mailbox.posted, 1);
    assert.equal(rig.mailbox.cells.received(), 1);
    for (const slot of slots) {
      rig.worker.answered(slot, { found: true, values: [], reply: OK }, "remote", slot);
    }
    assert.deepEqual(
      (await answers).map((answer) => answer.ageMs),
      slots,
    );
    assert.equal(rig.load.pending, 0);
    assert.equal(rig.mailbox.owed, 0);
  });

  test("a slot is used again once it is answered", async () => {
    for (let round = 1; round <= 3; round++) {
      const answer = rig.ask();
      const slot = (await rig.actor.slots(round))[round - 1]!;
      assert.equal(slot, 0);
      rig.worker.answered(slot, { found: false, values: [], reply: OK }, "cache", 0);
      await answer;
    }
  });

  test("a second answer for a slot does not reach whoever has it next", async () => {
    const first = rig.ask("a@example.org");
    await rig.actor.slots(1);
    rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 1);
    rig.worker.answered(0, { found: false, values: [], reply: OK }, "remote", 2);
    assert.equal((await first).ageMs, 1);
    const second = rig.ask("b@example.org");
    await rig.actor.slots(2);
    rig.worker.failed(0, { code: "CONNECT_FAILED", message: "no" });
    await assert.rejects(second, isCode("CONNECT_FAILED"));
    assert.equal(rig.logged[0]![1], "answered-twice");
  });

  test("a lookup past its deadline is rejected and cancelled; its slot is kept until the worker answers", async () => {
    const answer = rig.ask("a@example.org", { timeoutMs: 100 });
    await rig.actor.slots(1);
    rig.clock.advance(99);
    assert.equal(rig.load.pending, 1);
    rig.clock.advance(50);
    await assert.rejects(answer, isCode("DEADLINE_EXCEEDED"));
    assert.equal(rig.load.pending, 0);
    await rig.actor.slots(2);
    assert.deepEqual(rig.actor.calls[1], ["cancel", 0, "DEADLINE_EXCEEDED"]);
    const next = rig.ask();
    assert.equal((await rig.actor.slots(3))[2], 1, "another slot");
    rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
    rig.worker.answered(1, { found: true, values: ["next"], reply: OK }, "remote", 0);
    assert.deepEqual((await next).values, ["next"]);
    assert.equal(rig.mailbox.owed, 0);
    assert.equal(rig.clock.pending, 0, "no timer is left");
  });

  test("an answer disarms the deadline, also for who has the slot next", async () => {
    const answer = rig.ask("a@example.org", { timeoutMs: 100 });
    await rig.actor.slots(1);
    rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
    await answer;
    const next = rig.ask("b@example.org");
    await rig.actor.slots(2);
    rig.clock.advance(1000);
    assert.equal(rig.load.pending, 1);
    rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
    await next;
    assert.equal(rig.actor.calls.length, 2);
    assert.equal(rig.clock.pending, 0);
  });

  test("one signal gives up all requests that carry it, with its reason, and keeps no listener", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const answers = [
      rig.ask("a@example.org", { signal }),
      rig.ask("b@example.org", { signal }),
      rig.ask("c@example.org"),
    ];
    await rig.actor.slots(3);
    rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
    await answers[0];
    assert.equal(getEventListeners(signal, "abort").length, 1);
    const unused = new AbortController();
    const answered = rig.ask("d@example.org", { signal: unused.signal });
    await rig.actor.slots(4);
    rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
    await answered;
    assert.equal(getEventListeners(unused.signal, "abort").length, 0);
    const reason = new Error("enough");
    controller.abort(reason);
    await assert.rejects(answers[1]!, (error) => isCode("ABORTED")(error) && (error as Error).cause === reason);
    await rig.actor.slots(5);
    assert.deepEqual(rig.actor.calls[4], ["cancel", 1, "ABORTED"]);
    assert.equal(rig.load.pending, 1);
    rig.worker.failed(1, { code: "ABORTED", message: "" });
    rig.worker.answered(2, { found: true, values: [], reply: OK }, "remote", 0);
    await answers[2];
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  test("a relay given up before its terminator was delivered to nobody and stays so", async () => {
    for (const steps of [0, 1, 2]) {
      const before = rig.actor.calls.length;
      const result = rig.mailbox.relay(rig.load, HEAD, "content", 7, NO_CLIENT, { timeoutMs: 100 });
      const slot = (await rig.actor.slots(before + 1))[before]!;
      if (steps > 0) {
        rig.worker.toEnvelope(slot);
      }
      if (steps > 1) {
        rig.worker.toContent(slot);
      }
      rig.clock.advance(130);
      await assert.rejects(result, isCode("DEADLINE_EXCEEDED"));
      assert.equal(rig.worker.toEnvelope(slot) || rig.worker.toContent(slot) || rig.worker.toTerminator(slot), false);
      await rig.actor.slots(before + 2);
      rig.worker.failed(slot, { code: "DEADLINE_EXCEEDED", message: "" });
    }
  });

  async function relayToTerminator(options: { timeoutMs?: number; signal?: AbortSignal }) {
    const result = rig.mailbox.relay(rig.load, HEAD, "content", 7, NO_CLIENT, options);
    const [slot] = await rig.actor.slots(1);
    assert.ok(rig.worker.toEnvelope(slot!) && rig.worker.toContent(slot!) && rig.worker.toTerminator(slot!));
    return { result, slot: slot! };
  }

  test("a relay given up after its terminator is what the worker says in time", async () => {
    const { result, slot } = await relayToTerminator({ timeoutMs: 100 });
    rig.clock.advance(130);
    await rig.actor.slots(2);
    const recipients: RecipientResult[] = [
      delivered("a@example.org"),
      { address: "b@example.org", status: "uncertain" },
    ];
    rig.worker.relayed(slot, recipients, undefined, 4);
    assert.deepEqual(await result, { recipients, connection: 4 });
    assert.equal(rig.mailbox.owed, 0);
  });

  for (const how of ["deadline", "abort"] as const) {
    test(`a relay given up after its terminator is uncertain when the worker says nothing (${how})`, async () => {
      const controller = new AbortController();
      const { result, slot } = await relayToTerminator(
        how === "deadline" ? { timeoutMs: 100 } : { signal: controller.signal, timeoutMs: 50_000 },
      );
      controller.abort();
      rig.clock.advance(how === "deadline" ? 100 + 250 : 250);
      assert.deepEqual(
        (await result).recipients.map(({ status }) => status),
        ["uncertain", "uncertain"],
      );
      assert.equal(rig.mailbox.owed, 1, "the worker owes an answer still");
      rig.worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
      while (rig.mailbox.owed > 0) {
        await turn();
      }
    });
  }

  test("a stream is pulled part by part and destroyed when the relay is given up", async () => {
    const source = new Readable({ read() {} });
    const controller = new AbortController();
    const result = rig.mailbox.relay(rig.load, HEAD, source, 0, NO_CLIENT, { signal: controller.signal });
    const [slot] = await rig.actor.slots(1);
    assert.equal(rig.actor.jobs[0]!.content, null);
    source.push("x".repeat(70_000));
    rig.worker.wantContent(slot!);
    await rig.actor.slots(2);
    assert.equal(rig.actor.calls[1]![0], "part");
    const closed = once(source, "close");
    controller.abort();
    await assert.rejects(result, isCode("ABORTED"));
    await closed;
  });

  test("a stream that fails gives its error as the cause", async () => {
    const source = new Readable({ read() {} });
    const result = rig.mailbox.relay(rig.load, HEAD, source, 0, NO_CLIENT, undefined);
    const [slot] = await rig.actor.slots(1);
    rig.worker.wantContent(slot!);
    const error = new Error("torn");
    source.destroy(error);
    await rig.actor.slots(2);
    assert.deepEqual(rig.actor.calls[1], ["contentFailed", slot, "torn"]);
    rig.worker.failed(slot!, { code: "CONTENT_FAILED", message: "torn", cause: "torn" });
    await assert.rejects(result, (failure) => isCode("CONTENT_FAILED")(failure) && (failure as Error).cause === error);
  });

  test("what waits is what is pending less what is in flight", async () => {
    const results = [
      rig.mailbox.relay(rig.load, HEAD, "x".repeat(1000), 1000, NO_CLIENT, undefined),
      rig.mailbox.relay(rig.load, HEAD, "x".repeat(500), 500, NO_CLIENT, undefined),
    ];
    const [first, second] = await rig.actor.slots(2);
    assert.deepEqual(rig.waiting(), [2, 1500]);
    rig.worker.countInFlight(2, 1);
    rig.worker.toEnvelope(first!);
    assert.deepEqual(rig.waiting(), [1, 500]);
    rig.worker.toQueued(first!);
    assert.deepEqual(rig.waiting(), [1, 1500]);
    rig.worker.toEnvelope(first!);
    rig.worker.countInFlight(2, -1);
    for (const slot of [first!, second!]) {
      rig.worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
    }
    await Promise.all(results);
    assert.deepEqual(rig.waiting(), [0, 0]);
  });

  test("what is answered waits no longer, though its answer be on its way: nothing is refused for it", async () => {
    const results = [
      rig.mailbox.relay(rig.load, HEAD, "x".repeat(1000), 1000, NO_CLIENT, undefined),
      rig.mailbox.relay(rig.load, HEAD, "x".repeat(500), 500, NO_CLIENT, undefined),
    ];
    const slots = await rig.actor.slots(2);
    rig.worker.countInFlight(2, 2);
    for (const slot of slots) {
      rig.worker.toEnvelope(slot);
    }
    for (const slot of slots) {
      rig.worker.countInFlight(2, -1);
      rig.worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
    }
    assert.deepEqual(rig.waiting(), [0, 0], "answered, and not posted");
    rig.worker.flush();
    assert.equal(rig.load.waiting(rig.mailbox.cells), 2, "posted, and not read: counting reads nothing");
    assert.deepEqual(rig.waiting(), [0, 0]);
    await Promise.all(results);
    const third = rig.mailbox.relay(rig.load, HEAD, "y".repeat(700), 700, NO_CLIENT, undefined);
    const slot = (await rig.actor.slots(3))[2]!;
    rig.worker.countInFlight(2, 1);
    rig.worker.toEnvelope(slot);
    rig.worker.countInFlight(2, -1);
    rig.worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
    rig.worker.flush();
    assert.deepEqual(rig.waiting(), [0, 0]);
    await third;
  });

  test("a request for a host that was removed is refused by the worker", async () => {
    rig.worker.removeActor(2);
    await assert.rejects(rig.ask(), isCode("MAILBOX_CLOSED"));
  });

  test("the worker can catch up with what was posted before a control call", async () => {
    const answer = rig.ask();
    rig.mailbox.flush();
    rig.worker.catchUp();
    assert.equal(rig.actor.calls.length, 1);
    rig.worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
    rig.worker.flush();
    rig.mailbox.catchUp();
    assert.equal(rig.mailbox.owed, 0);
    await answer;
  });
});
