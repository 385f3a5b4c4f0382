/** What the doctor makes of times: of users who exist, and of connections that a rate of logins needs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoginTry } from "../../../src/cli/doctor/finding.js";
import { loginFindings } from "../../../src/cli/doctor/login-findings.js";
import { loginPaceFor } from "../../../src/cli/doctor/pace.js";
import { hostOf } from "../kit/config-texts.js";

const reply = { code: 0, text: "NO [AUTHENTICATIONFAILED] no" };

function wrong(ms: number): LoginTry {
  return { outcome: { kind: "not-found", reply }, ms };
}

async function says(stranger: LoginTry, user: LoginTry): Promise<string[]> {
  const host = await hostOf('[remote.x]\naddress = "127.0.0.1"\nport = 993\nprotocol = "imap"\nlookup = true');
  return loginFindings(host, { stranger, user, connectMs: 5 }).map(({ message }) => message);
}

test("a host that takes its time only where the user exists tells who does", async () => {
  assert.match((await says(wrong(2), wrong(180)))[0]!, /not in the same time \(2 and 180 ms\)/);
  assert.match((await says(wrong(2), wrong(40)))[0]!, /^It says the same/);
  assert.match((await says(wrong(100), wrong(180)))[0]!, /^It says the same/);
});

test("answers that are late on purpose tell nobody who exists", async () => {
  const [first, second] = await says(wrong(2_100), wrong(7_900));
  assert.match(first!, /^It says the same/);
  assert.match(second!, /after 7\.9 s, .*has room for 1\.3 of them a second\. A host that says nothing for 10 s/);
});

test("logins need a connection each where a right password ends it", () => {
  const times = { connectMs: 90, loginMs: 10 };
  assert.deepEqual(loginPaceFor(100, { ...times, isReused: false }), { exchangeMs: 100, concurrency: 15, pipeline: 1 });
  assert.deepEqual(loginPaceFor(100, { ...times, isReused: true }), { exchangeMs: 10, concurrency: 2, pipeline: 1 });
  assert.equal(loginPaceFor(0.01, { ...times, isReused: true }).concurrency, 1);
});
