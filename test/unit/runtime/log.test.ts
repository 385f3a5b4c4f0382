/** The log of a gateway without a logger: what is said before pino is loaded. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);
const MODULE = new URL("../../../src/runtime/log.js", import.meta.url).href;

/** What is on standard error when a program has used a log: the events, and the messages. */
async function linesOf(program: string): Promise<string[]> {
  const source = `import { StandardLog } from ${JSON.stringify(MODULE)}; const log = new StandardLog(); ${program}; process.exit(0);`;
  const { stderr } = await run(process.execPath, ["--input-type=module", "-e", source]);
  const records = stderr.split("\n").filter((line) => line !== "");
  return records.map((line) => {
    const { event, hostId, msg } = JSON.parse(line) as Record<string, string>;
    return `${event} ${hostId} ${msg}`;
  });
}

test("a log keeps what is said before it can write, in order and by its level, and has written it when it says so", async () => {
  const early = `log.write("warn", "one", "a", "first"); log.write("info", "two", "a", "second"); log.write("error", "three", "b", "third")`;
  assert.deepEqual(await linesOf(`${early}; await log.written()`), ["one a first", "three b third"]);
  const debug = `log.setLevel("info"); ${early}; await log.written(); log.write("info", "four", "c", "fourth")`;
  assert.deepEqual(await linesOf(debug), ["one a first", "two a second", "three b third", "four c fourth"]);
});

test("a log has written what was said early when it is closed, and loads by itself", async () => {
  const early = `log.write("warn", "one", "a", "first"); await log.close()`;
  assert.deepEqual(await linesOf(early), ["one a first"]);
  const loadedByItself = `log.write("warn", "one", "a", "first"); await log.loading`;
  assert.deepEqual(await linesOf(loadedByItself), ["one a first"]);
});

test("a log that has nothing to say loads nothing", async () => {
  const loaded = `const { cache } = (await import("node:module")).createRequire(${JSON.stringify(MODULE)})`;
  const tell = `process.stderr.write(JSON.stringify({ event: Object.keys(cache).some((file) => file.includes("/pino/")) }))`;
  assert.deepEqual(await linesOf(`${loaded}; await log.written(); ${tell}`), ["false undefined undefined"]);
  assert.deepEqual(await linesOf(`${loaded}; await log.load(); ${tell}`), ["true undefined undefined"]);
});
