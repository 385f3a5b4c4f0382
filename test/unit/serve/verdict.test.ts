/** What the gateway's client is told, for every mixture of outcomes; and a log that stays readable. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { RecipientResult, RelayResult, Reply } from "../../../src/api.js";
import { RelaypostError } from "../../../src/errors.js";
import { LogThrottle } from "../../../src/serve/log-throttle.js";
import { repliesOf, replyOfAll, replyToError } from "../../../src/serve/verdict.js";

const STATUSES = ["delivered", "refused", "deferred", "uncertain"] as const;
const REPLIES: Record<RecipientResult["status"], Reply | undefined> = {
  delivered: { code: 250, enhanced: "2.1.5", text: "stored" },
  refused: { code: 552, enhanced: "5.2.2", text: "full" },
  deferred: { code: 450, enhanced: "4.2.1", text: "later" },
  uncertain: undefined,
};

function result(statuses: readonly RecipientResult["status"][], replies = REPLIES): RelayResult {
  const recipients = statuses.map((status, at) => {
    const reply = replies[status];
    return { address: `user${at}@example.org`, status, ...(reply === undefined ? {} : { reply }) };
  });
  return { recipients, connection: 1 };
}

describe("the reply of the gateway", () => {
  it("is the host's own for each recipient in LMTP", () => {
    assert.deepEqual(
      repliesOf(result(STATUSES)).map(({ code, text }) => `${code} ${text}`),
      [
        "250 2.1.5 stored",
        "552 5.2.2 full",
        "450 4.2.1 later",
        "451 4.4.2 the next host was lost before it answered; the message may have arrived",
      ],
    );
  });

  it("claims in SMTP nothing that is not so, and loses nobody", () => {
    const mixture = fc.array(fc.constantFrom(...STATUSES), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(mixture, (statuses) => {
        const { code } = replyOfAll(result(statuses));
        // Taken for all, only when all have it; refused for good, only when all are.
        assert.equal(
          code === 250,
          statuses.every((status) => status === "delivered"),
        );
        assert.equal(
          code >= 500,
          statuses.every((status) => status === "refused"),
        );
        assert.ok(code === 250 || code >= 400);
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 300) },
    );
  });

  it("names who has it and who has not, up to a length", () => {
    const { code, text } = replyOfAll(result([...Array<"delivered">(50).fill("delivered"), "refused", "deferred"]));
    assert.equal(code, 451);
    assert.match(
      text,
      /^4\.3\.0 delivered to user0@.* and 45 more; not to user50@example\.org, user51@example\.org: 5\.2\.2 full$/,
    );
    const long = { ...REPLIES, refused: { code: 550, text: `a\r\n${"b".repeat(9000)}` } };
    assert.ok(replyOfAll(result(["delivered", "refused"], long)).text.length <= 400);
    assert.doesNotMatch(replyOfAll(result(["refused"], long)).text, /[\r\n]/);
  });

  it("never hands on a code that would end the client's session, or say that it is not welcome", () => {
    for (const [status, code, expected] of [
      ["deferred", 421, 451],
      ["refused", 503, 550],
      ["refused", 530, 550],
      ["refused", 554, 554],
      ["deferred", 452, 452],
    ] as const) {
      const replies = { ...REPLIES, [status]: { code, text: "x" } };
      assert.equal(replyOfAll(result([status], replies)).code, expected);
    }
  });

  it("is temporary whenever nobody knows better", () => {
    assert.equal(replyToError(new Error("bug")).code, 451);
    assert.equal(replyToError(new RelaypostError("CONNECT_FAILED", "x")).code, 451);
    assert.equal(replyToError(new RelaypostError("MAILBOX_FULL", "x")).code, 452);
    assert.equal(replyToError(new RelaypostError("NOT_SUPPORTED", "x")).code, 451);
    assert.equal(replyToError(new RelaypostError("MISSING_EXTENSION", "x")).code, 554);
    assert.doesNotMatch(replyToError(new RelaypostError("AUTH_FAILED", "account relay@host")).text, /account/);
  });
});

describe("a muffled log", () => {
  it("has the first record of each event, then one in ten seconds with the number of those left out", () => {
    const lines: string[] = [];
    let nowMs = 0;
    const throttle = new LogThrottle(
      (_level, event, hostId, message, fields) => lines.push(`${event} ${hostId} ${message} ${JSON.stringify(fields)}`),
      { listener: "map" },
      () => nowMs,
    );
    for (; nowMs < 10_000; nowMs += 100) {
      throttle.warn("broken", "closed", { client: nowMs });
    }
    throttle.warn("broken", "closed", { client: "last" });
    throttle.warn("other", "different", {}, "lmtp");
    assert.deepEqual(lines, [
      'broken undefined closed {"listener":"map","client":0}',
      'broken undefined closed (and 99 more since) {"listener":"map","client":"last","leftOut":99}',
      'other lmtp different {"listener":"map"}',
    ]);
  });
});
