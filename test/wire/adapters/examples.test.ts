/** The examples of the adapters run as they stand and print what they promise. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

async function linesOf(example: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [join("examples", example)], { cwd: ROOT });
  return stdout.trimEnd().split("\n");
}

describe("examples", { timeout: 60_000 }, () => {
  it("nodemailer.mjs sends, and tells each recipient's verdict", async () => {
    assert.deepEqual(await linesOf("nodemailer.mjs"), [
      "accepted ann@example.org",
      "rejected nobody@example.org 550 for good",
      "nobody EENVELOPE RCPT TO 550 certainly not sent",
    ]);
  });

  it("smtp-server.mjs says what the servers behind it say", async () => {
    assert.deepEqual(
      (await linesOf("smtp-server.mjs")).map((line) => line.slice(0, 9)),
      ["250 2.0.0", "535 5.7.8", "550 5.1.1", "451 4.2.2"],
    );
  });
});
