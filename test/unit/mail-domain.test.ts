/** Domains that are not ASCII: which have an ASCII form, and that it is one. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asciiAddress, asciiDomain } from "../../src/mail-domain.js";

describe("a domain that is not ASCII", () => {
  const FORMS: readonly [domain: string, ascii: string | undefined][] = [
    ["bücher.example", "xn--bcher-kva.example"],
    ["BÜCHER.Example", "xn--bcher-kva.example"],
    // Decomposed, as a keyboard of macOS writes it.
    ["bu\u0308cher.example", "xn--bcher-kva.example"],
    // UTS 46 without its transitional mapping: ß is a letter of its own (RFC 5894 4.3).
    ["straße.example", "xn--strae-oqa.example"],
    ["例え。テスト", "xn--r8jz45g.xn--zckzah"],
    ["_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"],
    // Full-width digits are an IPv4 address to a browser; to mail they are no domain.
    ["１２７.0.0.1", undefined],
    ["bücher..example", undefined],
    ["bücher.example。", undefined],
    ["\u200e.example", undefined],
    ["\ufffd.example", undefined],
    [`${"ü.".repeat(60)}example`, undefined],
  ];

  for (const [domain, ascii] of FORMS) {
    test(`${JSON.stringify(domain).slice(0, 40)} is ${ascii ?? "none by UTS 46, or too long"}`, () => {
      assert.equal(asciiDomain(domain), ascii);
    });
  }
});

describe("an address that is not ASCII", () => {
  test("has an ASCII form where only its domain is not", () => {
    assert.equal(asciiAddress("Jo@bücher.example"), "Jo@xn--bcher-kva.example");
    assert.equal(asciiAddress('"a@b"@bücher.example'), '"a@b"@xn--bcher-kva.example');
  });

  test("has none where its local part is not, or there is no domain", () => {
    assert.equal(asciiAddress("jö@bücher.example"), undefined);
    assert.equal(asciiAddress("jö"), undefined);
  });

  test("has none that is longer than a path may be", () => {
    const domain = `${"a".repeat(60)}.`.repeat(3);
    assert.equal(asciiAddress(`${"l".repeat(64)}@${domain}ü.example`), undefined);
    assert.notEqual(asciiAddress(`l@${domain}ü.example`), undefined);
  });
});
