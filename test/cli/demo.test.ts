/** The demo agrees with its servers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonLines, relaypost } from "./command-line.js";

test("the demo relays the whole mailbox through a crash, and every count agrees", async () => {
  const ran = await relaypost(["demo", "--json"]);
  const lines = jsonLines(ran);
  assert.deepEqual(lines.at(-1), { agrees: true, wrong: [] });
  assert.equal(ran.code, 0);
  for (const host of ["lmtp", "smtp"]) {
    const row = lines.find((line) => line.host === host);
    assert.equal(row?.messages, 240, host);
    assert.ok(Number(row?.cached) > 0, host);
  }
  const lmtp = lines.find((line) => line.host === "lmtp");
  assert.ok(Number(lmtp?.rejected) > 0);
  assert.ok(Number(lmtp?.uncertain) > 0);
  assert.ok(Number(lmtp?.arrived) > 0);
  const diagnoses = lines.flatMap(({ diagnosis }) => (diagnosis === undefined ? [] : [diagnosis]));
  const causes = Object.fromEntries(
    (diagnoses as { hostId: string; cause: string }[]).map(({ hostId, cause }) => [hostId, cause]),
  );
  assert.deepEqual(causes, { lmtp: "recovering", imap: "healthy", smtp: "healthy" });
});
