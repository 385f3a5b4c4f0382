/** The TOML of docs/rules.md loads and the example does what it says. The programs of the page are run by test/wire/documentation.test.ts. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { RuleSet } from "../../../src/rules/rule-set.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const page = readFileSync(join(root, "docs/rules.md"), "utf8");

function snippets(language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map((match) => match[1]!);
}

/** What a program prints. */
function run(file: string): string[] {
  return execFileSync(process.execPath, [file], { cwd: root, encoding: "utf8" }).trimEnd().split("\n");
}

describe("docs/rules.md", () => {
  it("has TOML that loads", () => {
    const tables = snippets("toml").filter((toml) => !toml.includes("file://"));
    assert.equal(tables.length, 2);
    for (const toml of tables) {
      RuleSet.parse(toml);
    }
  });
});

describe("examples/rules", () => {
  it("accepts, refuses and defers", () => {
    const actions = run(join(root, "examples/rules/rcpt.mjs")).map((line) => line.slice(72).trim().slice(0, 9));
    assert.deepEqual(actions, ["accept", "550 5.1.1", "accept", "550 5.7.1", "550 5.7.1", "accept", "451 4.3.0"]);
  });
});
