/** Where messages come from: files, folders, Maildirs, mboxes, standard input. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { openMailSource } from "../../../src/cli/mail-source.js";

const A = "From a@example.org Thu Jan  1 00:00:00 1970\n";
const B = "From b@example.org Thu Jan  1 00:00:01 1970\n";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "relaypost-"));
  for (const each of ["maildir/new", "maildir/cur", "maildir/tmp", "letters", "mixed", "empty"]) {
    await mkdir(join(folder, each), { recursive: true });
  }
  const files = {
    "one.eml": "Subject: one\n\nbody\n",
    "big.eml": `Subject: big\n\n${"x".repeat(400_000)}\n`,
    "letters/b.eml": "b",
    "letters/a.eml": "a",
    "letters/notes.txt": "no message",
    "maildir/new/1700000002.M1.host": "new two",
    "maildir/new/1700000001.M1.host": "new one",
    "maildir/new/.hidden": "no",
    "maildir/cur/1600000000.M1.host:2,S": "cur one",
    "maildir/tmp/1700000003.M1.host": "half written",
    archive: `${A}first\n\n${B}second\n`,
    "marked.eml": "\ufeffSubject: marked\n\nbody\n",
    "marked.mbox": `\ufeff${A}first\n\n${B}\ufeffsecond\n`,
    "marked-big.eml": `\ufeffSubject: big\n\n${"x".repeat(400_000)}\n`,
    "nothing.eml": "",
    "newlines.eml": "\r\n\n",
    "marked-nothing.eml": "\ufeff\n",
    "many-newlines.eml": "\n".repeat(300_000),
    "gaps.mbox": `${A}\n\n${B}second\n\n${A}`,
    "prose.txt": "From the desk of Bo\n\nDear Anna\n",
    "mixed/a.EML": "a",
    "mixed/b.eml": "\n",
    "mixed/c.txt": "c",
    "mixed/d.msg": "d",
  };
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, name), text);
  }
});
after(() => rm(folder, { recursive: true }));

interface Reading {
  readonly total: number | undefined;
  readonly found: readonly [string, string][];
  readonly skipped: readonly [string, number, string][];
  readonly notes: readonly string[];
}

async function read(paths: string[], input = ""): Promise<Reading> {
  const source = await openMailSource(
    paths.map((path) => (path === "-" ? path : join(folder, path))),
    Readable.from(input === "" ? [] : [Buffer.from(input.slice(0, 3)), Buffer.from(input.slice(3))]),
  );
  const found: [string, string][] = [];
  const skipped: [string, number, string][] = [];
  const notes: string[] = [];
  for await (const message of source.messages()) {
    const name = message.name.replace(`${folder}/`, "");
    const opened = await message.open();
    if ("skipped" in opened) {
      skipped.push([name, message.count, opened.skipped]);
      continue;
    }
    const parts: Uint8Array[] = [];
    if (opened.content instanceof Uint8Array) {
      parts.push(opened.content);
    } else {
      for await (const part of opened.content as AsyncIterable<Uint8Array>) {
        parts.push(part);
      }
    }
    found.push([name, Buffer.concat(parts).toString()]);
    notes.push(...opened.notes.map((note) => `${name}: ${note}`));
    await opened.close();
  }
  return { total: source.total, found, skipped, notes };
}

test("files, folders of .eml files and an mbox are read in order", async () => {
  const { total, found } = await read(["one.eml", "letters", "archive"]);
  assert.deepEqual(found, [
    ["one.eml", "Subject: one\n\nbody\n"],
    ["letters/a.eml", "a"],
    ["letters/b.eml", "b"],
    ["archive#1", "first\n"],
    ["archive#2", "second\n"],
  ]);
  assert.equal(total, undefined);
});

test("a Maildir gives new/ and cur/, oldest first, and never tmp/", async () => {
  const { total, found } = await read(["maildir"]);
  assert.deepEqual(
    found.map(([, text]) => text),
    ["new one", "new two", "cur one"],
  );
  assert.equal(total, 3);
});

test("a large file is streamed whole", async () => {
  const { found } = await read(["big.eml"]);
  assert.equal(found[0]?.[1].length, 14 + 400_001);
});

test("standard input is one message or an mbox, and may be split anywhere", async () => {
  assert.deepEqual((await read([], "Subject: x\n\nFrom here\n")).found, [["-", "Subject: x\n\nFrom here\n"]]);
  assert.deepEqual((await read(["-"], `${A}first\n\n${B}second`)).found, [
    ["-#1", "first\n"],
    ["-#2", "second"],
  ]);
});

test("what cannot be read is said before anything is sent", async () => {
  await assert.rejects(read(["one.eml", "missing.eml"]), /cannot read .*missing.eml/);
  await assert.rejects(read(["empty"]), /neither a Maildir nor a folder with \.eml files/);
  await assert.rejects(read(["-", "-"]), /standard input can be read once/);
  await assert.rejects(read(["-"]), /standard input is no message: it is empty/);
});

const MARK = "a UTF-8 byte-order mark in front of the first header was removed";

test("a byte-order mark is removed with a word, of a message and of an mbox", async () => {
  const { found, notes } = await read(["marked.eml", "marked.mbox", "marked-big.eml"]);
  assert.deepEqual(
    found.map(([name, text]) => [name, text.slice(0, 15)]),
    [
      ["marked.eml", "Subject: marked"],
      ["marked.mbox#1", "first\n"],
      ["marked.mbox#2", "second\n"],
      ["marked-big.eml", "Subject: big\n\nx"],
    ],
  );
  assert.deepEqual(
    notes,
    ["marked.eml", "marked.mbox#1", "marked.mbox#2", "marked-big.eml"].map((name) => `${name}: ${MARK}`),
  );
  for (const input of ["\ufeffSubject: x\n", `\ufeff${A}Subject: x\n`]) {
    const { found, notes } = await read(["-"], input);
    assert.deepEqual([found[0]?.[1], notes.length], ["Subject: x\n", 1], input);
  }
});

test("an empty file that somebody named is no message", async () => {
  for (const name of ["nothing.eml", "newlines.eml", "marked-nothing.eml", "many-newlines.eml"]) {
    await assert.rejects(read(["one.eml", name]), /is no message: it is empty/, name);
  }
  for (const input of ["", "\r\n\n\n\n", "\ufeff", "\n".repeat(2_000_000)]) {
    await assert.rejects(read(["-"], input), /standard input is no message: it is empty/);
  }
});

test("what a folder or an mbox holds beside messages is skipped with a word and counted", async () => {
  const mixed = await read(["mixed"]);
  assert.deepEqual(mixed.found, [["mixed/a.EML", "a"]]);
  assert.deepEqual(mixed.skipped, [
    ["mixed", 2, "2 names in it are no .eml files: c.txt, d.msg"],
    ["mixed/b.eml", 1, "it is empty: it holds nothing but newlines, or nothing at all"],
  ]);
  const gaps = await read(["gaps.mbox"]);
  assert.deepEqual(gaps.found, [["gaps.mbox#2", "second\n"]]);
  assert.deepEqual(
    gaps.skipped.map(([name]) => name),
    ["gaps.mbox#1", "gaps.mbox#3"],
  );
});

test("what begins like an mbox and is none is said", async () => {
  await assert.rejects(read(["prose.txt"]), /prose\.txt is neither a message nor an mbox/);
  await assert.rejects(read(["-"], "From the desk of Bo\n\nDear Anna\n"), /- is neither a message nor an mbox/);
});

test("a pipe that has a name is read once, as standard input is", async () => {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const written = writeFile(path, `${A}first\n\n${B}second\n`);
  assert.deepEqual((await read(["pipe"])).found, [
    ["pipe#1", "first\n"],
    ["pipe#2", "second\n"],
  ]);
  await written;
});
