/** docs/reliability.md and SECURITY.md name a test for each promise; this holds them to their word. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";

const ROOT = new URL("../../../", import.meta.url);

for (const [page, least] of [
  ["docs/reliability.md", 20],
  ["SECURITY.md", 5],
] as const) {
  describe(page, () => {
    const [, table = ""] = readFileSync(new URL(page, ROOT), "utf8").split("| promise | held by |\n|---|---|\n");
    const rows = table.slice(0, table.indexOf("\n\n")).split("\n");

    test("holds promises, each with a test", () => {
      assert.ok(rows.length >= least);
      for (const row of rows) {
        assert.match(row, /^\| .+ \| .*`test\/[^`]+`: "[^"]+"/);
      }
    });

    for (const [, file, name] of rows.join("\n").matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)) {
      test(`${file} has "${name}"`, () => {
        const url = new URL(file!, ROOT);
        assert.ok(existsSync(url), `there is no ${file}`);
        assert.ok(readFileSync(url, "utf8").includes(`"${name}"`), `${file} has no test of that name`);
      });
    }
  });
}
