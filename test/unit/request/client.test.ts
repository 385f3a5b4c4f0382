/** What may be said of a client, by callers and by those who see one themselves. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Client } from "../../../src/api.js";
import { decodeClient, NO_CLIENT, networkOfClient } from "../../../src/messages/client.js";
import { checkClient, clientFrom } from "../../../src/request/client.js";

const FULL: Client = {
  address: "192.0.2.1",
  port: 4025,
  name: "mail.example.org",
  helo: "[192.0.2.1]",
  login: "Jürgen Müller",
  protocol: "ESMTP",
  session: "Zk3/+=",
  local: { address: "2001:db8::25", port: 25 },
};

/** Each with the field that its error names. */
const WRONG: readonly (readonly [string, unknown])[] = [
  ["client", "192.0.2.1"],
  ["client", null],
  ["client.address", {}],
  ["client.address", { address: "mail.example.org" }],
  ["client.address", { address: "fe80::1%eth0" }],
  ["client.port", { ...FULL, port: 0 }],
  ["client.port", { ...FULL, port: 65536 }],
  ["client.port", { ...FULL, port: "25" }],
  ["client.name", { ...FULL, name: "a\r\nRCPT TO:<x@y>" }],
  ["client.name", { ...FULL, name: "a\n" }],
  ["client.name", { ...FULL, name: "a\0" }],
  ["client.name", { ...FULL, name: "[192.0.2.1]" }],
  ["client.name", { ...FULL, name: "" }],
  ["client.name", { ...FULL, name: "a".repeat(4096) }],
  ["client.helo", { ...FULL, helo: "a b" }],
  ["client.helo", { ...FULL, helo: "[UNAVAILABLE]" }],
  ["client.helo", { ...FULL, helo: "[tempunavail]" }],
  ["client.login", { ...FULL, login: " u" }],
  ["client.login", { ...FULL, login: "u\u0085" }],
  ["client.login", { ...FULL, login: "ü".repeat(128) }],
  ["client.login", { ...FULL, login: 7 }],
  ["client.session", { ...FULL, session: "a\tb" }],
  ["client.protocol", { ...FULL, protocol: "HTTP" }],
  ["client.local", { ...FULL, local: "::1" }],
  ["client.local.address", { ...FULL, local: { address: "localhost" } }],
  ["client.local.port", { ...FULL, local: { address: "::1", port: -1 } }],
];

describe("a caller's client", () => {
  test("arrives as it was given", () => {
    assert.deepEqual(decodeClient(checkClient(FULL)), FULL);
    const short: Client = { address: "::1" };
    assert.deepEqual(decodeClient(checkClient(short)), short);
    assert.deepEqual(decodeClient(checkClient({ address: "::1", local: { address: "::2" } })), {
      address: "::1",
      local: { address: "::2" },
    });
    assert.equal(decodeClient(NO_CLIENT), undefined);
  });

  test("is the same client however its address is written", () => {
    assert.equal(checkClient({ address: "::ffff:192.0.2.1" }), checkClient({ address: "192.0.2.1" }));
    assert.equal(checkClient({ address: "2001:DB8::0:1" }), checkClient({ address: "2001:db8::1" }));
  });

  for (const [what, client] of WRONG) {
    test(`is refused for its ${what}: ${JSON.stringify(client)?.slice(0, 80)}`, () => {
      assert.throws(
        () => checkClient(client as Client),
        (error: Error & { code?: string }) => error.code === "INVALID_ARGUMENT" && error.message.startsWith(`${what} `),
      );
    });
  }

  test("has a network, and nobody's clients share none", () => {
    assert.equal(networkOfClient(checkClient({ address: "192.0.2.1", port: 1 })), "192.0.2.1");
    assert.equal(
      networkOfClient(checkClient({ address: "2001:db8::1" })),
      networkOfClient(checkClient({ address: "2001:db8::2" })),
    );
    assert.equal(networkOfClient(NO_CLIENT), NO_CLIENT);
  });
});

describe("a client that was seen", () => {
  test("is told as far as it fits", () => {
    const seen = { ...FULL, helo: "a b", login: "u\r\n", name: "x".repeat(300), port: 0 };
    const { helo: _h, login: _l, name: _n, port: _p, ...fits } = FULL;
    assert.deepEqual(clientFrom(seen), fits);
    checkClient(clientFrom(seen)!);
  });

  test("is nobody without an address", () => {
    assert.equal(clientFrom({ helo: "a" }), undefined);
    assert.equal(clientFrom({ address: "unix:" }), undefined);
  });

  test("leaves out what is not known", () => {
    assert.deepEqual(clientFrom({ address: "::ffff:192.0.2.9", port: undefined, local: undefined }), {
      address: "192.0.2.9",
    });
  });
});
