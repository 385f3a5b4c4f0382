/** Everything unknown or ill-typed stops the load, with its key path, all mistakes together. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigError } from "../../../src/errors.js";
import { RuleSet } from "../../../src/rules/rule-set.js";
import { FakeRemotes } from "./fake-remotes.js";

const remotes = new FakeRemotes(() => assert.fail("a load asks nobody"));

function load(source: string | Record<string, unknown>): ConfigError | undefined {
  try {
    RuleSet.parse(source, remotes);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error;
  }
  return undefined;
}

/** A condition under [rule.it], what is said of it, and where. */
const conditions: [what: string, condition: string, key: string, message: RegExp][] = [
  ["an unknown key", '{ if = "recipient", eq = "x" }', "rule.it.if", /"recipient" is not a key/],
  ["an inherited name for a key", '{ if = "constructor", eq = "x" }', "rule.it.if", /not a key/],
  ["an unknown operator", '{ if = "rcpt", equals = "x" }', "rule.it.equals", /not an operator/],
  ["two operators", '{ if = "rcpt", eq = "x", ne = "y" }', "rule.it.ne", /one operator/],
  ["a key without operator", '{ if = "rcpt" }', "rule.it.if", /needs an operator/],
  ["an unknown named condition", '{ if = "nobody" }', "rule.it.if", /no \[rule\."nobody"\]/],
  ["an if that is no string", "{ if = 1 }", "rule.it.if", /string/],
  ["an operator without if", '{ eq = "x" }', "rule.it", /exactly one of/],
  ["no condition at all", "{}", "rule.it", /exactly one of/],
  ["something that is no table", '"rcpt"', "rule.it", /must be a table/],
  ["if beside any-of", '{ if = "rcpt", eq = "x", any-of = [{ if = "rcpt", eq = "x" }] }', "rule.it", /exactly one of/],
  ["a stray key beside any-of", '{ any-of = [{ if = "rcpt", eq = "x" }], eq = "y" }', "rule.it.eq", /beside any-of/],
  ["then in a named condition", '{ if = "rcpt", eq = "x", then = true }', "rule.it.then", /not an operator/],
  ["an empty any-of", "{ any-of = [] }", "rule.it.any-of", /at least one/],
  ["an all-of that is no array", '{ all-of = { if = "rcpt", eq = "x" } }', "rule.it.all-of", /array/],
  [
    "a mistake deep inside",
    '{ all-of = [{ if = "rcpt", eq = "x" }, { none-of = [{ if = "rcpt", eq = 1 }] }] }',
    "rule.it.all-of[1].none-of[0].eq",
    /string/,
  ],
  ["a number for text", '{ if = "listener", eq = 25 }', "rule.it.eq", /string/],
  ["a boolean for text", '{ if = "sender", starts-with = true }', "rule.it.starts-with", /string/],
  ["text for priority", '{ if = "priority", eq = "high" }', "rule.it.eq", /integer/],
  ["a fraction for priority", '{ if = "priority", eq = 1.5 }', "rule.it.eq", /integer/],
  ["a prefix of an address", '{ if = "remote-ip", starts-with = "10." }', "rule.it.starts-with", /eq, ne, in-list/],
  ["a pattern for priority", '{ if = "priority", matches = "1" }', "rule.it.matches", /eq, ne, in-list/],
  ["a prefix past 32", '{ if = "remote-ip", eq = "10.0.0.0/33" }', "rule.it.eq", /192\.0\.2\.0\/24/],
  ["a prefix past 128", '{ if = "remote-ip", eq = "2001:db8::/129" }', "rule.it.eq", /2001:db8/],
  ["a prefix that is no number", '{ if = "remote-ip", ne = "10.0.0.0/x" }', "rule.it.ne", /range/],
  ["an empty prefix", '{ if = "remote-ip", ne = "10.0.0.0/" }', "rule.it.ne", /range/],
  ["a host name for an address", '{ if = "local-ip", eq = "localhost" }', "rule.it.eq", /range/],
  ["a short IPv4 address", '{ if = "local-ip", eq = "10.1" }', "rule.it.eq", /range/],
  ["a range of IPv4 behind a zone", '{ if = "local-ip", eq = "fe80::1%eth0/64" }', "rule.it.eq", /range/],
  ["a broken pattern", '{ if = "rcpt", matches = "(" }', "rule.it.matches", /regular expression.*missing closing/],
  ["a back-reference", '{ if = "rcpt", matches = "(a)\\\\1" }', "rule.it.matches", /regular expression/],
  ["a look-ahead", '{ if = "rcpt", not-matches = "(?=a)b" }', "rule.it.not-matches", /regular expression/],
  [
    "a pattern that unfolds without end",
    '{ if = "rcpt", matches = "((a{100}){100}){100}" }',
    "rule.it.matches",
    /repeat count/,
  ],
  [
    "a pattern past 4096 characters",
    `{ if = "rcpt", matches = "${"a".repeat(4097)}" }`,
    "rule.it.matches",
    /at most 4096/,
  ],
  ["an unknown list", '{ if = "rcpt", in-list = "list/nobody" }', "rule.it.in-list", /no list "nobody"/],
  [
    "an unknown remote host",
    '{ if = "rcpt", not-in-list = "remote/nobody" }',
    "rule.it.not-in-list",
    /no remote host "nobody"/,
  ],
  ["a list of no kind", '{ if = "rcpt", in-list = "domains" }', "rule.it.in-list", /"list\/<name>" or "remote\/<id>"/],
  ["a list that is no string", '{ if = "rcpt", in-list = ["a"] }', "rule.it.in-list", /"list\/<name>"/],
  ["a remote host for an address", '{ if = "remote-ip", in-list = "remote/a" }', "rule.it.in-list", /no recipient/],
  ["a remote host for priority", '{ if = "priority", in-list = "remote/a" }', "rule.it.in-list", /no recipient/],
];

describe("a load refuses", () => {
  for (const [what, condition, key, message] of conditions) {
    it(what, () => {
      const error = load(`[rule]\nit = ${condition}`);
      assert.ok(error !== undefined, "it was accepted");
      assert.equal(error.code, "CONFIG_VALUE");
      assert.equal(error.problems.length, 1, error.message);
      assert.equal(error.problems[0]!.key, key);
      assert.match(error.problems[0]!.message, message);
    });
  }

  const branches = '{ if = "mx", eq = "a", then = 1 }';
  const settings: [what: string, setting: string, key: string, message: RegExp][] = [
    ["an array without else", `[${branches}]`, "s.x", /no \{ else = … \}/],
    ["an else that is not last", `[{ else = 2 }, ${branches}]`, "s.x[0].else", /must come last/],
    ["a second else", `[${branches}, { else = 2 }, { else = 3 }]`, "s.x[2].else", /second else/],
    ["a condition beside else", `[${branches}, { if = "mx", eq = "b", else = 2 }]`, "s.x[1].if", /beside else/],
    ["a branch without then", '[{ if = "mx", eq = "a" }, { else = 2 }]', "s.x[0]", /no then/],
    ["a then without condition", "[{ then = 1 }, { else = 2 }]", "s.x[0]", /exactly one of/],
    ["a plain value among branches", `[${branches}, 5, { else = 2 }]`, "s.x[1]", /must be a table/],
    [
      "a choice within then",
      `[{ if = "mx", eq = "b", then = [${branches}, { else = 1 }] }, { else = 2 }]`,
      "s.x[0].then",
      /cannot hold conditions/,
    ],
    [
      "a choice within else",
      `[${branches}, { else = [${branches}, { else = 1 }] }]`,
      "s.x[1].else",
      /cannot hold conditions/,
    ],
  ];
  for (const [what, setting, key, message] of settings) {
    it(what, () => {
      const problems = load(`[s]\nx = ${setting}`)?.problems ?? [];
      const found = problems.find((problem) => problem.key === key);
      assert.ok(found !== undefined, `no problem at ${key}: ${JSON.stringify(problems)}`);
      assert.match(found.message, message);
    });
  }

  it("named conditions that go round in a circle, once for each circle", () => {
    const error = load(`
      [rule]
      self = { if = "self" }
      a = { all-of = [{ if = "b" }, { if = "mx", eq = "x" }] }
      b = { none-of = [{ if = "c" }] }
      c = { if = "a" }
      fine = { if = "a" }
    `);
    assert.deepEqual(
      error?.problems.map(({ key, message }) => `${key}: ${message}`),
      ["rule.self.if: goes round in a circle: self → self", "rule.c.if: goes round in a circle: a → b → c → a"],
    );
  });

  it("conditions that stand too deep in each other, by nesting or by name", () => {
    let nested: unknown = { if: "mx", eq: "x" };
    for (let depth = 0; depth < 33; depth++) {
      nested = { "any-of": [nested] };
    }
    assert.match(load({ rule: { nested } })?.message ?? "", /32 deep/);
    const chain = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, i) => [`n${i}`, i === 0 ? { if: "mx", eq: "x" } : { if: `n${i - 1}` }]),
    );
    assert.match(load({ rule: chain })?.message ?? "", /32 deep/);
    assert.match(load({ rule: Object.fromEntries(Object.entries(chain).reverse()) })?.message ?? "", /32 deep/);
    assert.equal(load({ rule: Object.fromEntries(Object.entries(chain).slice(0, 32)) }), undefined);
  });

  it("values that no TOML file holds, in an object", () => {
    const circular: Record<string, unknown> = {};
    circular.again = circular;
    assert.match(load({ circular })?.message ?? "", /too deep/);
    assert.match(load({ a: () => 1 })?.message ?? "", /^a: must be/);
  });
});

describe("the mistakes of a file", () => {
  it("are reported together, with the file and their lines", () => {
    const text = [
      "[rule.first]", // 1
      'if = "rcpt"',
      "eq = 5", // 3
      "[list]",
      "l = 7.5", // 5
      "[s]",
      'x = [ { if = "nobody", then = 1 } ]', // 7
    ].join("\n");
    try {
      RuleSet.parse(text, remotes, { file: "gateway.toml" });
      assert.fail("it was accepted");
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(
        error.problems.map(({ line, key }) => `${line} ${key}`).sort(),
        ["3 rule.first.eq", "5 list.l", "7 s.x[0].if", "7 s.x"].sort(),
      );
      assert.ok(error.problems.every(({ file }) => file === "gateway.toml"));
    }
  });

  it("in syntax are CONFIG_SYNTAX with the line", () => {
    const [problem] = load("[rule]\nx = = 1\n")?.problems ?? [];
    assert.equal(problem?.code, "CONFIG_SYNTAX");
    assert.equal(problem?.line, 2);
  });
});
