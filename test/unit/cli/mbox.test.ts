/** The mbox reader: separators, quoting, counted bodies, blank lines, streamed messages, whatever the chunks are. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ByteWindow } from "../../../src/cli/byte-window.js";
import { type MboxMessage, readMbox } from "../../../src/cli/mbox.js";

async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size);
  }
}

async function textOf(content: MboxMessage["content"]): Promise<string> {
  const parts: Uint8Array[] = [];
  if (content instanceof Uint8Array) {
    parts.push(content);
  } else {
    for await (const part of content) {
      parts.push(part);
    }
  }
  return Buffer.concat(parts).toString("latin1");
}

function open(mbox: string | Buffer, chunkSize: number): AsyncGenerator<MboxMessage> {
  return readMbox(new ByteWindow(chunks(Buffer.from(mbox as string, "latin1"), chunkSize)));
}

async function messagesOf(mbox: string, chunkSize: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const { content } of open(mbox, chunkSize)) {
    texts.push(await textOf(content));
  }
  return texts;
}

/** The messages, whatever the chunks are. */
async function messagesAtEverySplit(mbox: string): Promise<string[]> {
  const whole = await messagesOf(mbox, mbox.length);
  for (let size = 1; size < mbox.length; size++) {
    assert.deepEqual(await messagesOf(mbox, size), whole, `chunks of ${size}`);
  }
  return whole;
}

async function notesOf(mbox: string): Promise<string[][]> {
  const found: string[][] = [];
  for await (const { notes } of open(mbox, 7)) {
    found.push(notes);
  }
  return found;
}

const A = "From a@example.org Thu Jan  1 00:00:00 1970\n";
const B = "From b@example.org Thu Jan  1 00:00:01 1970\n";

const MBOX = [
  "From bo@example.net Mon Mar  4 06:00:00 2024",
  "Subject: one",
  "",
  "From the start of a body, where a blank line stands before it:",
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
  "Subject: one\n\nFrom the start of a body, where a blank line stands before it:\nFrom here\n>From there\n>Fromage\n\n\nlast line\n",
  "Subject: two\n\n",
  "Subject: three\nno newline at the end",
];

test("an mbox is cut at its separators and unquoted, at every chunk size", async () => {
  assert.deepEqual(await messagesAtEverySplit(MBOX.join("\n")), EXPECTED);
});

test("an mbox with CRLF newlines loses the same blank lines", async () => {
  assert.deepEqual(
    await messagesAtEverySplit(MBOX.join("\r\n")),
    EXPECTED.map((message) => message.replaceAll("\n", "\r\n")),
  );
});

test('text that begins with "From " is text, behind a blank line too', async () => {
  const mbox = `${A}Subject: one\n\nFrom the start of a line\n>From quoted\n\n${B}Subject: two\nContent-Length: 5\n\nbody\n\nFrom nothing here\n`;
  assert.deepEqual(await messagesAtEverySplit(mbox), [
    "Subject: one\n\nFrom the start of a line\nFrom quoted\n",
    "Subject: two\nContent-Length: 5\n\nbody\n\nFrom nothing here\n",
  ]);
});

test("a separator without a blank line before it is text, and is said", async () => {
  assert.deepEqual(await messagesAtEverySplit(`${A}x: y\n${B}`), [`x: y\n${B}`]);
  assert.deepEqual(await notesOf(`${A}x: y\n${B}\n${B}x: y\n\nFrom 1970-01-01 bo\n\nFrom me\n`), [
    ['line 3 of the mbox begins with "From " and was taken for text: no empty line stands before it'],
    ['line 8 of the mbox begins with "From " and was taken for text: it has no address and date'],
  ]);
});

test("a separator has an address and a date, as mail programs write them", async () => {
  const separators = [
    "From bo@example.net Thu Jan  1 00:00:00 1970",
    "From bo@example.net  Thu Jan 01 00:00:00 1970  ",
    "From bo Thu Jan 1 0:00 1970",
    "From bo Wed Dec  2 05:53 PST 1992",
    "From bo Wed Dec  2 05:53:22 MET DST 1992",
    "From bo Wed Dec  2 05:53:22 1992 PST",
    "From bo Wed Dec  2 05:53:22 1992 -0700",
    "From bo Wed Dec  2 05:53:60 1992 remote from mcvax",
    "From 1234567890@xxx Mon Jan 04 12:00:00 +0000 2021",
    "From - Sun Feb 29 23:59:59 2032",
    "From ???@??? Fri Aug 13 10:00:00 1999",
    'From "bo who" <at>@example.net Thu Jan  1 00:00:00 1970'.replace(" <at>", ""),
    "From bo at example.net  Thu Jan  1 00:00:00 1970",
    "From <> Sat Jan  1 00:00:00 2000",
  ];
  const texts = [
    "From Thu Jan  1 00:00:00 1970",
    "From bo@example.net",
    "From bo@example.net yesterday",
    "From bo@example.net Thu Jan  1 00:00:00",
    "From bo@example.net Thu Jan 32 00:00:00 1970",
    "From bo@example.net Thu Jan  1 24:00:00 1970",
    "From bo@example.net Thu Jan  1 00:60:00 1970",
    "From bo@example.net Day Jan  1 00:00:00 1970",
    "From bo@example.net Thu Mai  1 00:00:00 1970",
    "From bo@example.net Thu Jan  1 00:00:00 1970 he wrote",
    "From bo@example.net and me Thu Jan  1 00:00:00 1970",
    "From: bo@example.net Thu Jan  1 00:00:00 1970",
    "from bo@example.net Thu Jan  1 00:00:00 1970",
    `From ${"x".repeat(2000)}@example.net Thu Jan  1 00:00:00 1970`,
  ];
  for (const line of separators) {
    const mbox = `${line}\none\n\n${line}\ntwo\n`;
    assert.deepEqual(await messagesOf(mbox, 9), ["one\n", "two\n"], line);
    await assert.doesNotReject(messagesOf(line, 9), line);
  }
  for (const line of texts) {
    assert.deepEqual(await messagesOf(`${A}one\n\n${line}\ntwo\n`, 9), [`one\n\n${line}\ntwo\n`], line);
    await assert.rejects(messagesOf(`${line}\ntwo\n`, 9), /no mbox/, line);
  }
});

test("what is no mbox is an error", async () => {
  await assert.rejects(messagesOf("Subject: x\n\nFrom a\n", 100), /no mbox/);
  await assert.rejects(messagesOf("", 100), /no mbox/);
});

describe("a counted body (mboxcl, mboxcl2)", () => {
  const inner = `one\n\n${B}two\n`;

  for (const [header, what] of [
    [`Content-Length: ${inner.length}`, "octets"],
    ["content-length :  3\nLINES: 4", "lines, where the octets do not fit"],
    ["Lines: 4", "lines"],
  ] as const) {
    test(`holds what looks like a separator: by ${what}`, async () => {
      const first = `Subject: x\n${header}\n\n${inner}`;
      assert.deepEqual(await messagesAtEverySplit(`${A}${first}\n${B}last\n`), [first, "last\n"]);
      assert.deepEqual(await messagesAtEverySplit(`${A}${first}`), [first]);
      assert.deepEqual(await messagesAtEverySplit(`${A}${first}\n`), [first]);
    });
  }

  test("may count the blank line in front of the next separator", async () => {
    const first = `Content-Length: ${inner.length + 1}\n\n${inner}\n`;
    assert.deepEqual(await messagesAtEverySplit(`${A}${first}${B}last\n`), [first, "last\n"]);
  });

  test("with CRLF newlines", async () => {
    const crlf = (text: string) => text.replaceAll("\n", "\r\n");
    const first = crlf(`Content-Length: ${crlf(inner).length}\n\n${inner}`);
    assert.deepEqual(await messagesAtEverySplit(`${crlf(A)}${first}${crlf(`\n${B}last\n`)}`), [first, "last\r\n"]);
  });

  test("is not believed where it does not lead to a separator or to the end", async () => {
    for (const amount of [0, 1, inner.length - 1, inner.length + 2, 999_999, "99999999999999999999", "x"]) {
      const first = `Content-Length: ${amount}\n\none\n`;
      assert.deepEqual(
        await messagesOf(`${A}${first}\n${B}two\n\n${B}last\n`, 11),
        [first, "two\n", "last\n"],
        `${amount}`,
      );
    }
  });

  test("is not believed where it leads into the middle of the next message", async () => {
    for (const end of ["tw", "two", "two\n", "two\nmore"]) {
      const length = `one\n\n${B}${end}`.length;
      const first = `Content-Length: ${length}\n\none\n`;
      const second = `two\nmore\n${B}text\n`;
      assert.deepEqual(await messagesOf(`${A}${first}\n${B}${second}`, 11), [first, second], JSON.stringify(end));
    }
  });

  test("is unquoted (mboxcl), but for one that holds a bare line (mboxcl2)", async () => {
    const mbox = (body: string) => `${A}Content-Length: ${body.length}\n\n${body}\n${B}last\n`;
    const bodyOf = async (body: string) =>
      (await messagesAtEverySplit(mbox(body)))[0]!.split("\n\n").slice(1).join("\n\n");
    assert.equal(await bodyOf(">From a\nb\n>>From c\n>d\n"), "From a\nb\n>From c\n>d\n");
    assert.equal(await bodyOf(">From a\n\nFrom c\n"), ">From a\n\nFrom c\n");
  });

  test("is streamed where it is long", async () => {
    const body = `${"0123456789abcdef\n".repeat(40_000)}\n${B}end\n`;
    const mbox = Buffer.from(`${A}Content-Length: ${body.length}\n\n${body}\n${B}last\n`);
    const found: [boolean, string][] = [];
    for await (const { content, isStreamed } of open(mbox, 65_536)) {
      found.push([isStreamed, await textOf(content)]);
    }
    assert.deepEqual(found, [
      [true, `Content-Length: ${body.length}\n\n${body}`],
      [false, "last\n"],
    ]);
  });

  test("is not guessed at where it is too long to look at its end", async () => {
    const mebi = Buffer.alloc(1024 * 1024, "0123456789abcde\n");
    async function* endless(header: string): AsyncGenerator<Buffer> {
      yield Buffer.from(`${A}${header}\n\none\n\n${B}two\n`);
      for (let count = 0; count < 70; count++) {
        yield mebi;
      }
    }
    for (const header of ["Content-Length: 90000000", "Lines: 90000000"]) {
      const reading = (async () => {
        for await (const { content } of readMbox(new ByteWindow(endless(header)))) {
          await textOf(content);
        }
      })();
      await assert.rejects(reading, /nobody can tell whether line 6 starts a message/, header);
    }
  });
});

test("an error in the middle of a streamed message ends the mbox with it", async () => {
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.from(`${A}Subject: x\n\n${"x\n".repeat(200_000)}`);
    throw new Error("EIO");
  }
  const reading = (async () => {
    for await (const { content } of readMbox(new ByteWindow(broken()))) {
      await textOf(content).catch(() => {});
    }
  })();
  await assert.rejects(reading, /EIO/);
});

test("a long message is streamed, and skipped where nobody reads it to the end", async () => {
  const long = `Subject: long\n\n${"0123456789abcdef\n".repeat(40_000)}${"x".repeat(300_000)}\n>From ${"y".repeat(100_000)}\n`;
  const mbox = Buffer.from(`${A}${long}\n${B}Subject: short\n\n${B}${long}`);
  const expected = long.replace(">From ", "From ");
  for (const reads of ["all", "some", "none"]) {
    const found: string[] = [];
    for await (const { content, isStreamed } of open(mbox, 65_536)) {
      found.push(isStreamed ? "streamed" : await textOf(content));
      if (!isStreamed || reads === "none") {
        continue;
      }
      if (reads === "all") {
        assert.equal(await textOf(content), expected);
      } else {
        for await (const _ of content) {
          break;
        }
      }
    }
    assert.deepEqual(found, ["streamed", "Subject: short\n", "streamed"], `read: ${reads}`);
  }
});
