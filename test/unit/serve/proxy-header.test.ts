/** Headers of the PROXY protocol as proxies send them, cut at every octet, and what is none. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient } from "../../../src/messages/client.js";
import { readProxyHeader } from "../../../src/serve/proxy-header.js";
import { proxyHeader } from "../../../workers/wire/proxy-header.js";

const CLIENT = { address: "192.0.2.1", port: 1025, local: { address: "192.0.2.25", port: 25 } };
const CLIENT6 = { address: "2001:db8::1", port: 1025, local: { address: "2001:db8::25", port: 25 } };
const binary = (client: typeof CLIENT) => Buffer.from(proxyHeader(encodeClient(client)));

/** The header with a TLV behind its addresses, as HAProxy's send-proxy-v2-ssl has. */
function withTlv(header: Buffer, octets: number): Buffer {
  const longer = Buffer.concat([header, Buffer.alloc(octets, 0x20)]);
  longer.writeUInt16BE(header.length - 16 + octets, 14);
  return longer;
}

const HEADERS: readonly [what: string, header: Buffer, client: unknown][] = [
  ["version 2 with IPv4", binary(CLIENT), CLIENT],
  ["version 2 with IPv6", binary(CLIENT6), CLIENT6],
  ["version 2 with more than addresses", withTlv(binary(CLIENT), 300), CLIENT],
  ["version 2 without a client (LOCAL)", Buffer.from(proxyHeader("")), undefined],
  ["version 2 with an unknown family", Buffer.concat([binary(CLIENT).fill(0x00, 13, 14)]), undefined],
  ["version 1 with IPv4", Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.25 1025 25\r\n"), CLIENT],
  ["version 1 with IPv6", Buffer.from("PROXY TCP6 2001:db8::1 2001:db8::25 1025 25\r\n"), CLIENT6],
  ["version 1 with UNKNOWN", Buffer.from("PROXY UNKNOWN 1 2 3\r\n"), undefined],
];

describe("a header of the PROXY protocol", () => {
  for (const [what, header, client] of HEADERS) {
    it(`is read, ${what}: whole, and not before`, () => {
      for (let cut = 0; cut < header.length; cut++) {
        assert.equal(readProxyHeader(header.subarray(0, cut)), undefined, `cut at ${cut}`);
      }
      const expected = { octets: header.length, client };
      assert.deepEqual(readProxyHeader(header), expected);
      assert.deepEqual(readProxyHeader(Buffer.concat([header, Buffer.from("EHLO x\r\n")])), expected);
    });
  }

  const wrong: readonly [what: string, octets: Buffer | string, error: RegExp][] = [
    ["another protocol", "EHLO x\r\n", /does not begin with/],
    ["the first octet of another", "E", /does not begin with/],
    ["a signature that ends otherwise", "\r\n\r\n\0\r\nQUIX", /does not begin with/],
    ["version 3", binary(CLIENT).fill(0x31, 12, 13), /version or a command/],
    ["an unknown command", binary(CLIENT).fill(0x22, 12, 13), /version or a command/],
    ["addresses that are cut", Buffer.concat([binary(CLIENT).fill(0, 14, 15).fill(11, 15, 16)]), /too short/],
    ["64 KiB", binary(CLIENT).fill(0xff, 14, 16), /longer than/],
    ["a line without an end", `PROXY TCP4 ${"1".repeat(107)}`, /longer than/],
    ["a port of 65536", "PROXY TCP4 192.0.2.1 192.0.2.25 65536 25\r\n", /no sense/],
    ["a port with a sign", "PROXY TCP4 192.0.2.1 192.0.2.25 +1 25\r\n", /no sense/],
    ["a name for an address", "PROXY TCP4 localhost 192.0.2.25 1 25\r\n", /no sense/],
    ["the wrong family", "PROXY TCP6 192.0.2.1 192.0.2.25 1 25\r\n", /no sense/],
    ["a zone", "PROXY TCP6 fe80::1%eth0 2001:db8::25 1 25\r\n", /no sense/],
    ["one word more", "PROXY TCP4 192.0.2.1 192.0.2.25 1 25 x\r\n", /no sense/],
  ];
  for (const [what, octets, error] of wrong) {
    it(`is none: ${what}`, () => {
      assert.throws(() => readProxyHeader(Buffer.from(octets as string)), error);
    });
  }
});
