/** `relaypost ctl` without a daemon: its help, and what it says to somebody who uses it wrong. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CTL_VERBS } from "../../src/cli/ctl-verbs.js";
import { relaypost, Site } from "./command-line.js";

const DOCS = readFileSync(fileURLToPath(new URL("../../../docs/command-line.md", import.meta.url)), "utf8");

let site: Site;

before(async () => {
  site = await Site.open();
});

after(() => site?.[Symbol.asyncDispose]());

test("its help has a line for each verb, and so have the docs", async () => {
  const { code, stdout } = await relaypost(["ctl", "--help"]);
  assert.equal(code, 0);
  for (const [verb, { words }] of Object.entries(CTL_VERBS)) {
    const line = stdout.split("\n").find((each) => each.startsWith(`  ${verb} `));
    assert.ok(line?.startsWith(`  ${verb} ${words}`) && line.length <= 80, `${verb}: ${line}`);
    assert.ok(DOCS.includes(`| \`${`${verb} ${words}`.trim()}`), verb);
  }
});

test("misuse ends with 2, before anybody is asked", async () => {
  for (const [words, said] of [
    [["resume", "lmtp", "--for", "3m"], /resume takes no --for/],
    [["pause", "lmtp", "--count", "3"], /pause takes no --count/],
    [["why", "lmtp", "--refuse"], /why takes no --refuse/],
    [["trace", "lmtp", "--count", "many"], /a whole number of lines is right/],
    [["trace", "lmtp", "--for", "soon"], /90s, 10m or 2h is right/],
    [["why"], /usage: relaypost ctl --socket SOCKET why ID/],
    [["frobnicate"], /Allowed choices are hosts, why/],
  ] as const) {
    const { code, stderr } = await relaypost(["ctl", "--socket", site.path("control"), ...words]);
    assert.equal(code, 2, words.join(" "));
    assert.match(stderr, said);
  }
});

test("a daemon that is not there ends with 75, and with what to look at", async () => {
  const missing = await relaypost(["ctl", "--socket", site.path("control"), "hosts"]);
  assert.equal(missing.code, 75);
  assert.match(missing.stderr, /cannot be asked: ENOENT, there is no such socket\. Is the daemon running/);
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  const port = typeof address === "object" ? address?.port : undefined;
  const closed = await relaypost(["top", `http://127.0.0.1:${port}`, "--once"]);
  assert.equal(closed.code, 75);
  assert.match(closed.stderr, /ECONNREFUSED, nobody listens there/);
});
