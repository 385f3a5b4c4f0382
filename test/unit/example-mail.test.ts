/** The example mailbox is what its generator writes, and as varied as its readers rely on. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const examples = fileURLToPath(new URL("../../../examples/", import.meta.url));

async function contents(folder: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(folder)).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)));
}

test("the generator writes the committed mailbox, byte for byte", async () => {
  const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
  try {
    await promisify(execFile)(process.execPath, [join(examples, "make-mail.mjs"), folder]);
    assert.deepEqual(await contents(folder), await contents(join(examples, "mail")));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the mailbox has at least 200 different messages and every hard case", async () => {
  const all = [...(await contents(join(examples, "mail"))).values()];
  const texts = all.map((bytes) => bytes.toString("latin1"));
  assert.ok(all.length >= 200);
  assert.equal(new Set(texts).size, all.length);
  assert.ok(all.reduce((sum, { length }) => sum + length, 0) < 4_000_000);
  const cases: Record<string, RegExp> = {
    "octets above 127": /[\x80-\xff]/,
    "a bare LF": /(^|[^\r])\n/,
    "a bare CR": /\r(?!\n)/,
    "no newline at the end": /[^\r\n]$/,
    "a line that is a dot": /\n\.\r?\n/,
    "a dot at the very end": /\n\.$/,
    "a body that starts with a dot": /\r?\n\r?\n\./,
    "a line of exactly 998 octets": /(?:^|\n)[^\r\n]{998}\r?\n/,
    "a line beyond 998 octets": /[^\r\n]{1100}/,
    "quoted-printable": /quoted-printable/,
    "an attachment": /Content-Disposition: attachment/,
    "multipart/alternative": /multipart\/alternative/,
    "a notification": /multipart\/report/,
    "a mailing list": /List-Id:/,
  };
  for (const [name, pattern] of Object.entries(cases)) {
    assert.ok(
      texts.some((text) => pattern.test(text)),
      name,
    );
  }
  assert.ok(all.some(({ length }) => length > 1_000_000));
});
