import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { CLUSTER_SCHEMA } from "../../../src/config/cluster-schema.js";
import type { KeySpec, Schema } from "../../../src/config/key-spec.js";
import { parseSettings } from "../../../src/config/load.js";
import { RUNTIME_SCHEMA } from "../../../src/config/runtime-schema.js";
import { HOST_SCHEMA } from "../../../src/config/schema.js";
import { TENANT_SCHEMA } from "../../../src/config/tenants.js";

const file = new URL("../../../../docs/configuration.md", import.meta.url);

/** The table of a schema's keys as the docs hold it. */
function tableOf(schema: Schema): string {
  const rows = Object.entries(schema).map(([key, spec]) => `| \`${key}\` | ${defaultOf(spec)} | ${spec.meaning} |`);
  return ["| key | default | meaning |", "|---|---|---|", ...rows].join("\n");
}

function defaultOf({ isRequired, fallback, fallbackName }: KeySpec): string {
  if (isRequired) {
    return "*required*";
  }
  if (fallbackName !== undefined) {
    return fallbackName;
  }
  return fallback === undefined ? "none" : `\`${JSON.stringify(fallback)}\``;
}

/** Between the marks of a table, its text. */
function sectionOf(docs: string, name: string): { start: number; end: number } {
  const begin = `<!-- keys of ${name}: begin -->\n`;
  const start = docs.indexOf(begin) + begin.length;
  const end = docs.indexOf(`<!-- keys of ${name}: end -->`);
  assert.ok(start >= begin.length && end >= start, `docs/configuration.md has no marks for ${name}`);
  return { start, end };
}

describe("docs/configuration.md", () => {
  // UPDATE_DOCS=1 writes the tables instead of comparing them.
  for (const [name, schema] of [
    ["remote.<id>", HOST_SCHEMA],
    ["runtime", RUNTIME_SCHEMA],
    ["cluster", CLUSTER_SCHEMA],
    ["tenant.<name>", TENANT_SCHEMA],
  ] as const) {
    it(`says of ${name} what the schema says`, async () => {
      let docs = await readFile(file, "utf8");
      const { start, end } = sectionOf(docs, name);
      const expected = `\n${tableOf(schema)}\n\n`;
      if (process.env.UPDATE_DOCS === "1") {
        docs = docs.slice(0, start) + expected + docs.slice(end);
        await writeFile(file, docs);
      } else {
        assert.equal(docs.slice(start, end), expected);
      }
    });
  }

  it("has an example that loads", async () => {
    const example = /```toml\n([^`]*)```/.exec(await readFile(file, "utf8"))?.[1] ?? "";
    assert.deepEqual([...(await parseSettings(example)).hosts.keys()], ["lmtp"]);
  });
});
