/** The README and the pages beside it say what is true. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { HOST_SCHEMA } from "../../src/config/schema.js";

const read = (name: string) => readFile(new URL(`../../../${name}`, import.meta.url), "utf8");

test("the README's embedding example is examples/embed.mjs, in some 20 lines", async () => {
  const [, example] = /```js runnable\n(import \{ RemoteHosts \}[\s\S]*?)```/.exec(await read("README.md")) ?? [];
  assert.equal(example, await read("examples/embed.mjs"));
  assert.ok((example ?? "").trimEnd().split("\n").length <= 22);
});

test("the README names every key of a host", async () => {
  const readme = await read("README.md");
  for (const key of Object.keys(HOST_SCHEMA)) {
    const name = key.slice(key.lastIndexOf(".") + 1);
    assert.ok(
      ["`", "`.", "."].some((before) => readme.includes(`${before}${name}\``)),
      key,
    );
  }
});

test("every dependency has its reason", async () => {
  const { dependencies, devDependencies } = JSON.parse(await read("package.json"));
  const page = await read("docs/dependencies.md");
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    assert.match(page, new RegExp(`(^\\||, ) ?${name.replace("/", "\\/")}[ ,]`, "m"), name);
  }
});
