/** Conditions of every shape against the plainest three-valued evaluator, with remote lists that answer, deny and fail. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { RelaypostError } from "../../../src/errors.js";
import { RuleSet } from "../../../src/rules/rule-set.js";
import { branch } from "./branch.js";
import { FakeRemotes } from "./fake-remotes.js";

/** True, false, or not known. */
type Truth = true | false | "?";
type Node =
  | { kind: "local"; value: boolean; operator: string }
  | { kind: "remote"; id: string; key: "rcpt" | "sender"; negated: boolean }
  | { kind: "named"; index: number }
  | { kind: "any-of" | "all-of" | "none-of"; parts: Node[] };

const envelope = { rcpt: "r@x.example", sender: "s@x.example", mx: "yes.example" };

const leaf: fc.Arbitrary<Node> = fc.oneof(
  fc.record({
    kind: fc.constant("local"),
    value: fc.boolean(),
    operator: fc.constantFrom("eq", "starts-with", "ends-with", "matches", "in-list"),
  }) as fc.Arbitrary<Node>,
  fc.record({
    kind: fc.constant("remote"),
    id: fc.constantFrom("a", "b", "c"),
    key: fc.constantFrom("rcpt", "sender"),
    negated: fc.boolean(),
  }) as fc.Arbitrary<Node>,
  fc.record({ kind: fc.constant("named"), index: fc.nat(3) }) as fc.Arbitrary<Node>,
);
const { tree } = fc.letrec<{ tree: Node }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthIdentifier: "tree" },
    leaf,
    fc.record({
      kind: fc.constantFrom("any-of", "all-of", "none-of"),
      parts: fc.array(tie("tree"), { minLength: 1, maxLength: 4, depthIdentifier: "tree" }),
    }) as fc.Arbitrary<Node>,
  ),
}));
const answers = fc.record(
  Object.fromEntries(
    ["a", "b", "c"]
      .flatMap((id) => [`remote/${id} r@x.example`, `remote/${id} s@x.example`])
      .map((question) => [question, fc.constantFrom<Truth>(true, false, "?")]),
  ),
) as fc.Arbitrary<Record<string, Truth>>;

/** As the file has it. A named condition may refer to those before it only; a reference to none becomes a local part. */
function written(node: Node, names: number): object {
  if (node.kind === "local") {
    return writtenLocal(node.value, node.operator);
  }
  if (node.kind === "remote") {
    return { if: node.key, [node.negated ? "not-in-list" : "in-list"]: `remote/${node.id}` };
  }
  if (node.kind === "named") {
    return node.index < names ? { if: `n${node.index}` } : writtenLocal(true, "eq");
  }
  return { [node.kind]: node.parts.map((part) => written(part, names)) };
}

function writtenLocal(value: boolean, operator: string): object {
  const operand = {
    eq: "yes.example",
    "starts-with": "yes",
    "ends-with": "example",
    matches: "^yes",
    "in-list": "list/yes",
  }[operator]!;
  const negation = operator === "eq" ? "ne" : `not-${operator}`;
  return { if: "mx", [value ? operator : negation]: operand };
}

const negate = (truth: Truth): Truth => (truth === "?" ? "?" : !truth);

/** Every outcome that is possible when each unasked question may come to anything: no order, no memory, no short cut. */
function possible(
  node: Node,
  named: readonly Node[],
  names: number,
  known: (question: string) => readonly Truth[],
): Truth[] {
  if (node.kind === "local") {
    return [node.value];
  }
  if (node.kind === "remote") {
    const truths = known(`remote/${node.id} ${envelope[node.key]}`);
    return node.negated ? truths.map(negate) : [...truths];
  }
  if (node.kind === "named") {
    return node.index < names ? possible(named[node.index]!, named, node.index, known) : [true];
  }
  const each = node.parts.map((part) => possible(part, named, names, known));
  const stop = node.kind !== "all-of";
  const combined = each.reduce<Truth[]>(
    (left, right) => [
      ...new Set(
        left.flatMap((l) => right.map((r) => (l === stop || r === stop ? stop : l === "?" || r === "?" ? "?" : !stop))),
      ),
    ],
    [!stop],
  );
  return node.kind === "none-of" ? combined.map(negate) : combined;
}

describe("the evaluator", () => {
  it("agrees with a naive one, asks each value at most once, and only while the outcome is open", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(tree, { minLength: 4, maxLength: 4 }), tree, answers, async (named, root, truths) => {
        const asked = new Set<string>();
        const remotes = new FakeRemotes((list, value) => {
          const question = `${list} ${value}`;
          assert.ok(!asked.has(question), `${question} was asked twice`);
          const open = possible(root, named, 4, (other) => (asked.has(other) ? [truths[other]!] : [true, false, "?"]));
          assert.ok(open.length > 1, `${question} was asked although the outcome was certain`);
          asked.add(question);
          const truth = truths[question]!;
          return truth === "?" ? new RelaypostError("HOST_UNAVAILABLE", "down") : truth;
        });
        const rule = Object.fromEntries(named.map((node, index) => [`n${index}`, written(node, index)]));
        const rules = RuleSet.parse(
          { list: { yes: "yes.example" }, rule: { ...rule, root: written(root, 4) } },
          remotes,
        );
        const [expected] = possible(root, named, 4, (question) => [truths[question]!]);
        assert.equal(await outcomeOf(rules.test("root", envelope)), expected);
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 1500) },
    );
  });

  it("agrees with a naive one on settings", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(tree, { maxLength: 4 }), answers, async (branches, truths) => {
        const remotes = new FakeRemotes((list, value) => {
          const truth = truths[`${list} ${value}`]!;
          return truth === "?" ? new Error("down") : truth;
        });
        const setting = [...branches.map((node, index) => branch(written(node, 0), index)), { else: -1 }];
        const rules = RuleSet.parse({ list: { yes: "yes.example" }, setting }, remotes);
        const outcomes = branches.map((node) => possible(node, [], 0, (question) => [truths[question]!])[0]);
        const first = outcomes.findIndex((outcome) => outcome !== false);
        const expected = first >= 0 && outcomes[first] === "?" ? "?" : first;
        assert.equal(await outcomeOf(rules.value("setting", envelope)), expected);
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 500) },
    );
  });
});

async function outcomeOf<T>(promise: Promise<T>): Promise<T | "?"> {
  try {
    return await promise;
  } catch (error) {
    if (
      error instanceof RelaypostError &&
      error.code === "RULE_FAILED" &&
      !(error.cause instanceof assert.AssertionError)
    ) {
      return "?";
    }
    throw error;
  }
}
