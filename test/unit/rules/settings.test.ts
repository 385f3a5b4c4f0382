/** Settings: plain ones, and those that depend on conditions. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { RuleSet } from "../../../src/rules/rule-set.js";
import { FakeRemotes } from "./fake-remotes.js";

const rules = RuleSet.parse(
  `
  plain = "top"
  [rule."our domain"]
  if = "rcpt-domain"
  eq = "example.org"
  [session.rcpt]
  max = 25
  hosts = ["a", "b"]
  limits = { size = 10, "quoted key" = 1979-05-27 }
  relay = [ { if = "our domain", then = true }, { else = false } ]
  expire = [
    { any-of = [ { if = "priority", eq = 1 }, { if = "listener", eq = "fast" } ], then = ["1d"] },
    { if = "our domain", then = { days = 3 } },
    { else = [] },
  ]
  constant = [ { else = 5 } ]
  [[listener]]
  name = "smtp"
  require = [ { if = "remote-ip", eq = "10.0.0.0/8", then = "nothing" }, { else = "tls" } ]
  [remote.lmtp]
  secret = "canary"
`,
  new FakeRemotes(() => true),
);

describe("a plain setting", () => {
  it("is itself", async () => {
    assert.equal(await rules.value("plain", {}), "top");
    assert.equal(await rules.value("session.rcpt.max", {}), 25);
    assert.deepEqual(await rules.value("session.rcpt.hosts", {}), ["a", "b"]);
    assert.equal(await rules.value("session.rcpt.hosts[1]", {}), "b");
    assert.equal(await rules.value('session."rcpt".limits.size', {}), 10);
    assert.ok((await rules.value(["session", "rcpt", "limits", "quoted key"], {})) instanceof Date);
  });

  it("cannot be changed by who asks for it", async () => {
    const hosts = (await rules.value("session.rcpt.hosts", {})) as string[];
    assert.throws(() => hosts.push("c"), TypeError);
  });
});

describe("a setting with conditions", () => {
  it("has the value of the first branch whose condition holds, or of else", async () => {
    assert.equal(await rules.value("session.rcpt.relay", { rcpt: "x@Example.org" }), true);
    assert.equal(await rules.value("session.rcpt.relay", { rcpt: "x@example.com" }), false);
    assert.deepEqual(await rules.value("session.rcpt.expire", { rcpt: "x@example.org", priority: 1 }), ["1d"]);
    assert.deepEqual(await rules.value("session.rcpt.expire", { rcpt: "x@example.org" }), { days: 3 });
    assert.deepEqual(await rules.value("session.rcpt.expire", {}), []);
    assert.equal(await rules.value("session.rcpt.constant", {}), 5);
  });

  it("is found in an array of tables by its index", async () => {
    assert.equal(await rules.value("listener[0].require", { "remote-ip": "10.1.1.1" }), "nothing");
    assert.equal(await rules.value("listener[0].require", {}), "tls");
  });

  it("is not handed out undecided with the table that it stands in", async () => {
    for (const path of ["session.rcpt", "session", "listener", "listener[0]"]) {
      assert.equal(rules.has(path), true);
      await assert.rejects(rules.value(path, {}), { code: "INVALID_ARGUMENT" });
    }
    assert.equal(await rules.value("listener[0].name", {}), "smtp");
  });
});

describe("a path", () => {
  const nowhere = [
    "nothing",
    "session.rcpt.relay.if",
    "session.rcpt.relay[0]",
    "session.rcpt.hosts[2]",
    "session.rcpt.hosts.length",
    "plain.length",
    "constructor",
    "__proto__",
    "session.__proto__",
    "rule",
    "list",
  ];
  for (const path of nowhere) {
    it(`${path} leads nowhere`, async () => {
      assert.equal(rules.has(path), false);
      await assert.rejects(rules.value(path, {}), { code: "INVALID_ARGUMENT" });
    });
  }
  for (const path of ["", ".", "a.", ".a", "a..b", "a b", '"a', "a[", "a[x]", "[0]", "a.[0]", '"\\x"']) {
    it(`${JSON.stringify(path)} is none`, async () => {
      assert.throws(() => rules.has(path), { code: "INVALID_ARGUMENT" });
    });
  }
});

describe("a rule set", () => {
  it("knows its named conditions and no others", async () => {
    assert.deepEqual(rules.names, ["our domain"]);
    assert.equal(await rules.test("our domain", { rcpt: "x@example.org" }), true);
    await assert.rejects(rules.test("toString", {}), { code: "INVALID_ARGUMENT" });
  });

  it("keeps the tables of the remote hosts, and the secrets in them, to itself", async () => {
    assert.equal(rules.has("remote.lmtp.secret"), false);
    assert.ok(!inspect(rules, { depth: 20, showHidden: true }).includes("canary"));
  });

  it("evaluates names that refer to names twice in linear time", async () => {
    const rule: Record<string, unknown> = { n0: { if: "rcpt", "in-list": "remote/a" } };
    for (let i = 1; i < 32; i++) {
      rule[`n${i}`] = { "all-of": [{ if: `n${i - 1}` }, { if: `n${i - 1}` }] };
    }
    const remotes = new FakeRemotes(() => true);
    assert.equal(await RuleSet.parse({ rule }, remotes).test("n31", { rcpt: "x@example.org" }), true);
    assert.equal(remotes.asked.length, 1);
  });
});

describe("an envelope", () => {
  const bad: [string, object][] = [
    ["an unknown key", { recipient: "x" }],
    ["a number for text", { rcpt: 1 }],
    ["text for priority", { priority: "1" }],
    ["a fraction for priority", { priority: 0.5 }],
    ["an address that is none", { "remote-ip": "example.org" }],
    ["a range for an address", { "remote-ip": "10.0.0.0/8" }],
    ["a newline", { "helo-domain": "a\r\nRCPT TO:<b>" }],
    ["a NUL", { sender: "a\0@example.org" }],
  ];
  for (const [what, envelope] of bad) {
    it(`with ${what} is INVALID_ARGUMENT, whatever is asked`, async () => {
      await assert.rejects(rules.test("our domain", envelope), { code: "INVALID_ARGUMENT" });
      await assert.rejects(rules.value("plain", envelope), { code: "INVALID_ARGUMENT" });
    });
  }

  it("may leave keys undefined", async () => {
    assert.equal(await rules.test("our domain", { rcpt: undefined }), false);
  });
});
