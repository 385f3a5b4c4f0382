/** Each operator, on each kind of key, with a true and a false case. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RuleEnvelope } from "../../../src/rules/envelope.js";
import { RuleSet } from "../../../src/rules/rule-set.js";
import { FakeRemotes } from "./fake-remotes.js";

type Case = [condition: Record<string, unknown>, envelope: RuleEnvelope, expected: boolean];

const list = {
  domains: ["example.org", "Example.NET"],
  people: ["Bill@Example.org", "postmaster"],
  nets: ["192.0.2.0/24", "2001:db8::/32", "203.0.113.7"],
  low: ["-4", 3],
  one: "alone",
};

const remotes = new FakeRemotes((_, value) => value === "bill@example.org");

const cases: Record<string, Case[]> = {
  eq: [
    [{ if: "listener", eq: "smtp" }, { listener: "smtp" }, true],
    [{ if: "listener", eq: "smtp" }, { listener: "smtps" }, false],
    [{ if: "listener", eq: "smtp" }, { listener: "SMTP" }, false],
    [{ if: "authenticated-as", eq: "" }, {}, true],
    [{ if: "rcpt-domain", eq: "Example.org" }, { "rcpt-domain": "eXample.ORG" }, true],
    [{ if: "rcpt-domain", eq: "example.org" }, { rcpt: "bill@EXAMPLE.org" }, true],
    [{ if: "rcpt-domain", eq: "example.org" }, { rcpt: "bill@sub.example.org" }, false],
    [{ if: "sender-domain", eq: "" }, { sender: "" }, true],
    [{ if: "sender-domain", eq: "x.example" }, { sender: '"a@b"@x.example' }, true],
    [{ if: "sender-domain", eq: "" }, { sender: '"a@b"' }, true],
    [{ if: "rcpt", eq: "Bill@example.ORG" }, { rcpt: "Bill@Example.org" }, true],
    [{ if: "rcpt", eq: "bill@example.org" }, { rcpt: "Bill@example.org" }, false],
    [{ if: "mx", eq: "MX.example.org" }, { mx: "mx.example.org" }, true],
    [{ if: "helo-domain", eq: "client.example" }, { "helo-domain": "other.example" }, false],
    [{ if: "priority", eq: 0 }, {}, true],
    [{ if: "priority", eq: -4 }, { priority: -4 }, true],
    [{ if: "priority", eq: "-4" }, { priority: -4 }, true],
    [{ if: "priority", eq: 1 }, { priority: -1 }, false],
    [{ if: "remote-ip", eq: "192.0.2.1" }, { "remote-ip": "192.0.2.1" }, true],
    [{ if: "remote-ip", eq: "192.0.2.1" }, { "remote-ip": "192.0.2.10" }, false],
    [{ if: "remote-ip", eq: "192.0.2.0/24" }, { "remote-ip": "192.0.2.255" }, true],
    [{ if: "remote-ip", eq: "192.0.2.77/24" }, { "remote-ip": "192.0.2.255" }, true],
    [{ if: "remote-ip", eq: "192.0.2.0/24" }, { "remote-ip": "192.0.3.0" }, false],
    [{ if: "remote-ip", eq: "192.0.2.0/24" }, { "remote-ip": "::ffff:192.0.2.9" }, true],
    [{ if: "remote-ip", eq: "::ffff:192.0.2.0/120" }, { "remote-ip": "192.0.2.9" }, true],
    [{ if: "remote-ip", eq: "::ffff:192.0.2.9" }, { "remote-ip": "192.0.2.9" }, true],
    [{ if: "remote-ip", eq: "0.0.0.0/0" }, { "remote-ip": "::1" }, false],
    [{ if: "remote-ip", eq: "::/0" }, { "remote-ip": "192.0.2.9" }, false],
    [{ if: "remote-ip", eq: "::/0" }, { "remote-ip": "::1" }, true],
    [{ if: "remote-ip", eq: "::ffff:0:0/32" }, { "remote-ip": "::ffff:192.0.2.9" }, false],
    [{ if: "local-ip", eq: "2001:DB8:0:0::1" }, { "local-ip": "2001:db8::1" }, true],
    [{ if: "local-ip", eq: "2001:db8::/47" }, { "local-ip": "2001:db8:1:ffff::" }, true],
    [{ if: "local-ip", eq: "2001:db8::/48" }, { "local-ip": "2001:db8:1::" }, false],
    [{ if: "local-ip", eq: "fe80::1" }, { "local-ip": "fe80::1%eth0" }, true],
    [{ if: "local-ip", eq: "0.0.0.0/0" }, {}, false],
    [{ if: "local-ip", eq: "::/0" }, { "local-ip": "" }, false],
  ],
  ne: [
    [{ if: "listener", ne: "smtp" }, { listener: "smtps" }, true],
    [{ if: "listener", ne: "smtp" }, { listener: "smtp" }, false],
    [{ if: "authenticated-as", ne: "" }, { "authenticated-as": "bill" }, true],
    [{ if: "authenticated-as", ne: "" }, {}, false],
    [{ if: "priority", ne: 2 }, { priority: 3 }, true],
    [{ if: "priority", ne: 2 }, { priority: 2 }, false],
    [{ if: "remote-ip", ne: "10.0.0.0/8" }, { "remote-ip": "11.0.0.1" }, true],
    [{ if: "remote-ip", ne: "10.0.0.0/8" }, { "remote-ip": "10.9.9.9" }, false],
    [{ if: "remote-ip", ne: "10.0.0.0/8" }, {}, true],
  ],
  "starts-with": [
    [{ if: "sender", "starts-with": "no-reply@" }, { sender: "no-reply@example.org" }, true],
    [{ if: "sender", "starts-with": "no-reply@EX" }, { sender: "no-reply@example.org" }, true],
    [{ if: "sender", "starts-with": '"a@B' }, { sender: '"a@Bc"@example.org' }, true],
    [{ if: "sender", "starts-with": "no-reply@" }, { sender: "No-Reply@example.org" }, false],
    [{ if: "mx", "starts-with": "MX." }, { mx: "mx.example.org" }, true],
    [{ if: "mx", "starts-with": "mx." }, { mx: "mail.example.org" }, false],
  ],
  "not-starts-with": [
    [{ if: "authenticated-as", "not-starts-with": "john@" }, { "authenticated-as": "jane@x" }, true],
    [{ if: "authenticated-as", "not-starts-with": "john@" }, { "authenticated-as": "john@x" }, false],
  ],
  "ends-with": [
    [{ if: "rcpt", "ends-with": "@Example.org" }, { rcpt: "bill@example.ORG" }, true],
    [{ if: "rcpt", "ends-with": ".ORG" }, { rcpt: "bill@example.org" }, true],
    [{ if: "rcpt", "ends-with": "ll@example.org" }, { rcpt: "bill@example.org" }, true],
    [{ if: "rcpt", "ends-with": "LL@example.org" }, { rcpt: "bill@example.org" }, false],
    [{ if: "rcpt", "ends-with": "MASTER" }, { rcpt: "postmaster" }, false],
    [{ if: "rcpt", "ends-with": "master" }, { rcpt: "postmaster" }, true],
    [{ if: "helo-domain", "ends-with": ".example" }, { "helo-domain": "CLIENT.EXAMPLE" }, true],
    [{ if: "helo-domain", "ends-with": ".example" }, { "helo-domain": "client.example.org" }, false],
  ],
  "not-ends-with": [
    [{ if: "rcpt", "not-ends-with": "@example.org" }, { rcpt: "bill@example.net" }, true],
    [{ if: "rcpt", "not-ends-with": "@example.org" }, { rcpt: "bill@Example.org" }, false],
  ],
  matches: [
    [{ if: "sender", matches: "^(.+)@(.+)$" }, { sender: "bill@example.org" }, true],
    [{ if: "sender", matches: "ill" }, { sender: "bill@example.org" }, true],
    [{ if: "sender", matches: "^(.+)@(.+)$" }, { sender: "" }, false],
    [{ if: "sender", matches: "^BILL@" }, { sender: "bill@example.org" }, false],
    [{ if: "sender", matches: "(?i)^BILL@" }, { sender: "bill@example.org" }, true],
    [{ if: "sender", matches: "@example\\.org$" }, { sender: "bill@EXAMPLE.org" }, true],
    [{ if: "sender-domain", matches: "^Mail\\d+\\." }, { "sender-domain": "mail12.example.org" }, true],
  ],
  "not-matches": [
    [{ if: "helo-domain", "not-matches": "\\." }, { "helo-domain": "localhost" }, true],
    [{ if: "helo-domain", "not-matches": "\\." }, { "helo-domain": "a.b" }, false],
  ],
  "in-list": [
    [{ if: "rcpt-domain", "in-list": "list/domains" }, { rcpt: "x@EXAMPLE.net" }, true],
    [{ if: "rcpt-domain", "in-list": "list/domains" }, { rcpt: "x@sub.example.net" }, false],
    [{ if: "rcpt", "in-list": "list/people" }, { rcpt: "Bill@example.ORG" }, true],
    [{ if: "rcpt", "in-list": "list/people" }, { rcpt: "bill@example.ORG" }, false],
    [{ if: "listener", "in-list": "list/one" }, { listener: "alone" }, true],
    [{ if: "listener", "in-list": "list/one" }, { listener: "Alone" }, false],
    [{ if: "remote-ip", "in-list": "list/nets" }, { "remote-ip": "::ffff:192.0.2.9" }, true],
    [{ if: "remote-ip", "in-list": "list/nets" }, { "remote-ip": "2001:db8:7::9" }, true],
    [{ if: "remote-ip", "in-list": "list/nets" }, { "remote-ip": "203.0.113.7" }, true],
    [{ if: "remote-ip", "in-list": "list/nets" }, { "remote-ip": "203.0.113.8" }, false],
    [{ if: "remote-ip", "in-list": "list/nets" }, {}, false],
    [{ if: "priority", "in-list": "list/low" }, { priority: 3 }, true],
    [{ if: "priority", "in-list": "list/low" }, { priority: 4 }, false],
    [{ if: "rcpt", "in-list": "remote/a" }, { rcpt: "bill@example.org" }, true],
    [{ if: "rcpt", "in-list": "remote/a" }, { rcpt: "jane@example.org" }, false],
    [{ if: "rcpt", "in-list": "remote/a" }, { rcpt: "" }, false],
  ],
  "not-in-list": [
    [{ if: "rcpt-domain", "not-in-list": "list/domains" }, { rcpt: "x@example.com" }, true],
    [{ if: "rcpt-domain", "not-in-list": "list/domains" }, { rcpt: "x@example.org" }, false],
    [{ if: "rcpt", "not-in-list": "remote/b" }, { rcpt: "jane@example.org" }, true],
    [{ if: "rcpt", "not-in-list": "remote/b" }, { rcpt: "bill@example.org" }, false],
    [{ if: "sender", "not-in-list": "remote/b" }, { sender: "" }, true],
  ],
  "all-of, any-of and none-of": [
    [
      {
        "all-of": [
          { if: "mx", eq: "a" },
          { if: "listener", eq: "b" },
        ],
      },
      { mx: "a", listener: "b" },
      true,
    ],
    [
      {
        "all-of": [
          { if: "mx", eq: "a" },
          { if: "listener", eq: "b" },
        ],
      },
      { mx: "a", listener: "c" },
      false,
    ],
    [
      {
        "any-of": [
          { if: "mx", eq: "a" },
          { if: "listener", eq: "b" },
        ],
      },
      { mx: "c", listener: "b" },
      true,
    ],
    [
      {
        "any-of": [
          { if: "mx", eq: "a" },
          { if: "listener", eq: "b" },
        ],
      },
      { mx: "c", listener: "c" },
      false,
    ],
    [
      {
        "none-of": [
          { if: "mx", eq: "a" },
          { if: "listener", eq: "b" },
        ],
      },
      { mx: "c", listener: "c" },
      true,
    ],
    [
      {
        "none-of": [
          { if: "mx", eq: "a" },
          { if: "listener", eq: "b" },
        ],
      },
      { mx: "c", listener: "b" },
      false,
    ],
  ],
};

for (const [operator, rows] of Object.entries(cases)) {
  describe(operator, () => {
    for (const [condition, envelope, expected] of rows) {
      it(`${JSON.stringify(condition)} is ${expected} for ${JSON.stringify(envelope)}`, async () => {
        const rules = RuleSet.parse({ list, rule: { it: condition } }, remotes);
        assert.equal(await rules.test("it", envelope), expected);
      });
    }
    it("has a true and a false case", () => {
      assert.deepEqual([...new Set(rows.map((row) => row[2]))].sort(), [false, true]);
    });
  });
}

describe("conditions three deep", () => {
  const rules = RuleSet.parse(`
    [rule."three deep"]
    all-of = [
      { any-of = [
        { none-of = [ { if = "listener", eq = "smtp" }, { if = "priority", eq = 1 } ] },
        { all-of = [ { if = "rcpt", starts-with = "no-reply@" }, { if = "sender", ends-with = "@example.org" } ] },
      ] },
      { none-of = [ { any-of = [ { if = "remote-ip", eq = "10.0.0.0/8" }, { if = "mx", eq = "mx.example" } ] } ] },
    ]
  `);
  const truth: [RuleEnvelope, boolean][] = [
    [{ listener: "submission" }, true],
    [{ listener: "submission", "remote-ip": "10.1.1.1" }, false],
    [{ listener: "submission", mx: "mx.example" }, false],
    [{ listener: "smtp" }, false],
    [{ listener: "smtp", rcpt: "no-reply@x.example", sender: "a@example.org" }, true],
    [{ listener: "smtp", rcpt: "no-reply@x.example", sender: "a@example.com" }, false],
    [{ listener: "submission", priority: 1 }, false],
  ];
  for (const [envelope, expected] of truth) {
    it(`are ${expected} for ${JSON.stringify(envelope)}`, async () => {
      assert.equal(await rules.test("three deep", envelope), expected);
    });
  }
});
