/** The mbox cutter: postmarks, quoting, blank lines, streamed messages, whatever the chunks are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Content } from "../../../src/api.js";
import { readMbox } from "../../../src/cli/mbox.js";

async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size);
  }
}

async function textOf(content: Content): Promise<string> {
  const parts: Uint8Array[] = [];
  if (content instanceof Uint8Array) {
    parts.push(content);
  } else {
    for await (const part of content as AsyncIterable<Uint8Array>) {
      parts.push(part);
    }
  }
  return Buffer.concat(parts).toString("latin1");
}

async function messagesOf(mbox: string, chunkSize: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const { content } of readMbox(chunks(Buffer.from(mbox, "latin1"), chunkSize))) {
    texts.push(await textOf(content));
  }
  return texts;
}

const MBOX = [
  "From bo@example.net Mon Mar  4 06:00:00 2024",
  "Subject: one",
  "",
  "From the start of a body, with a blank line before it, only a quoted one is safe:",
  ">From here",
  ">>From there",
  ">Fromage",
  "",
  "",
  "last line",
  "",
  "From MAILER-DAEMON Mon Mar  4 06:00:01 2024",
  "Subject: two",
  "",
  "",
  "From anna@example.org Mon Mar  4 06:00:02 2024",
  "Subject: three",
  "no newline at the end",
];

const EXPECTED = [
  "Subject: one\n\nFrom the start of a body, with a blank line before it, only a quoted one is safe:\nFrom here\n>From there\n>Fromage\n\n\nlast line\n",
  "Subject: two\n\n",
  "Subject: three\nno newline at the end",
];

test("an mbox is cut at its postmarks and unquoted, at every chunk size", async () => {
  // The unquoted "From the start" follows a blank line and would be a postmark: mboxrd writers quote it.
  const text = MBOX.join("\n").replace("\nFrom the start", "\n>From the start");
  for (let size = 1; size < text.length + 1; size++) {
    assert.deepEqual(await messagesOf(text, size), EXPECTED, `chunks of ${size}`);
  }
});

test("an mbox with CRLF newlines loses the same blank lines", async () => {
  const text = MBOX.join("\r\n").replace("\nFrom the start", "\n>From the start");
  assert.deepEqual(
    await messagesOf(text, 7),
    EXPECTED.map((message) => message.replaceAll("\n", "\r\n")),
  );
});

test('a line "From " without a blank line before it belongs to the message', async () => {
  assert.deepEqual(await messagesOf("From a\nx: y\nFrom b\n", 100), ["x: y\nFrom b\n"]);
});

test("what is no mbox is an error", async () => {
  await assert.rejects(messagesOf("Subject: x\n\nFrom a\n", 100), /no mbox/);
});

test("a long message is streamed, and skipped where nobody reads it to the end", async () => {
  const long = `Subject: long\n\n${"0123456789abcdef\n".repeat(40_000)}${"x".repeat(300_000)}\n>From ${"y".repeat(100_000)}\n`;
  const mbox = Buffer.from(`From a\n${long}\nFrom b\nSubject: short\n\nFrom c\n${long}`);
  const expected = long.replace(">From ", "From ");
  for (const reads of ["all", "some", "none"]) {
    const found: string[] = [];
    for await (const { content, isStreamed } of readMbox(chunks(mbox, 65_536))) {
      found.push(isStreamed ? "streamed" : await textOf(content));
      if (!isStreamed || reads === "none") {
        continue;
      }
      if (reads === "all") {
        assert.equal(await textOf(content), expected);
      } else {
        for await (const _ of content as AsyncIterable<Uint8Array>) {
          break;
        }
      }
    }
    assert.deepEqual(found, ["streamed", "Subject: short\n", "streamed"], `read: ${reads}`);
  }
});
