/** `relaypost serve` where a person watches it, and where a machine does. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { MAIN, Site, start } from "./command-line.js";

describe("the log of relaypost serve", { timeout: 30_000 }, () => {
  let site: Site;
  let file: string;

  before(async () => {
    site = await Site.open();
    file = await site.write("serve.toml", '[serve.http]\nprotocol = "http"\nlisten = "127.0.0.1:0"\n');
  });

  after(() => site[Symbol.asyncDispose]());

  /** What a child writes, up to its end; `whenReady` is called once it serves. */
  async function watch(child: ChildProcess, output: Readable, whenReady: () => void): Promise<string> {
    const closed = once(child, "close");
    let text = "";
    let isReady = false;
    output.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (!isReady && text.includes("serve-ready")) {
        isReady = true;
        whenReady();
      }
    });
    assert.deepEqual(await closed, [0, null], text);
    return text;
  }

  it("is JSON, one record a line, where standard error is no terminal", async (t) => {
    const child = start("serve", file);
    t.after(() => child.kill("SIGKILL"));
    const text = await watch(child, child.stderr!, () => child.kill("SIGTERM"));
    const events = text
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { event: string }).event);
    assert.deepEqual(events, ["serve-listening", "serve-ready", "serve-draining", "serve-stopped"]);
  });

  it("is lines for people on a terminal", async (t) => {
    // script(1) gives it one.
    const command = `exec '${process.execPath}' '${MAIN}' serve '${file}'`;
    const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
    t.after(() => child.kill("SIGKILL"));
    // Ctrl-C, as the terminal hands it on.
    const text = await watch(child, child.stdout, () => child.stdin.write("\x03"));
    assert.match(text, /^\[\d\d:\d\d:\d\d\.\d{3}\] .*INFO.*: .*serve-listening: http on 127\.0\.0\.1:\d+/m);
    assert.match(text, /serve-stopped: stopped/);
    assert.doesNotMatch(text, /"event"/);
  });
});
