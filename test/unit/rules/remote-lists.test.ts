/** When remote lists are asked, and what becomes of a rule when one does not answer. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RelaypostError } from "../../../src/errors.js";
import { RuleSet } from "../../../src/rules/rule-set.js";
import { branch } from "./branch.js";
import { type FakeAnswer, FakeRemotes } from "./fake-remotes.js";

const YES = { if: "mx", eq: "yes" };
const NO = { if: "mx", eq: "no" };
const inA = { if: "rcpt", "in-list": "remote/a" };
const inB = { if: "rcpt", "in-list": "remote/b" };
const notInA = { if: "rcpt", "not-in-list": "remote/a" };
const envelope = { rcpt: "bill@Example.org", mx: "yes" };
const silent = new RelaypostError("CONNECT_TIMEOUT", "no connection within 60 s");

function load(answers: Record<string, FakeAnswer>, it: object, more: object = {}) {
  const remotes = new FakeRemotes((list) => answers[list] ?? assert.fail(`${list} was asked`));
  return { remotes, rules: RuleSet.parse({ rule: { it, ...more } }, remotes) };
}

describe("a remote list", () => {
  it("is asked about the value as the gateway gave it", async () => {
    const { rules, remotes } = load({ "remote/a": true }, inA);
    assert.equal(await rules.test("it", envelope), true);
    assert.deepEqual(remotes.asked, ["remote/a bill@Example.org"]);
  });

  const undisturbed: [string, object, boolean][] = [
    ["any-of with a true local part behind it", { "any-of": [inA, YES] }, true],
    ["all-of with a false local part behind it", { "all-of": [inA, NO] }, false],
    ["none-of with a true local part behind it", { "none-of": [inA, YES] }, false],
    ["a nested part that is decided without it", { "any-of": [{ "all-of": [inA, NO] }, NO] }, false],
    ["a named condition that is decided without it", { "any-of": [{ if: "inner" }, YES] }, true],
  ];
  for (const [what, condition, expected] of undisturbed) {
    it(`is not asked by ${what}`, async () => {
      const { rules, remotes } = load({}, condition, { inner: { "all-of": [inA, inB] } });
      assert.equal(await rules.test("it", envelope), expected);
      assert.deepEqual(remotes.asked, []);
    });
  }

  it("is asked in the order of the parts, and only until the outcome is certain", async () => {
    const { rules, remotes } = load(
      { "remote/b": false, "remote/a": true },
      { "any-of": [inB, NO, inA, { if: "sender", "in-list": "remote/c" }] },
    );
    assert.equal(await rules.test("it", { ...envelope, sender: "s@x.example" }), true);
    assert.deepEqual(remotes.asked, ["remote/b bill@Example.org", "remote/a bill@Example.org"]);
  });

  it("is asked once about one value in an evaluation, whether it answers or not", async () => {
    const twice = {
      "any-of": [{ "all-of": [inA, NO] }, { "all-of": [inA, { "none-of": [notInA] }, YES] }, { if: "named" }],
    };
    for (const answer of [true, false, silent]) {
      const { rules, remotes } = load({ "remote/a": answer }, twice, { named: inA });
      await rules.test("it", envelope).catch(() => undefined);
      assert.deepEqual(remotes.asked, ["remote/a bill@Example.org"]);
    }
  });

  it("is asked once about one value by all the branches of a setting", async () => {
    const remotes = new FakeRemotes(() => false);
    const rules = RuleSet.parse(
      { x: [branch(inA, 1), branch({ "all-of": [notInA, inB] }, 2), branch(notInA, 3), { else: 4 }] },
      remotes,
    );
    assert.equal(await rules.value("x", envelope), 3);
    assert.deepEqual(remotes.asked, ["remote/a bill@Example.org", "remote/b bill@Example.org"]);
    await rules.value("x", envelope);
    assert.equal(remotes.asked.length, 4, "another evaluation asks again; caching is the host's business");
  });
});

describe("a remote list without an answer", () => {
  const failing: [string, object][] = [
    ["in-list", inA],
    ["not-in-list", notInA],
    ["any-of with nothing true beside it", { "any-of": [inA, inB, NO] }],
    ["all-of with nothing false beside it", { "all-of": [inA, YES] }],
    ["none-of with nothing true beside it", { "none-of": [notInA, inB] }],
    ["a named condition", { if: "inner" }],
  ];
  for (const [what, condition] of failing) {
    it(`fails ${what} with RULE_FAILED and the cause`, async () => {
      const { rules } = load({ "remote/a": silent, "remote/b": false }, condition, { inner: inA });
      await assert.rejects(rules.test("it", envelope), (error: RelaypostError) => {
        assert.equal(error.code, "RULE_FAILED");
        assert.equal(error.retryable, true);
        assert.equal(error.hostId, "a");
        assert.equal(error.cause, silent);
        return true;
      });
    });
  }

  const decided: [string, object, boolean][] = [
    ["any-of with a later true part", { "any-of": [inA, inB] }, true],
    ["all-of with a later false part", { "all-of": [inA, { "none-of": [inB] }] }, false],
    ["none-of with a later true part", { "none-of": [notInA, inB] }, false],
  ];
  for (const [what, condition, expected] of decided) {
    it(`leaves ${what} ${expected}`, async () => {
      const { rules, remotes } = load({ "remote/a": silent, "remote/b": true }, condition);
      assert.equal(await rules.test("it", envelope), expected);
      assert.equal(remotes.asked.length, 2);
    });
  }

  it("fails a setting, unless an earlier branch decided", async () => {
    const remotes = new FakeRemotes((list) => (list === "remote/a" ? silent : true));
    const rules = RuleSet.parse(
      {
        early: [branch(YES, 1), branch(inA, 2), { else: 3 }],
        late: [branch(inA, 1), branch(YES, 2), { else: 3 }],
      },
      remotes,
    );
    assert.equal(await rules.value("early", envelope), 1);
    await assert.rejects(rules.value("late", envelope), { code: "RULE_FAILED" });
  });

  it("is one that answers neither true nor false, or throws", async () => {
    for (const inList of [
      async () => "no" as never,
      () => {
        throw new Error("at once");
      },
    ]) {
      const rules = RuleSet.parse({ rule: { it: notInA } }, { ids: ["a"], inList });
      await assert.rejects(rules.test("it", envelope), { code: "RULE_FAILED" });
    }
  });
});

describe("the caller's options", () => {
  it("reach the remote list, with what is left of the time", async () => {
    const { rules, remotes } = load({ "remote/a": false, "remote/b": true }, { "any-of": [inA, inB] });
    const { signal } = new AbortController();
    await rules.test("it", envelope, { timeoutMs: 60_000, signal });
    assert.equal(remotes.options[0]?.signal, signal);
    const [first, second] = remotes.options.map((options) => options?.timeoutMs ?? 0);
    assert.ok(first! <= 60_000 && first! > 0 && second! <= first!);
  });

  it("fail the rule when the time is up", async () => {
    const { rules, remotes } = load({}, inA);
    await assert.rejects(rules.test("it", envelope, { timeoutMs: 0 }), (error: RelaypostError) => {
      assert.equal(error.code, "RULE_FAILED");
      assert.equal((error.cause as RelaypostError).code, "DEADLINE_EXCEEDED");
      return true;
    });
    assert.deepEqual(remotes.asked, []);
  });

  it("give the evaluation up with ABORTED", async () => {
    const controller = new AbortController();
    const remotes = new FakeRemotes(() => {
      controller.abort();
      return new RelaypostError("ABORTED", "given up");
    });
    const rules = RuleSet.parse({ rule: { it: { "any-of": [inA, inB] } } }, remotes);
    await assert.rejects(rules.test("it", envelope, { signal: controller.signal }), { code: "ABORTED" });
    assert.equal(remotes.asked.length, 1);
  });
});
