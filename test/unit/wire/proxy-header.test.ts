/** The PROXY protocol's header, octet by octet as HAProxy's specification 2.2 has it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient, NO_CLIENT } from "../../../src/messages/client.js";
import { proxyHeader } from "../../../workers/wire/proxy-header.js";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const hex = (octets: Uint8Array) => Buffer.from(octets).toString("hex");

describe("the PROXY protocol's header", () => {
  it("of a connection without a client is LOCAL", () => {
    assert.equal(hex(proxyHeader(NO_CLIENT)), `${SIGNATURE}20000000`);
  });

  it("names an IPv4 client, and where it came to", () => {
    const client = encodeClient({ address: "192.0.2.1", port: 1025, local: { address: "192.0.2.25", port: 25 } });
    assert.equal(hex(proxyHeader(client)), `${SIGNATURE}2111000c${"c0000201"}${"c0000219"}${"0401"}${"0019"}`);
  });

  it("has zeros for what is not known", () => {
    const client = encodeClient({ address: "192.0.2.1" });
    assert.equal(hex(proxyHeader(client)), `${SIGNATURE}2111000c${"c0000201"}${"00000000"}${"0000"}${"0000"}`);
  });

  it("names both as IPv6 where one of them is", () => {
    const client = encodeClient({ address: "2001:db8::1", port: 1, local: { address: "192.0.2.25", port: 2 } });
    const source = "20010db8000000000000000000000001";
    const target = "00000000000000000000ffffc0000219";
    assert.equal(hex(proxyHeader(client)), `${SIGNATURE}21210024${source}${target}00010002`);
  });
});
