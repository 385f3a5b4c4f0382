/** The snippets of docs/rules.md and the example do what they say. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { RuleSet } from "../../../src/rules/rule-set.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const page = readFileSync(join(root, "docs/rules.md"), "utf8");
/** Inside the package, so that its own name can be imported. */
const directory = mkdtempSync(join(root, "dist", "rules-snippets-"));
after(() => rmSync(directory, { recursive: true }));

function snippets(language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map((match) => match[1]!);
}

/** What a program prints, and what its comments say that it prints. */
function run(file: string): string[] {
  return execFileSync(process.execPath, [file], { cwd: root, encoding: "utf8" }).trimEnd().split("\n");
}

describe("docs/rules.md", () => {
  for (const [index, code] of snippets("js").entries()) {
    it(`has a program ${index + 1} that prints what its comments say`, () => {
      const file = join(directory, `${index}.mjs`);
      writeFileSync(file, code);
      const promised = [...code.matchAll(/(?:console\.log.*|^) *\/\/ (.*)$/gm)].map(
        (match) => match[1]!.split(", and ")[0]!,
      );
      assert.deepEqual(run(file), promised);
    });
  }

  it("has TOML that loads", () => {
    const tables = snippets("toml").filter((toml) => !toml.includes("file://"));
    assert.equal(tables.length, 2);
    for (const toml of tables) RuleSet.parse(toml);
  });
});

describe("examples/rules", () => {
  it("accepts, refuses and defers", () => {
    const actions = run(join(root, "examples/rules/rcpt.mjs")).map((line) => line.slice(72).trim().slice(0, 9));
    assert.deepEqual(actions, ["accept", "550 5.1.1", "accept", "550 5.7.1", "550 5.7.1", "accept", "451 4.3.0"]);
  });
});
