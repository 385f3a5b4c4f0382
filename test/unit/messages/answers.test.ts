/** Answers between the threads: each comes out as it went in. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LookupAnswer, RecipientResult, Reply } from "../../../src/api.js";
import { AnswerWriter } from "../../../src/messages/answers.js";
import { cross, readAnswers } from "../kit/crossing.js";

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
    const stands = { hostId: "a", connection: 7, durationMs: 1.25, failure: undefined, tls: "TLSv1.3" };
    const fails = { hostId: "b", connection: 8, durationMs: 3_000_000, failure, tls: null };
    writer.connected(stands);
    writer.connected(fails);
    writer.placesWanted("c", { serial: 4, held: 5, want: 6 });
    writer.healthFound("c", { is: "down", of: "login", forMs: 1500, failures: 4 });
    writer.tokenWanted(2, "c", 7);
    assert.deepEqual(readAnswers(cross(writer)), [
      ["failed", 3, failure],
      ["wantContent", 4],
      ["recycled", "one"],
      ["recycled", "two"],
      ["log", "warn", "late-verdict", "a", "late", { slot: 1 }],
      ["log", "debug", "plain", "", "nothing", {}],
      ["connected", stands],
      ["connected", { ...fails, durationMs: 0x7fffffff / 1000 }],
      ["placesWanted", "c", { serial: 4, held: 5, want: 6 }],
      ["healthFound", "c", { is: "down", of: "login", forMs: 1500, failures: 4 }],
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
