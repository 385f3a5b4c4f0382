import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { RelaypostError } from "../../../src/errors.js";
import { checkForwardPath, checkMailbox, checkReversePath } from "../../../src/request/address.js";

const local64 = "a".repeat(64);
const label63 = "b".repeat(63);

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof RelaypostError);
    assert.equal(error.code, "INVALID_ARGUMENT");
    return error.message;
  }
  assert.fail("was let through");
}

describe("addresses", () => {
  for (const address of [
    "user@example.org",
    "a@b",
    "first.last+tag@mail.example.org",
    "!#$%&'*+-/=?^_`{|}~@example.org",
    "double..dot.@carrier.example",
    "user@under_score.example.org",
    "user@192.0.2.1",
    "user@[192.0.2.1]",
    "user@[IPv6:2001:db8::1]",
    "user@[IPv6:::ffff:192.0.2.1]",
    "user@[tag:any!thing]",
    '"john smith"@example.org',
    '"a\\"b@c<d>"@example.org',
    `${local64}@${label63}.${label63}.${"c".repeat(61)}`,
  ]) {
    it(`lets ${address.slice(0, 40)} through as ASCII`, () => assert.equal(checkMailbox(address, "from"), false));
  }

  for (const address of [
    "jörg@example.org",
    "user@bücher.example",
    "用户@例子.广告",
    '"jörg x"@example.org',
    "😀@example.org",
  ]) {
    it(`says that ${address} needs SMTPUTF8`, () => assert.equal(checkMailbox(address, "from"), true));
  }

  for (const [address, why] of [
    ["user@example.org\r", /carriage return/],
    ["user\n@example.org", /line feed/],
    ["user\0@example.org", /NUL/],
    ['"a\r\nRCPT TO:<b@c>"@example.org', /carriage return/],
    ["us\ter@example.org", /control character U\+0009/],
    ["us\u0085er@example.org", /control character U\+0085/],
    ["us\ud800er@example.org", /half a surrogate pair/],
    ["<user@example.org>", /angle brackets/],
    ["user@example.org>", /">" in its domain/],
    ["us<er@example.org", /"<" in its local part/],
    ["us er@example.org", /space outside quotes/],
    ["user@exam ple.org", /space outside quotes/],
    ["user@example.org SIZE=1", /space outside quotes/],
    ["user", /no domain/],
    ["user@", /no domain/],
    ["@example.org", /no local part/],
    ["@relay.example:user@example.org", /source routes/],
    ["a@b@c", /more than one @/],
    ["user@.example.org", /empty label/],
    ["user@example..org", /empty label/],
    ["user@example.org.", /empty label/],
    ["user@example,org", /"," in its domain/],
    ['"user@example.org', /closing one/],
    ['"user\\"@example.org', /closing one/],
    ['"us"er@example.org', /between the closing quote and the @/],
    ['""@example.org', /empty local part/],
    ["user@[192.0.2.1", /closing bracket/],
    ["user@[192.0.2.256]", /address literal/],
    ["user@[IPv6:zz]", /IPv6/],
    ["user@[]", /address literal/],
    [`${local64}a@example.org`, /65 octets; at most 64/],
    [`${"ö".repeat(33)}@example.org`, /66 octets/],
    [`a@${`${label63}.`.repeat(4)}d`, /257 octets; at most 255/],
    [`${local64}@${label63}.${label63}.${"c".repeat(62)}`, /255 octets long; at most 254/],
  ] as const) {
    it(`refuses ${JSON.stringify(address).slice(0, 50)} and says why`, () => {
      const message = refusal(() => checkMailbox(address, "from"));
      assert.match(message, why);
      assert.match(message, /^from "/);
      assert.match(message, /^[ -~]*$/, "fit for a log line");
    });
  }

  it("allows the empty reverse-path for the sender only", () => {
    assert.equal(checkReversePath(""), false);
    assert.match(
      refusal(() => checkMailbox("", "from")),
      /empty/,
    );
    assert.match(
      refusal(() => checkForwardPath("")),
      /sender only/,
    );
  });

  it("allows postmaster without a domain for a recipient only", () => {
    assert.equal(checkForwardPath("Postmaster"), false);
    assert.match(
      refusal(() => checkReversePath("postmaster")),
      /no domain/,
    );
    assert.match(
      refusal(() => checkForwardPath("webmaster")),
      /no domain/,
    );
  });

  it("names the item of a list", () => {
    assert.match(
      refusal(() => checkForwardPath("x", "to", 3)),
      /^to\[3\] "x" has no domain/,
    );
  });

  it("refuses what is no string", () => {
    for (const value of [undefined, null, 7, {}, ["a@b"]]) {
      assert.match(
        refusal(() => checkMailbox(value as never, "from")),
        /must be a string/,
      );
    }
  });

  it("lets nothing through that could end a path or a line", () => {
    const alphabet = fc.constantFrom(...'ab.@<> "\\[]:\r\n\0\t,;ö\u0085\ud800');
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 12 }), (characters) => {
        const address = characters.join("");
        try {
          checkMailbox(address, "from");
        } catch (error) {
          assert.ok(error instanceof RelaypostError);
          return;
        }
        assert.doesNotMatch(address, /[\r\n\0\t\u0085\ud800]/);
        const unquoted = address.replace(/^"(\\.|[^"\\])*"/, "q");
        assert.match(unquoted, /^[^<> @]+@[^<> @]+$/);
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 5000) },
    );
  });

  it("judges an address on the fast path as on the careful one", () => {
    // A character that is not ASCII in the local part leads past the fast path and changes nothing else.
    const part = fc.string({ unit: fc.constantFrom(..."ab09.-_+@ <>,"), maxLength: 10 });
    fc.assert(
      fc.property(part, part, (local, domain) => {
        const passes = (address: string): boolean => {
          try {
            checkMailbox(address, "from");
            return true;
          } catch {
            return false;
          }
        };
        assert.equal(passes(`x${local}@${domain}`), passes(`ö${local}@${domain}`));
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 2000) },
    );
  });
});

describe("a recipient without a domain", () => {
  it("is taken where the host knows users by bare names, and nowhere else", () => {
    for (const address of ["john", '"john doe"', "john.doe+tag"]) {
      assert.equal(checkForwardPath(address, "to", -1, true), false);
      assert.throws(() => checkForwardPath(address), /has no domain/);
    }
    assert.equal(checkForwardPath("jörg", "to", -1, true), true);
    for (const wrong of ["", "@example.org", "john doe", "<john>", "j\r\nRSET", "x".repeat(65)]) {
      assert.throws(() => checkForwardPath(wrong, "to", -1, true), { code: "INVALID_ARGUMENT" });
    }
  });
});
