/** Both ends of the mailbox on one thread, a scripted actor behind it: each request is settled once, whatever happens. */
import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import type { RecipientResult } from "../../../src/api.js";
import { RelaypostError } from "../../../src/errors.js";
import { NO_CLIENT } from "../../../src/messages/client.js";
import type { RelayJob } from "../../../src/messages/contract.js";
import type { HostActor } from "../../../src/messages/host-actor.js";
import type { RelayHead } from "../../../src/messages/requests.js";
import { Mailbox } from "../../../src/runtime/mailbox.js";
import { HostLoad } from "../../../src/runtime/slot.js";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { WorkerMailbox } from "../../../workers/mailbox.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const OK = { code: 250, text: "Ok" };
const LOST = { code: "WORKER_LOST", message: "lost" } as const;
const HEAD: RelayHead = {
  from: "",
  recipients: ["a@example.org", "b@example.org"],
  sizeOctets: -1,
  smtputf8: "unused",
  body: null,
  requireTls: false,
  ret: null,
  envid: null,
  dsn: null,
};

const ANN = { username: "ann", secret: "open sesame", isToken: false };

/** Keeps what it gets. */
class SilentActor implements HostActor {
  readonly calls: [name: string, slot: number, ...rest: unknown[]][] = [];
  readonly jobs: RelayJob[] = [];
  private wake: (() => void) | undefined;

  lookup(...all: Parameters<HostActor["lookup"]>): void {
    this.note("lookup", ...all);
  }
  authenticate(...all: Parameters<HostActor["authenticate"]>): void {
    this.note("authenticate", ...all);
  }
  relay(job: RelayJob): void {
    this.jobs.push(job);
    this.note("relay", job.slot);
  }
  contentPart(slot: number, bytes: Uint8Array, last: boolean): void {
    this.note("part", slot, Buffer.from(bytes).toString(), last);
  }
  contentFailed(slot: number, message: string): void {
    this.note("contentFailed", slot, message);
  }
  cancel(slot: number, code: string): void {
    this.note("cancel", slot, code);
  }
  grantPlaces(): void {}
  forget(): number {
    return 0;
  }
  stats(): never {
    throw new Error("not asked here");
  }
  reconfigure(): void {}
  async close(): Promise<void> {}

  /** The slots of the calls so far, once there are `count`. */
  async slots(count: number): Promise<number[]> {
    while (this.calls.length < count) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.calls.map(([, slot]) => slot);
  }

  private note(name: string, slot: number, ...rest: unknown[]): void {
    this.calls.push([name, slot, ...rest]);
    this.wake?.();
  }
}

function delivered(address: string): RecipientResult {
  return { address, status: "delivered", reply: OK };
}

describe("the mailbox", () => {
  let clock: VirtualClock;
  let mailbox: Mailbox;
  let worker: WorkerMailbox;
  let actor: SilentActor;
  let load: HostLoad;
  let logged: unknown[][];
  let closers: (() => void)[] = [];

  /** A worker is there, or another one. */
  function connect(): void {
    const { port1, port2 } = new MessageChannel();
    worker = new WorkerMailbox(
      { data: port2, control: port2, memory: mailbox.cells.memory, isEndless: true, logLevel: "info" },
      clock,
    );
    actor = new SilentActor();
    worker.addActor(2, actor);
    mailbox.connect(port1);
    closers.push(() => port1.close());
  }

  beforeEach(() => {
    clock = new VirtualClock();
    logged = [];
    mailbox = new Mailbox(new TimerWheel(clock, 20), (...record) => logged.push(record), 2, false);
    load = new HostLoad("a", 2);
  });

  afterEach(() => {
    for (const close of closers) {
      close();
    }
    closers = [];
  });

  function ask(value = "x@example.org", options?: { timeoutMs?: number; signal?: AbortSignal }) {
    return mailbox.lookup(load, "rcpt", value, NO_CLIENT, options);
  }

  /** What waits once the answers that were posted are taken in. */
  function waiting(): [requests: number, octets: number] {
    mailbox.catchUp();
    return [load.waiting(mailbox.cells), load.waitingOctets(mailbox.cells)];
  }

  function isCode(code: string): (error: unknown) => boolean {
    return (error) => error instanceof RelaypostError && error.code === code && error.hostId === "a";
  }

  describe("with a worker", () => {
    beforeEach(() => connect());

    test("requests of a turn travel in one batch", async () => {
      const answers = Promise.all([ask("a@example.org"), ask("b@example.org"), ask("c@example.org")]);
      const slots = await actor.slots(3);
      assert.equal(mailbox.posted, 1);
      assert.equal(mailbox.cells.received(), 1);
      for (const slot of slots) {
        worker.answered(slot, { found: true, values: [], reply: OK }, "remote", slot);
      }
      assert.deepEqual(
        (await answers).map((answer) => answer.ageMs),
        slots,
      );
      assert.equal(load.pending, 0);
      assert.equal(mailbox.owed, 0);
    });

    test("a slot is used again once it is answered", async () => {
      for (let round = 1; round <= 3; round++) {
        const answer = ask();
        const slot = (await actor.slots(round))[round - 1]!;
        assert.equal(slot, 0);
        worker.answered(slot, { found: false, values: [], reply: OK }, "cache", 0);
        await answer;
      }
    });

    test("a second answer for a slot does not reach whoever has it next", async () => {
      const first = ask("a@example.org");
      await actor.slots(1);
      worker.answered(0, { found: true, values: [], reply: OK }, "remote", 1);
      worker.answered(0, { found: false, values: [], reply: OK }, "remote", 2);
      assert.equal((await first).ageMs, 1);
      const second = ask("b@example.org");
      await actor.slots(2);
      worker.failed(0, { code: "CONNECT_FAILED", message: "no" });
      await assert.rejects(second, isCode("CONNECT_FAILED"));
      assert.equal(logged[0]![1], "answered-twice");
    });

    test("a lookup past its deadline is rejected and cancelled; its slot is kept until the worker answers", async () => {
      const answer = ask("a@example.org", { timeoutMs: 100 });
      await actor.slots(1);
      clock.advance(99);
      assert.equal(load.pending, 1);
      clock.advance(50);
      await assert.rejects(answer, isCode("DEADLINE_EXCEEDED"));
      assert.equal(load.pending, 0);
      await actor.slots(2);
      assert.deepEqual(actor.calls[1], ["cancel", 0, "DEADLINE_EXCEEDED"]);
      const next = ask();
      assert.equal((await actor.slots(3))[2], 1, "another slot");
      worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
      worker.answered(1, { found: true, values: ["next"], reply: OK }, "remote", 0);
      assert.deepEqual((await next).values, ["next"]);
      assert.equal(mailbox.owed, 0);
      assert.equal(clock.pending, 0, "no timer is left");
    });

    test("an answer disarms the deadline, also for who has the slot next", async () => {
      const answer = ask("a@example.org", { timeoutMs: 100 });
      await actor.slots(1);
      worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
      await answer;
      const next = ask("b@example.org");
      await actor.slots(2);
      clock.advance(1000);
      assert.equal(load.pending, 1);
      worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
      await next;
      assert.equal(actor.calls.length, 2);
      assert.equal(clock.pending, 0);
    });

    test("one signal gives up all requests that carry it, with its reason, and keeps no listener", async () => {
      const controller = new AbortController();
      const { signal } = controller;
      const answers = [ask("a@example.org", { signal }), ask("b@example.org", { signal }), ask("c@example.org")];
      await actor.slots(3);
      worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
      await answers[0];
      assert.equal(getEventListeners(signal, "abort").length, 1);
      const unused = new AbortController();
      const answered = ask("d@example.org", { signal: unused.signal });
      await actor.slots(4);
      worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
      await answered;
      assert.equal(getEventListeners(unused.signal, "abort").length, 0);
      const reason = new Error("enough");
      controller.abort(reason);
      await assert.rejects(answers[1]!, (error) => isCode("ABORTED")(error) && (error as Error).cause === reason);
      await actor.slots(5);
      assert.deepEqual(actor.calls[4], ["cancel", 1, "ABORTED"]);
      assert.equal(load.pending, 1);
      worker.failed(1, { code: "ABORTED", message: "" });
      worker.answered(2, { found: true, values: [], reply: OK }, "remote", 0);
      await answers[2];
      assert.equal(getEventListeners(signal, "abort").length, 0);
    });

    test("a relay given up before its terminator was delivered to nobody and stays so", async () => {
      for (const steps of [0, 1, 2]) {
        const before = actor.calls.length;
        const result = mailbox.relay(load, HEAD, "content", 7, NO_CLIENT, { timeoutMs: 100 });
        const slot = (await actor.slots(before + 1))[before]!;
        if (steps > 0) {
          worker.toEnvelope(slot);
        }
        if (steps > 1) {
          worker.toContent(slot);
        }
        clock.advance(130);
        await assert.rejects(result, isCode("DEADLINE_EXCEEDED"));
        assert.equal(worker.toEnvelope(slot) || worker.toContent(slot) || worker.toTerminator(slot), false);
        await actor.slots(before + 2);
        worker.failed(slot, { code: "DEADLINE_EXCEEDED", message: "" });
      }
    });

    async function relayToTerminator(options: { timeoutMs?: number; signal?: AbortSignal }) {
      const result = mailbox.relay(load, HEAD, "content", 7, NO_CLIENT, options);
      const [slot] = await actor.slots(1);
      assert.ok(worker.toEnvelope(slot!) && worker.toContent(slot!) && worker.toTerminator(slot!));
      return { result, slot: slot! };
    }

    test("a relay given up after its terminator is what the worker says in time", async () => {
      const { result, slot } = await relayToTerminator({ timeoutMs: 100 });
      clock.advance(130);
      await actor.slots(2);
      const recipients: RecipientResult[] = [
        delivered("a@example.org"),
        { address: "b@example.org", status: "uncertain" },
      ];
      worker.relayed(slot, recipients, undefined, 4);
      assert.deepEqual(await result, { recipients, connection: 4 });
      assert.equal(mailbox.owed, 0);
    });

    for (const how of ["deadline", "abort"] as const) {
      test(`a relay given up after its terminator is uncertain when the worker says nothing (${how})`, async () => {
        const controller = new AbortController();
        const { result, slot } = await relayToTerminator(
          how === "deadline" ? { timeoutMs: 100 } : { signal: controller.signal, timeoutMs: 50_000 },
        );
        controller.abort();
        clock.advance(how === "deadline" ? 100 + 250 : 250);
        assert.deepEqual(
          (await result).recipients.map(({ status }) => status),
          ["uncertain", "uncertain"],
        );
        assert.equal(mailbox.owed, 1, "the worker owes an answer still");
        worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
        while (mailbox.owed > 0) {
          await turn();
        }
      });
    }

    test("a stream is pulled part by part and destroyed when the relay is given up", async () => {
      const source = new Readable({ read() {} });
      const controller = new AbortController();
      const result = mailbox.relay(load, HEAD, source, 0, NO_CLIENT, { signal: controller.signal });
      const [slot] = await actor.slots(1);
      assert.equal(actor.jobs[0]!.content, null);
      source.push("x".repeat(70_000));
      worker.wantContent(slot!);
      await actor.slots(2);
      assert.equal(actor.calls[1]![0], "part");
      const closed = once(source, "close");
      controller.abort();
      await assert.rejects(result, isCode("ABORTED"));
      await closed;
    });

    test("a stream that fails gives its error as the cause", async () => {
      const source = new Readable({ read() {} });
      const result = mailbox.relay(load, HEAD, source, 0, NO_CLIENT, undefined);
      const [slot] = await actor.slots(1);
      worker.wantContent(slot!);
      const error = new Error("torn");
      source.destroy(error);
      await actor.slots(2);
      assert.deepEqual(actor.calls[1], ["contentFailed", slot, "torn"]);
      worker.failed(slot!, { code: "CONTENT_FAILED", message: "torn", cause: "torn" });
      await assert.rejects(
        result,
        (failure) => isCode("CONTENT_FAILED")(failure) && (failure as Error).cause === error,
      );
    });

    test("what waits is what is pending less what is in flight", async () => {
      const results = [
        mailbox.relay(load, HEAD, "x".repeat(1000), 1000, NO_CLIENT, undefined),
        mailbox.relay(load, HEAD, "x".repeat(500), 500, NO_CLIENT, undefined),
      ];
      const [first, second] = await actor.slots(2);
      assert.deepEqual(waiting(), [2, 1500]);
      worker.countInFlight(2, 1);
      worker.toEnvelope(first!);
      assert.deepEqual(waiting(), [1, 500]);
      worker.toQueued(first!);
      assert.deepEqual(waiting(), [1, 1500]);
      worker.toEnvelope(first!);
      worker.countInFlight(2, -1);
      for (const slot of [first!, second!]) {
        worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
      }
      await Promise.all(results);
      assert.deepEqual(waiting(), [0, 0]);
    });

    test("what is answered waits no longer, though its answer be on its way: nothing is refused for it", async () => {
      const results = [
        mailbox.relay(load, HEAD, "x".repeat(1000), 1000, NO_CLIENT, undefined),
        mailbox.relay(load, HEAD, "x".repeat(500), 500, NO_CLIENT, undefined),
      ];
      const slots = await actor.slots(2);
      worker.countInFlight(2, 2);
      for (const slot of slots) {
        worker.toEnvelope(slot);
      }
      for (const slot of slots) {
        worker.countInFlight(2, -1);
        worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
      }
      assert.deepEqual(waiting(), [0, 0], "answered, and not posted");
      worker.flush();
      assert.equal(load.waiting(mailbox.cells), 2, "posted, and not read: counting reads nothing");
      assert.deepEqual(waiting(), [0, 0]);
      await Promise.all(results);
      const third = mailbox.relay(load, HEAD, "y".repeat(700), 700, NO_CLIENT, undefined);
      const slot = (await actor.slots(3))[2]!;
      worker.countInFlight(2, 1);
      worker.toEnvelope(slot);
      worker.countInFlight(2, -1);
      worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
      worker.flush();
      assert.deepEqual(waiting(), [0, 0]);
      await third;
    });

    test("a request for a host that was removed is refused by the worker", async () => {
      worker.removeActor(2);
      await assert.rejects(ask(), isCode("MAILBOX_CLOSED"));
    });

    test("the worker can catch up with what was posted before a control call", async () => {
      const answer = ask();
      mailbox.flush();
      worker.catchUp();
      assert.equal(actor.calls.length, 1);
      worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
      worker.flush();
      mailbox.catchUp();
      assert.equal(mailbox.owed, 0);
      await answer;
    });
  });

  describe("when the worker is lost", () => {
    beforeEach(() => connect());

    test("a lookup is asked again of each successor, with what is left of its time", async () => {
      const answer = ask("again@example.org", { timeoutMs: 1000 });
      await actor.slots(1);
      for (const leftMs of [600, 200]) {
        clock.advance(400);
        mailbox.disconnect(LOST, true);
        connect();
        await actor.slots(1);
        const [name, , kind, value, deadlineMs] = actor.calls[0]!;
        assert.deepEqual(
          [name, kind, value, (deadlineMs as number) - clock.now()],
          ["lookup", "rcpt", "again@example.org", leftMs],
        );
      }
      worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
      assert.ok((await answer).found);
    });

    test("a lookup that has lost one worker too many is rejected", async () => {
      const answers = [ask(), mailbox.authenticate(load, ANN, NO_CLIENT, undefined)];
      for (let losses = 0; losses < 2; losses++) {
        await actor.slots(2);
        mailbox.disconnect(LOST, true);
        connect();
      }
      await actor.slots(2);
      assert.deepEqual(actor.calls[1]!.slice(0, 3), ["authenticate", 1, ANN]);
      mailbox.disconnect(LOST, true);
      for (const answer of answers) {
        await assert.rejects(answer, isCode("WORKER_LOST"));
      }
      assert.equal(mailbox.owed, 0);
    });

    test("a slot's former losses do not count for who has it next", async () => {
      for (let round = 0; round < 3; round++) {
        const answer = ask();
        await actor.slots(1);
        mailbox.disconnect(LOST, true);
        connect();
        await actor.slots(1);
        worker.answered(0, { found: true, values: [], reply: OK }, "remote", 0);
        assert.ok((await answer).found);
        connect();
      }
    });

    test("a login is asked again while no connection has it, and never once its credentials may have been shown", async () => {
      const answer = mailbox.authenticate(load, ANN, NO_CLIENT, undefined);
      await actor.slots(1);
      // Shown to a connection that was dead: nothing was written, so it waits again.
      assert.ok(worker.toEnvelope(0) && worker.toQueued(0));
      mailbox.disconnect(LOST, true);
      connect();
      await actor.slots(1);
      assert.ok(worker.toEnvelope(0));
      mailbox.disconnect(LOST, true);
      await assert.rejects(answer, isCode("WORKER_LOST"));
      assert.equal(mailbox.owed, 0);
    });

    test("a lookup whose deadline passes while no worker is there is rejected then", async () => {
      const answer = ask("x@example.org", { timeoutMs: 100 });
      await actor.slots(1);
      mailbox.disconnect(LOST, true);
      clock.advance(150);
      await assert.rejects(answer, isCode("DEADLINE_EXCEEDED"));
      connect();
      await actor.slots(2);
      worker.failed(0, { code: "DEADLINE_EXCEEDED", message: "" });
      while (mailbox.owed > 0) {
        await turn();
      }
    });

    test("relays are rejected before the terminator and uncertain after it", async () => {
      const results = [0, 1, 2, 3].map(() => mailbox.relay(load, HEAD, "x", 1, NO_CLIENT, undefined));
      const slots = await actor.slots(4);
      worker.toEnvelope(slots[1]!);
      for (const slot of slots.slice(2)) {
        assert.ok(worker.toEnvelope(slot) && worker.toContent(slot) && worker.toTerminator(slot));
      }
      worker.toReplied(slots[3]!);
      const lostWorker = worker;
      mailbox.disconnect(LOST, true);
      await assert.rejects(results[0]!, isCode("WORKER_LOST"));
      await assert.rejects(results[1]!, isCode("WORKER_LOST"));
      for (const result of results.slice(2)) {
        assert.deepEqual(await result, {
          recipients: HEAD.recipients.map((address) => ({ address, status: "uncertain" })),
          connection: 0,
        });
      }
      assert.equal(lostWorker.toContent(slots[1]!), false, "a worker that lives on can send nothing more");
      connect();
      const next = [0, 1, 2, 3].map(() => mailbox.relay(load, HEAD, "x", 1, NO_CLIENT, undefined));
      const again = await actor.slots(4);
      for (const slot of again) {
        assert.equal(lostWorker.toEnvelope(slot), false, "and touches no relay of its successor");
      }
      for (const slot of again) {
        assert.ok(worker.toEnvelope(slot));
        worker.relayed(slot, HEAD.recipients.map(delivered), OK, 1);
      }
      await Promise.all(next);
      assert.equal(load.pending + load.octets + mailbox.owed, 0);
    });

    test("what the worker has not seen goes to the next one, relays too", async () => {
      const result = mailbox.relay(load, HEAD, "unseen", 6, NO_CLIENT, undefined);
      const answer = ask("unseen@example.org");
      mailbox.disconnect(LOST, true);
      const later = ask("later@example.org");
      connect();
      const slots = await actor.slots(3);
      assert.equal(Buffer.from(actor.jobs[0]!.content!).toString(), "unseen");
      assert.ok(worker.toEnvelope(slots[0]!));
      worker.relayed(slots[0]!, HEAD.recipients.map(delivered), OK, 1);
      for (const slot of slots.slice(1)) {
        worker.answered(slot, { found: true, values: [], reply: OK }, "remote", 0);
      }
      await Promise.all([result, answer, later]);
    });

    test("nothing of a lost worker's requests disturbs those that take their slots", async () => {
      const source = Readable.from(["first"]);
      const result = mailbox.relay(load, HEAD, source, 0, NO_CLIENT, undefined);
      const [slot] = await actor.slots(1);
      worker.wantContent(slot!);
      worker.flush();
      mailbox.catchUp();
      await turn();
      mailbox.disconnect(LOST, true);
      await assert.rejects(result, isCode("WORKER_LOST"));
      const answer = ask();
      connect();
      await actor.slots(1);
      assert.deepEqual(actor.calls[0]!.slice(0, 2), ["lookup", slot]);
      worker.answered(slot!, { found: true, values: [], reply: OK }, "remote", 0);
      await answer;
    });

    test("for good, everything is settled", async () => {
      const refused = { code: "HOST_UNAVAILABLE", message: "failed" } as const;
      const sent = [ask(), mailbox.relay(load, HEAD, "x", 1, NO_CLIENT, undefined)];
      await actor.slots(2);
      const unsent = [ask(), mailbox.relay(load, HEAD, "x", 1, NO_CLIENT, undefined)];
      mailbox.disconnect(refused, false);
      for (const request of [...sent, ...unsent]) {
        await assert.rejects(request, isCode("HOST_UNAVAILABLE"));
      }
      assert.equal(mailbox.owed, 0);
      connect();
      const answer = ask("fresh@example.org");
      await actor.slots(1);
      assert.equal(actor.calls[0]![3], "fresh@example.org");
      worker.answered(actor.calls[0]![1], { found: true, values: [], reply: OK }, "remote", 0);
      await answer;
    });
  });
});
