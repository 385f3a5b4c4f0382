import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";

const LIBRARY = new URL("../../lib/", import.meta.url);
const WORKER = new URL("../../workers/host-worker.js", import.meta.url);

test("no bundle has a character that takes V8 two octets for each of all its others, once more in each thread", async () => {
  const names = (await readdir(LIBRARY)).filter((name) => name.endsWith(".js"));
  assert.ok(names.length > 0);
  for (const url of [WORKER, ...names.map((name) => new URL(name, LIBRARY))]) {
    // Strings are escaped by the bundler. The comments of a class's members are kept as they are.
    const wide = /.*[^\0-\xff].*/.exec(await readFile(url, "utf8"));
    assert.equal(wide?.[0], undefined, url.pathname);
  }
});
