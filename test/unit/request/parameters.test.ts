import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Credentials, DsnParameters } from "../../../src/api.js";
import { RelaypostError } from "../../../src/errors.js";
import { encodeXtext } from "../../../src/messages/xtext.js";
import {
  checkCredentials,
  checkDsn,
  checkEnvid,
  checkLookupArgument,
  checkNotify,
  checkOrcpt,
  checkParameterValue,
  checkSize,
  checkWord,
} from "../../../src/request/parameters.js";

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

describe("DSN parameters", () => {
  it("encode xtext", () => {
    assert.equal(encodeXtext("QQ314159"), "QQ314159");
    assert.equal(encodeXtext("a+b=c d~!"), "a+2Bb+3Dc+20d~!");
  });

  it("encode every printable text so that it decodes to itself", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 30 }), (text) => {
        const encoded = encodeXtext(text);
        assert.match(encoded, /^([!-*,-<>-~]|\+[0-9A-F]{2})+$/);
        assert.equal(
          encoded.replace(/\+(..)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
          text,
        );
      }),
    );
  });

  it("come out ready for the wire", () => {
    const dsn: DsnParameters = {
      ret: "hdrs",
      envid: "order=7",
      recipients: [
        { notify: ["success", "failure", "success"] },
        { orcpt: "rfc822;a+b@example.org", notify: ["never"] },
        {},
      ],
    };
    assert.deepEqual(checkDsn(dsn, 3), {
      ret: "HDRS",
      envid: "order+3D7",
      recipients: [
        { notify: "SUCCESS,FAILURE", orcpt: null },
        { notify: "NEVER", orcpt: "rfc822;a+2Bb@example.org" },
        { notify: null, orcpt: null },
      ],
    });
    assert.deepEqual(checkDsn({}, 3), { ret: null, envid: null, recipients: null });
  });

  it("encode a Unicode address as RFC 6533 says", () => {
    assert.equal(checkOrcpt("utf-8;jörg+x@bücher.example"), "utf-8;j\\x{F6}rg\\x{2B}x@b\\x{FC}cher.example");
    assert.equal(checkOrcpt("UTF-8;😀\\@example.org"), "UTF-8;\\x{1F600}\\x{5C}@example.org");
  });

  for (const [name, run, why] of [
    ["another ret", () => checkDsn({ ret: "all" as never }, 1), /dsn.ret must be "full" or "hdrs"/],
    ["too few recipients", () => checkDsn({ recipients: [{}] }, 2), /each of the 2 recipients/],
    ["a recipient that is no object", () => checkDsn({ recipients: ["x" as never] }, 1), /dsn.recipients\[0\] must be/],
    ["no object", () => checkDsn("x" as never, 1), /dsn must be an object, not string/],
    ["an envid with a line feed", () => checkEnvid("a\nb"), /line feed/],
    ["an envid that is not ASCII", () => checkEnvid("ö"), /ASCII/],
    ["an envid of 101 octets", () => checkEnvid("x".repeat(101)), /101 octets long once encoded/],
    ["an empty envid", () => checkEnvid(""), /empty/],
    ["never beside success", () => checkNotify(["never", "success"]), /beside other words/],
    ["an empty notify", () => checkNotify([]), /not empty/],
    ["an unknown notify", () => checkNotify(["relayed"]), /may hold/],
    ["an orcpt without a type", () => checkOrcpt("a@example.org"), /semicolon/],
    ["an orcpt without an address", () => checkOrcpt("rfc822;"), /semicolon/],
    ["an orcpt that is not ASCII", () => checkOrcpt("rfc822;jörg@example.org"), /utf-8/],
    ["an orcpt past its limit", () => checkOrcpt(`rfc822;${"a".repeat(460)}`), /at most 464/],
    ["a negative size", () => checkSize(-1), /integer/],
    ["a size with a fraction", () => checkSize(1.5), /integer/],
    ["another body", () => checkWord("9bit", "body", ["7bit", "8bitmime"]), /body must be one of "7bit", "8bitmime"/],
    ["a parameter value with =", () => checkParameterValue("a=b", "x"), /without =/],
    ["a parameter value with a space", () => checkParameterValue("a b", "x"), /without spaces/],
  ] as const) {
    it(`refuse ${name}`, () => assert.match(refusal(run), why));
  }
});

describe("arguments of VRFY and EXPN", () => {
  it("may be a name, an address or quoted words", () => {
    for (const value of ["staff", "user@example.org", '"John Smith"', '"a \\" b"@example.org']) {
      assert.equal(checkLookupArgument(value, "address"), false);
    }
    assert.equal(checkLookupArgument("jörg", "address"), true);
  });

  for (const [value, why] of [
    ["", /empty/],
    ["a\r\nQUIT", /carriage return/],
    ["a SMTPUTF8", /space outside quotes/],
    ["<a@b>", /angle brackets/],
    ['"a b', /closing one/],
    ["a".repeat(506), /506 octets/],
  ] as const) {
    it(`may not be ${JSON.stringify(value).slice(0, 20)}`, () => {
      assert.match(
        refusal(() => checkLookupArgument(value, "list")),
        why,
      );
    });
  }
});

describe("credentials", () => {
  it("are a password or a token", () => {
    assert.deepEqual(checkCredentials({ username: "jörg", secret: "pä ss\tword" }), {
      secret: "pä ss\tword",
      isToken: false,
    });
    assert.deepEqual(checkCredentials({ username: "u", accessToken: "ya29.x-y_z" }), {
      secret: "ya29.x-y_z",
      isToken: true,
    });
  });

  const canary = "Canary7Secret";
  for (const [name, credentials, why] of [
    ["no object", undefined, /must be an object/],
    ["no username", { secret: canary }, /username must be a string/],
    ["an empty username", { username: "", secret: canary }, /username is empty/],
    ["a username with NUL", { username: `a\0${canary}`, secret: "x" }, /username holds a NUL/],
    ["a username with U+0001", { username: `a\u0001auth=Bearer ${canary}`, accessToken: "x" }, /U\+0001/],
    ["no secret", { username: canary }, /secret must be a string/],
    ["an empty secret", { username: canary, secret: "" }, /secret is empty/],
    ["a secret with CR", { username: "u", secret: `${canary}\r` }, /CR, LF or NUL/],
    ["a secret with LF", { username: "u", secret: `${canary}\nx` }, /CR, LF or NUL/],
    ["a secret with NUL", { username: "u", secret: `${canary}\0x` }, /CR, LF or NUL/],
    ["a secret with half a surrogate pair", { username: "u", secret: `${canary}\ud800` }, /surrogate/],
    ["a secret past its limit", { username: "u", secret: canary.repeat(1000) }, /at most 8000/],
    ["a username past its limit", { username: canary.repeat(1000), secret: "x" }, /at most 1024/],
    ["a token with a space", { username: "u", accessToken: `${canary} x` }, /printable ASCII/],
    ["a token with U+0001", { username: "u", accessToken: `${canary}\u0001` }, /printable ASCII/],
    ["both", { username: "u", accessToken: canary, secret: canary }, /not both/],
  ] as const) {
    it(`are refused with ${name}, and never quoted`, () => {
      const message = refusal(() => checkCredentials(credentials as unknown as Credentials));
      assert.match(message, why);
      assert.doesNotMatch(message, /Canary/);
    });
  }
});
