/** The codec between the threads: what one end writes, the other reads, after a structured clone as between real threads. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LookupAnswer, RecipientResult, Reply } from "../../../src/api.js";
import { AnswerReader, type AnswerSink, AnswerWriter } from "../../../src/messages/answers.js";
import type { Batch, BatchWriter } from "../../../src/messages/batch.js";
import { encodeClient, NO_CLIENT } from "../../../src/messages/client.js";
import type { RelayJob } from "../../../src/messages/contract.js";
import type { LogLevel } from "../../../src/messages/host-log.js";
import { PART_OCTETS, type RelayHead, RequestReader, RequestWriter } from "../../../src/messages/requests.js";
import { SharedState } from "../../../src/messages/shared-state.js";

function cross(writer: BatchWriter): Batch {
  let crossed: Batch | undefined;
  writer.flush((batch, transfer) => {
    crossed = structuredClone(batch, { transfer });
  });
  return crossed!;
}

/** Each call as an array: its name, then its arguments; octets as text. */
function readRequests(batch: Batch, nowMs = 1000): unknown[][] {
  const calls: unknown[][] = [];
  const text = (octets: Uint8Array): string => Buffer.from(octets).toString();
  new RequestReader({
    lookup: (...all) => calls.push(["lookup", ...all]),
    authenticate: (...all) => calls.push(["authenticate", ...all]),
    relay: (host, job: RelayJob) =>
      calls.push(["relay", host, { ...job, content: job.content === null ? null : text(job.content) }]),
    contentPart: (slot, bytes, isLast) => calls.push(["contentPart", slot, text(bytes), isLast]),
    contentFailed: (...all) => calls.push(["contentFailed", ...all]),
    cancel: (...all) => calls.push(["cancel", ...all]),
    adopt: (...all) => calls.push(["adopt", ...all]),
  }).read(batch, nowMs);
  return calls;
}

function readAnswers(batch: Batch, addresses: readonly string[] = []): unknown[][] {
  const calls: unknown[][] = [];
  const sink: AnswerSink = {
    answered: (slot: number, answer: LookupAnswer) => calls.push(["answered", slot, answer]),
    isAboutRecipient: (slot) => slot === 3,
    recipientsOf: () => addresses,
    relayed: (slot: number, recipients: RecipientResult[], reply: Reply | undefined, connection: number) =>
      calls.push(["relayed", slot, recipients, reply, connection]),
    failed: (slot, failure) => calls.push(["failed", slot, failure]),
    wantContent: (slot) => calls.push(["wantContent", slot]),
    connected: (...all) => calls.push(["connected", ...all]),
    placesWanted: (...all) => calls.push(["placesWanted", ...all]),
    tokenWanted: (...all) => calls.push(["tokenWanted", ...all]),
    recycled: (buffer) => calls.push(["recycled", Buffer.from(buffer).toString()]),
    log: (level: LogLevel, ...all) => calls.push(["log", level, ...all]),
  };
  new AnswerReader(sink).read(batch);
  return calls;
}

const HEAD: RelayHead = {
  from: "",
  recipients: ["a@example.org"],
  sizeOctets: -1,
  smtputf8: "unused",
  body: null,
  requireTls: false,
  ret: null,
  envid: null,
  dsn: null,
};

describe("requests between the threads", () => {
  test("lookups keep their kind, and their time limit starts on the worker's clock", () => {
    const writer = new RequestWriter();
    writer.lookup(0, 3, "rcpt", "a@example.org", 250.7);
    writer.lookup(1, 3, "vrfy", "Jürgen", -1);
    writer.lookup(2, 4, "expn", "staff", 1e12);
    assert.deepEqual(readRequests(cross(writer)), [
      ["lookup", 0, 3, "rcpt", "a@example.org", 1250, NO_CLIENT],
      ["lookup", 1, 3, "vrfy", "Jürgen", Number.POSITIVE_INFINITY, NO_CLIENT],
      ["lookup", 2, 4, "expn", "staff", 1000 + 0x7fffffff, NO_CLIENT],
    ]);
  });

  test("credentials", () => {
    const writer = new RequestWriter();
    writer.authenticate(5, 0, { username: "u", secret: "pässword", isToken: false }, -1);
    writer.authenticate(6, 0, { username: "v", secret: "token", isToken: true }, 9);
    assert.deepEqual(readRequests(cross(writer)), [
      [
        "authenticate",
        5,
        0,
        { username: "u", secret: "pässword", isToken: false },
        Number.POSITIVE_INFINITY,
        NO_CLIENT,
      ],
      ["authenticate", 6, 0, { username: "v", secret: "token", isToken: true }, 1009, NO_CLIENT],
    ]);
  });

  test("a client goes with the request after it, and with no other", () => {
    const client = encodeClient({ address: "192.0.2.1", port: 25, helo: "a.example" });
    const writer = new RequestWriter();
    const credentials = { username: "u", secret: "s", isToken: false };
    writer.client(client);
    writer.lookup(0, 1, "vrfy", "ann", -1);
    writer.lookup(1, 1, "vrfy", "ann", -1);
    writer.client(client);
    writer.authenticate(2, 1, credentials, -1);
    writer.client(client);
    writer.relay(3, 1, HEAD, "x", 1, -1);
    writer.relay(4, 1, HEAD, "x", 1, -1);
    const clients = readRequests(cross(writer)).map((call) =>
      call[0] === "relay" ? (call[2] as RelayJob).client : call.at(-1),
    );
    assert.deepEqual(clients, [client, NO_CLIENT, client, client, NO_CLIENT]);
  });

  test("a relay with everything, and one with nothing", () => {
    const full: RelayHead = {
      from: "from@example.org",
      recipients: ["a@example.org", "ü@example.org", "a@example.org"],
      sizeOctets: Number.MAX_SAFE_INTEGER,
      smtputf8: "if-offered",
      body: "binarymime",
      requireTls: true,
      ret: "HDRS",
      envid: "QQ314159",
      dsn: [
        { notify: "NEVER", orcpt: null },
        { notify: null, orcpt: "rfc822;x@example.org" },
        { notify: null, orcpt: null },
      ],
    };
    const writer = new RequestWriter();
    writer.relay(7, 1, full, "häuser", 7, 60_000);
    writer.relay(8, 1, HEAD, null, 0, -1);
    assert.deepEqual(readRequests(cross(writer)), [
      ["relay", 1, { slot: 7, deadlineMs: 61_000, ...full, client: NO_CLIENT, content: "häuser" }],
      ["relay", 1, { slot: 8, deadlineMs: Number.POSITIVE_INFINITY, ...HEAD, client: NO_CLIENT, content: null }],
    ]);
  });

  for (const body of [null, "7bit", "8bitmime", "binarymime"] as const) {
    for (const ret of [null, "FULL", "HDRS"] as const) {
      for (const sizeOctets of [-1, 0, 2 ** 31, 2 ** 32, 2 ** 33 + 5]) {
        test(`a relay with body ${body}, ret ${ret} and size ${sizeOctets}`, () => {
          const head = { ...HEAD, body, ret, sizeOctets };
          const writer = new RequestWriter();
          writer.relay(0, 0, head, "x", 1, -1);
          const [call] = readRequests(cross(writer));
          assert.deepEqual(call![2], {
            slot: 0,
            deadlineMs: Number.POSITIVE_INFINITY,
            ...head,
            client: NO_CLIENT,
            content: "x",
          });
        });
      }
    }
  }

  test("the contents of a batch are copied when they are written, and stand end to end", () => {
    const writer = new RequestWriter();
    const octets = Buffer.from("first");
    writer.relay(0, 0, HEAD, octets, 5, -1);
    octets.fill("?");
    writer.relay(1, 0, HEAD, "second", 6, -1);
    writer.relay(2, 0, HEAD, new Uint8Array(0), 0, -1);
    const batch = cross(writer);
    assert.equal(batch[2].length, 1);
    assert.deepEqual(
      readRequests(batch).map((call) => (call[2] as RelayJob).content),
      ["first", "second", ""],
    );
  });

  test("contents that outgrow an arena go on in another one", () => {
    const writer = new RequestWriter();
    const contents = Array.from({ length: 9 }, (_, index) => String(index).repeat(100_000));
    for (const [slot, content] of contents.entries()) {
      writer.relay(slot, 0, HEAD, content, content.length, -1);
    }
    const batch = cross(writer);
    assert.ok(batch[2].every((buffer) => buffer.byteLength <= PART_OCTETS));
    assert.deepEqual(
      readRequests(batch).map((call) => (call[2] as RelayJob).content),
      contents,
    );
  });

  test("parts, failures and cancellations stay in order between the requests", () => {
    const writer = new RequestWriter();
    writer.cancel(1, "ABORTED");
    writer.relay(1, 0, HEAD, "one", 3, -1);
    writer.contentPart(2, new Uint8Array(Buffer.from("part??")).buffer, 4, false);
    writer.relay(3, 0, HEAD, "three", 5, -1);
    writer.probe();
    writer.contentPart(2, new ArrayBuffer(0), 0, true);
    writer.contentFailed(4, "torn");
    writer.cancel(5, "DEADLINE_EXCEEDED");
    assert.deepEqual(
      readRequests(cross(writer)).map((call) => (call[0] === "relay" ? (call[2] as RelayJob).content : call)),
      [
        ["cancel", 1, "ABORTED"],
        "one",
        ["contentPart", 2, "part", false],
        "three",
        ["contentPart", 2, "", true],
        ["contentFailed", 4, "torn"],
        ["cancel", 5, "DEADLINE_EXCEEDED"],
      ],
    );
  });

  test("carry an answer that another gateway was given", () => {
    const reply = { code: 250, enhanced: "2.1.5", text: "ok" };
    const answer = { found: true, values: ["a", "b"], reply };
    const adopted = { kind: "rcpt", value: "a@b", client: "", credentials: undefined, answer, ageMs: 7 } as const;
    const writer = new RequestWriter();
    writer.adopt(3, adopted);
    const { credentials: _, ...told } = adopted;
    assert.deepEqual(readRequests(cross(writer)), [["adopt", 3, told]]);
  });

  test("a writer starts afresh after each batch, after one that could not be posted too", () => {
    const writer = new RequestWriter();
    writer.lookup(0, 0, "rcpt", "lost@example.org", -1);
    assert.throws(() =>
      writer.flush(() => {
        throw new Error("no port");
      }),
    );
    assert.ok(writer.isEmpty);
    writer.relay(1, 0, HEAD, "dropped", 7, -1);
    writer.clear();
    assert.ok(writer.isEmpty);
    for (let index = 0; index < 5000; index++) {
      writer.lookup(index, 0, "rcpt", `${index}@example.org`, -1);
    }
    const calls = readRequests(cross(writer));
    assert.equal(calls.length, 5000);
    assert.deepEqual(calls[4999], ["lookup", 4999, 0, "rcpt", "4999@example.org", Number.POSITIVE_INFINITY, NO_CLIENT]);
  });
});

describe("answers between the threads", () => {
  const ok: Reply = { code: 250, enhanced: "2.1.5", text: "Ok" };

  test("lookups, with and without values and replies", () => {
    const yes = { found: true, reply: ok, certainty: "verified" };
    const no = { found: false, reply: { code: 550, text: "no" }, certainty: "verified" };
    const writer = new AnswerWriter();
    writer.answered(0, { found: true, values: [], reply: ok }, "cache", 86_400_000.5);
    writer.answered(1, { found: false, values: [], reply: { code: 550, text: "no" } }, "remote", 0);
    writer.answered(2, { found: true, values: ["a", "ü"], reply: ok }, "shared", 1);
    writer.answered(3, { found: true, values: ["b"], reply: ok }, "remote", 1);
    assert.deepEqual(readAnswers(cross(writer)), [
      ["answered", 0, { ...yes, values: [], source: "cache", ageMs: 86_400_000 }],
      ["answered", 1, { ...no, values: [], source: "remote", ageMs: 0 }],
      ["answered", 2, { ...yes, values: ["a", "ü"], source: "shared", ageMs: 1 }],
      // Of a yes to RCPT alone nobody knows what it is worth.
      ["answered", 3, { ...yes, values: ["b"], source: "remote", ageMs: 1, certainty: "unknown" }],
    ]);
  });

  test("how sure an answer is, beside all else that is said of it", () => {
    const certainties = ["verified", "accepts-all", "unknown"] as const;
    const writer = new AnswerWriter();
    for (const certainty of certainties) {
      writer.answered(0, { found: true, values: [], reply: ok, certainty }, "shared", 1);
    }
    writer.answered(0, { found: false, values: [], reply: ok, mailbox: "list" }, "shared", 1);
    const answers = readAnswers(cross(writer)).map((call) => call[2] as LookupAnswer);
    assert.deepEqual(
      answers.map(({ found, source, mailbox, certainty }) => [found, source, mailbox, certainty]),
      [
        ...certainties.map((certainty) => [true, "shared", undefined, certainty]),
        [false, "shared", "list", "verified"],
      ],
    );
  });

  test("the state of a mailbox, whatever the source", () => {
    const states = ["full", "disabled", "too-large", "list"] as const;
    for (const source of ["cache", "remote", "shared"] as const) {
      const writer = new AnswerWriter();
      for (const [slot, mailbox] of states.entries()) {
        writer.answered(slot, { found: false, values: [], reply: ok, mailbox }, source, 1);
      }
      writer.answered(4, { found: false, values: [], reply: ok }, source, 1);
      const answers = readAnswers(cross(writer)).map((call) => call[2] as LookupAnswer);
      assert.deepEqual(
        answers.map(({ mailbox }) => mailbox),
        [...states, undefined],
      );
      assert.deepEqual([...new Set(answers.map((answer) => answer.source))], [source]);
    }
  });

  test("equal words in a row are sent once, and no caller shares a reply with another", () => {
    const writer = new AnswerWriter();
    const replies: Reply[] = [
      ok,
      { ...ok },
      { code: 251, enhanced: "2.1.5", text: "Ok" },
      { code: 250, text: "Ok" },
      ok,
    ];
    for (const [slot, reply] of replies.entries()) {
      writer.answered(slot, { found: true, values: [], reply }, "remote", 0);
    }
    const batch = cross(writer);
    assert.deepEqual(batch[1], ["Ok", "2.1.5", "Ok", "Ok", "2.1.5"]);
    const read = readAnswers(batch).map((call) => (call[2] as LookupAnswer).reply!);
    assert.deepEqual(read, replies);
    assert.notEqual(read[0], read[1]);
  });

  test("a batch does not lean on the one before it", () => {
    const writer = new AnswerWriter();
    for (let batch = 0; batch < 2; batch++) {
      writer.answered(0, { found: true, values: [], reply: ok }, "remote", 0);
      assert.deepEqual((readAnswers(cross(writer))[0]![2] as LookupAnswer).reply, ok);
    }
  });

  test("relays: recipients in the order of the envelope, duplicates kept, each with its own reply", () => {
    const addresses = ["a@example.org", "b@example.org", "a@example.org", "c@example.org"];
    const results: RecipientResult[] = [
      { address: addresses[0]!, status: "delivered", reply: ok },
      { address: addresses[1]!, status: "refused", reply: { code: 550, enhanced: "5.1.1", text: "no" } },
      { address: addresses[2]!, status: "deferred", reply: { code: 450, text: "later" } },
      { address: addresses[3]!, status: "uncertain" },
    ];
    const writer = new AnswerWriter();
    writer.relayed(0, results, ok, 12);
    writer.relayed(1, results.slice(0, 1), undefined, 1);
    assert.deepEqual(readAnswers(cross(writer), addresses), [
      ["relayed", 0, results, ok, 12],
      ["relayed", 1, results.slice(0, 1), undefined, 1],
    ]);
  });

  test("failures, credits, memory that goes back, records of the log and of connections", () => {
    const writer = new AnswerWriter();
    const failure = { code: "REPLY_TRANSIENT", message: "busy", reply: ok, retryable: true, cause: "x" } as const;
    writer.failed(3, failure);
    writer.wantContent(4);
    for (const memory of ["one", "two"]) {
      writer.recycle(new TextEncoder().encode(memory).buffer);
    }
    writer.log("warn", "late-verdict", "a", "late", { slot: 1 });
    writer.log("debug", "plain", "", "nothing");
    writer.connected("a", 7, 1.25, undefined, "TLSv1.3");
    writer.connected("b", 8, 3_000_000, failure, null);
    writer.placesWanted("c", { serial: 4, held: 5, want: 6 });
    writer.tokenWanted(2, "c", 7);
    assert.deepEqual(readAnswers(cross(writer)), [
      ["failed", 3, failure],
      ["wantContent", 4],
      ["recycled", "one"],
      ["recycled", "two"],
      ["log", "warn", "late-verdict", "a", "late", { slot: 1 }],
      ["log", "debug", "plain", "", "nothing", {}],
      ["connected", "a", 7, 1.25, undefined, "TLSv1.3"],
      ["connected", "b", 8, 0x7fffffff / 1000, failure, null],
      ["placesWanted", "c", { serial: 4, held: 5, want: 6 }],
      ["tokenWanted", 2, "c", 7],
    ]);
  });

  test("fields that JSON cannot say do not cost the record", () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const writer = new AnswerWriter();
    writer.log("error", "odd", "a", "message", circle);
    const [call] = readAnswers(cross(writer));
    assert.equal(call![2], "odd");
  });
});

describe("phases of a relay", () => {
  /** The two threads' views on one memory. */
  function open(): { gateway: SharedState; worker: SharedState } {
    const gateway = SharedState.create();
    return { gateway, worker: new SharedState(gateway.memory) };
  }

  test("a relay that runs through cannot be withdrawn after its terminator", () => {
    const { gateway, worker } = open();
    gateway.queue(7);
    assert.ok(worker.toEnvelope(7) && worker.toContent(7) && worker.toTerminator(7));
    assert.equal(gateway.withdraw(7), false);
    worker.toReplied(7);
    assert.equal(gateway.withdraw(7), false);
  });

  const steps: ((cells: SharedState) => boolean)[] = [
    (cells) => cells.toEnvelope(1),
    (cells) => cells.toContent(1),
    (cells) => cells.toTerminator(1),
  ];
  for (let done = 0; done < steps.length; done++) {
    test(`withdrawn after ${done} steps, it goes no further`, () => {
      const { gateway, worker } = open();
      gateway.queue(1);
      for (const step of steps.slice(0, done)) {
        assert.ok(step(worker));
      }
      assert.ok(gateway.withdraw(1));
      assert.ok(gateway.withdraw(1), "withdrawing twice is the same");
      for (const step of steps) {
        assert.equal(step(worker), false);
      }
      assert.equal(worker.toQueued(1), false);
    });
  }

  test("a retry starts from the queue, and only while no content was sent", () => {
    const { gateway, worker } = open();
    gateway.queue(1);
    assert.ok(worker.toEnvelope(1) && worker.toQueued(1) && worker.toEnvelope(1) && worker.toContent(1));
    assert.equal(worker.toQueued(1), false, "never once content may be on its way");
    assert.ok(worker.toTerminator(1));
    assert.equal(worker.toQueued(1), false, "never after the terminator");
  });

  test("a slot that was never queued cannot start", () => {
    assert.equal(open().worker.toEnvelope(3), false);
  });

  test("requests and octets in flight are counted for each host by itself", () => {
    const { gateway, worker } = open();
    worker.countInFlight(0, 2);
    worker.countInFlight(1, 5);
    worker.countOctetsInFlight(0, 100);
    worker.countReceived();
    assert.deepEqual([gateway.inFlight(0), gateway.inFlight(1), gateway.octetsInFlight(0)], [2, 5, 100]);
    assert.equal(gateway.received(), 1);
    gateway.clearHost(0);
    assert.deepEqual([gateway.inFlight(0), gateway.inFlight(1), gateway.octetsInFlight(0)], [0, 5, 0]);
  });
});
