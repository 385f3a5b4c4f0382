/** Where messages come from: files, folders, Maildirs, mboxes, standard input. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { openMailSource } from "../../../src/cli/mail-source.js";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "relaypost-"));
  for (const each of ["maildir/new", "maildir/cur", "maildir/tmp", "letters", "empty"]) {
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
    archive: "From a\nfirst\n\nFrom b\nsecond\n",
  };
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, name), text);
  }
});
after(() => rm(folder, { recursive: true }));

async function read(paths: string[], input = ""): Promise<{ total: number | undefined; found: [string, string][] }> {
  const source = await openMailSource(
    paths.map((path) => (path === "-" ? path : join(folder, path))),
    Readable.from(input === "" ? [] : [Buffer.from(input.slice(0, 3)), Buffer.from(input.slice(3))]),
  );
  const found: [string, string][] = [];
  for await (const message of source.messages()) {
    const content = await message.open();
    const parts: Uint8Array[] = [];
    if (content instanceof Uint8Array) {
      parts.push(content);
    } else {
      for await (const part of content as AsyncIterable<Uint8Array>) {
        parts.push(part);
      }
    }
    found.push([message.name.replace(`${folder}/`, ""), Buffer.concat(parts).toString()]);
  }
  return { total: source.total, found };
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
  assert.deepEqual((await read(["-"], "From a\nfirst\n\nFrom b\nsecond")).found, [
    ["-#1", "first\n"],
    ["-#2", "second"],
  ]);
});

test("what cannot be read is said before anything is sent", async () => {
  await assert.rejects(read(["one.eml", "missing.eml"]), /cannot read .*missing.eml/);
  await assert.rejects(read(["empty"]), /neither a Maildir nor a folder with \.eml files/);
  await assert.rejects(read(["-", "-"]), /standard input can be read once/);
  await assert.rejects(read(["-"]), /standard input is empty/);
});
