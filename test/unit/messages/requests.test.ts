/** Requests between the threads: each comes out as it went in. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeClient, NO_CLIENT } from "../../../src/messages/client.js";
import type { RelayJob } from "../../../src/messages/contract.js";
import { PART_OCTETS, type RelayHead, RequestWriter } from "../../../src/messages/requests.js";
import { NO_TAG } from "../../../src/messages/tenant.js";
import { cross, HEAD, readRequests } from "../kit/crossing.js";

describe("requests between the threads", () => {
  test("lookups keep their kind, and their time limit starts on the worker's clock", () => {
    const writer = new RequestWriter();
    writer.lookup(0, 3, "rcpt", "a@example.org", 250.7);
    writer.lookup(1, 3, "vrfy", "Jürgen", -1);
    writer.lookup(2, 4, "expn", "staff", 1e12);
    assert.deepEqual(readRequests(cross(writer)), [
      ["lookup", 0, 3, "rcpt", "a@example.org", 1250, NO_CLIENT, NO_TAG],
      ["lookup", 1, 3, "vrfy", "Jürgen", Number.POSITIVE_INFINITY, NO_CLIENT, NO_TAG],
      ["lookup", 2, 4, "expn", "staff", 1000 + 0x7fffffff, NO_CLIENT, NO_TAG],
    ]);
  });

  test("credentials", () => {
    const writer = new RequestWriter();
    writer.authenticate(5, 0, { username: "u", secret: "pässword", isToken: false }, -1);
    writer.authenticate(6, 0, { username: "v", secret: "token", isToken: true }, 9);
    assert.deepEqual(readRequests(cross(writer)), [
      [
        "authenticate",
        5,
        0,
        { username: "u", secret: "pässword", isToken: false },
        Number.POSITIVE_INFINITY,
        NO_CLIENT,
        NO_TAG,
      ],
      ["authenticate", 6, 0, { username: "v", secret: "token", isToken: true }, 1009, NO_CLIENT, NO_TAG],
    ]);
  });

  test("a client goes with the request after it, and with no other", () => {
    const client = encodeClient({ address: "192.0.2.1", port: 25, helo: "a.example" });
    const writer = new RequestWriter();
    const credentials = { username: "u", secret: "s", isToken: false };
    writer.client(client);
    writer.lookup(0, 1, "vrfy", "ann", -1);
    writer.lookup(1, 1, "vrfy", "ann", -1);
    writer.client(client);
    writer.authenticate(2, 1, credentials, -1);
    writer.client(client);
    writer.relay(3, 1, HEAD, "x", 1, -1);
    writer.relay(4, 1, HEAD, "x", 1, -1);
    const clients = readRequests(cross(writer)).map((call) =>
      call[0] === "relay" ? (call[2] as RelayJob).client : call[call[0] === "lookup" ? 6 : 5],
    );
    assert.deepEqual(clients, [client, NO_CLIENT, client, client, NO_CLIENT]);
  });

  test("a tenant goes with the request after it, and with no other", () => {
    const writer = new RequestWriter();
    writer.tag("1one");
    writer.lookup(0, 1, "rcpt", "ann", -1);
    writer.lookup(1, 1, "rcpt", "ann", -1);
    writer.tag("0two");
    writer.authenticate(2, 1, { username: "u", secret: "s", isToken: false }, -1);
    writer.relay(3, 1, HEAD, "x", 1, -1);
    writer.tag("2three");
    writer.relay(4, 1, HEAD, "x", 1, -1);
    writer.relay(5, 1, HEAD, "x", 1, -1);
    const tags = readRequests(cross(writer)).map((call) =>
      call[0] === "relay" ? (call[2] as RelayJob).tag : call[call[0] === "lookup" ? 7 : 6],
    );
    assert.deepEqual(tags, ["1one", NO_TAG, "0two", NO_TAG, "2three", NO_TAG]);
  });

  test("a relay with everything, and one with nothing", () => {
    const full: RelayHead = {
      from: "from@example.org",
      recipients: ["a@example.org", "ü@example.org", "a@example.org"],
      sizeOctets: Number.MAX_SAFE_INTEGER,
      smtputf8: "if-offered",
      body: "binarymime",
      requireTls: true,
      ret: "HDRS",
      envid: "QQ314159",
      dsn: [
        { notify: "NEVER", orcpt: null },
        { notify: null, orcpt: "rfc822;x@example.org" },
        { notify: null, orcpt: null },
      ],
    };
    const writer = new RequestWriter();
    writer.relay(7, 1, full, "häuser", 7, 60_000);
    writer.relay(8, 1, HEAD, null, 0, -1);
    assert.deepEqual(readRequests(cross(writer)), [
      ["relay", 1, { slot: 7, deadlineMs: 61_000, ...full, client: NO_CLIENT, tag: NO_TAG, content: "häuser" }],
      [
        "relay",
        1,
        {
          slot: 8,
          deadlineMs: Number.POSITIVE_INFINITY,
          ...HEAD,
          client: NO_CLIENT,
          tag: NO_TAG,
          content: null,
        },
      ],
    ]);
  });

  for (const body of [null, "7bit", "8bitmime", "binarymime"] as const) {
    for (const ret of [null, "FULL", "HDRS"] as const) {
      for (const sizeOctets of [-1, 0, 2 ** 31, 2 ** 32, 2 ** 33 + 5]) {
        test(`a relay with body ${body}, ret ${ret} and size ${sizeOctets}`, () => {
          const head = { ...HEAD, body, ret, sizeOctets };
          const writer = new RequestWriter();
          writer.relay(0, 0, head, "x", 1, -1);
          const [call] = readRequests(cross(writer));
          assert.deepEqual(call![2], {
            slot: 0,
            deadlineMs: Number.POSITIVE_INFINITY,
            ...head,
            client: NO_CLIENT,
            tag: NO_TAG,
            content: "x",
          });
        });
      }
    }
  }

  test("the contents of a batch are copied when they are written, and stand end to end", () => {
    const writer = new RequestWriter();
    const octets = Buffer.from("first");
    writer.relay(0, 0, HEAD, octets, 5, -1);
    octets.fill("?");
    writer.relay(1, 0, HEAD, "second", 6, -1);
    writer.relay(2, 0, HEAD, new Uint8Array(0), 0, -1);
    const batch = cross(writer);
    assert.equal(batch[2].length, 1);
    assert.deepEqual(
      readRequests(batch).map((call) => (call[2] as RelayJob).content),
      ["first", "second", ""],
    );
  });

  test("contents that outgrow an arena go on in another one", () => {
    const writer = new RequestWriter();
    const contents = Array.from({ length: 9 }, (_, index) => String(index).repeat(100_000));
    for (const [slot, content] of contents.entries()) {
      writer.relay(slot, 0, HEAD, content, content.length, -1);
    }
    const batch = cross(writer);
    assert.ok(batch[2].every((buffer) => buffer.byteLength <= PART_OCTETS));
    assert.deepEqual(
      readRequests(batch).map((call) => (call[2] as RelayJob).content),
      contents,
    );
  });

  test("parts, failures and cancellations stay in order between the requests", () => {
    const writer = new RequestWriter();
    writer.cancel(1, "ABORTED");
    writer.relay(1, 0, HEAD, "one", 3, -1);
    writer.contentPart(2, new Uint8Array(Buffer.from("part??")).buffer, 4, false);
    writer.relay(3, 0, HEAD, "three", 5, -1);
    writer.probe();
    writer.contentPart(2, new ArrayBuffer(0), 0, true);
    writer.contentFailed(4, "torn");
    writer.cancel(5, "DEADLINE_EXCEEDED");
    assert.deepEqual(
      readRequests(cross(writer)).map((call) => (call[0] === "relay" ? (call[2] as RelayJob).content : call)),
      [
        ["cancel", 1, "ABORTED"],
        "one",
        ["contentPart", 2, "part", false],
        "three",
        ["contentPart", 2, "", true],
        ["contentFailed", 4, "torn"],
        ["cancel", 5, "DEADLINE_EXCEEDED"],
      ],
    );
  });

  test("carry an answer that another gateway was given", () => {
    const reply = { code: 250, enhanced: "2.1.5", text: "ok" };
    const answer = { found: true, values: ["a", "b"], reply };
    const adopted = { kind: "rcpt", value: "a@b", client: "", credentials: undefined, answer, ageMs: 7 } as const;
    const writer = new RequestWriter();
    writer.adopt(3, adopted);
    const { credentials: _, ...told } = adopted;
    assert.deepEqual(readRequests(cross(writer)), [["adopt", 3, told]]);
  });

  test("a writer starts afresh after each batch, after one that could not be posted too", () => {
    const writer = new RequestWriter();
    writer.lookup(0, 0, "rcpt", "lost@example.org", -1);
    assert.throws(() =>
      writer.flush(() => {
        throw new Error("no port");
      }),
    );
    assert.ok(writer.isEmpty);
    writer.relay(1, 0, HEAD, "dropped", 7, -1);
    writer.clear();
    assert.ok(writer.isEmpty);
    for (let index = 0; index < 5000; index++) {
      writer.lookup(index, 0, "rcpt", `${index}@example.org`, -1);
    }
    const calls = readRequests(cross(writer));
    assert.equal(calls.length, 5000);
    assert.deepEqual(calls[4999], [
      "lookup",
      4999,
      0,
      "rcpt",
      "4999@example.org",
      Number.POSITIVE_INFINITY,
      NO_CLIENT,
      NO_TAG,
    ]);
  });
});
