/** IP addresses between text and octets. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { addressOf, canonicalAddress, networkOf, octetsOf } from "../../src/ip-address.js";

describe("an IP address", () => {
  test("has one text", () => {
    assert.equal(canonicalAddress("192.0.2.1"), "192.0.2.1");
    assert.equal(canonicalAddress("2001:DB8:0:0:0::1"), "2001:db8::1");
    assert.equal(canonicalAddress("::"), "::");
    assert.equal(canonicalAddress("::ffff:192.0.2.1"), "192.0.2.1");
    assert.equal(canonicalAddress("::FFFF:c000:201"), "192.0.2.1");
  });

  test("is nothing else", () => {
    for (const text of ["", "192.0.2", "192.0.2.256", "fe80::1%eth0", "[::1]", "::1 ", "a.example", "1.2.3.4\n"]) {
      assert.equal(canonicalAddress(text), undefined, text);
    }
  });

  test("of any octets reads back as those octets", () => {
    for (const length of [4, 16]) {
      fc.assert(
        fc.property(fc.uint8Array({ minLength: length, maxLength: length }), (octets) => {
          // All but an IPv4 address in IPv6's clothes, which has only one text.
          fc.pre(length === 4 || octets[0] !== 0);
          assert.deepEqual(octetsOf(addressOf(octets)), octets);
        }),
      );
    }
  });

  test("belongs to a network: IPv4 to itself, IPv6 to its /64", () => {
    assert.equal(networkOf("192.0.2.1"), "192.0.2.1");
    assert.equal(networkOf("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assert.equal(networkOf("2001:db8:1:2::"), networkOf("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert.notEqual(networkOf("2001:db8:1:2::1"), networkOf("2001:db8:1:3::1"));
  });
});
