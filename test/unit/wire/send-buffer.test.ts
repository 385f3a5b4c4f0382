import assert from "node:assert/strict";
import { test } from "node:test";
import { SendBuffer } from "../../../workers/wire/send-buffer.js";

function textOf(pieces: readonly Uint8Array[]): string {
  return Buffer.concat(pieces).toString("latin1");
}

test("what is written is taken in order, small pieces as one and large ones as they are", () => {
  const buffer = new SendBuffer();
  const large = new Uint8Array(20_000).fill(120);
  buffer.writeText("MAIL\r\n");
  buffer.writeBytes(Buffer.from("RCPT\r\n"));
  buffer.writeBytes(large);
  buffer.writeText("DATA\r\n");
  assert.equal(buffer.octets, 20_018);
  const pieces = buffer.take();
  assert.deepEqual(
    pieces.map(({ length }) => length),
    [12, 20_000, 6],
  );
  assert.equal(pieces[1], large);
  assert.equal(textOf([pieces[0]!, pieces[2]!]), "MAIL\r\nRCPT\r\nDATA\r\n");
  assert.equal(buffer.octets, 0);
});

test("what was taken keeps its octets while more is written, until the buffer is rewound", () => {
  const buffer = new SendBuffer();
  buffer.writeText("first");
  const first = buffer.take();
  buffer.writeText("other");
  const other = buffer.take();
  assert.equal(textOf(first), "first");
  buffer.rewind();
  buffer.writeText("third");
  assert.equal(textOf(buffer.take()), "third");
  assert.equal(textOf(other), "other");
  assert.equal(textOf(first), "third", "the slab begins anew");
});

test("a buffer that holds something not taken yet is not rewound", () => {
  const buffer = new SendBuffer();
  buffer.writeText("a");
  buffer.take();
  buffer.writeText("b");
  buffer.rewind();
  buffer.writeText("c");
  assert.equal(textOf(buffer.take()), "bc");
});
