/** The log's events are a promise: those in the code and those in docs/observability.md are the same, levels too. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** A call that writes a record with an event of its own: `log("warn", "host-blocked", …)`, `notice("alert", …)`, `throttle.warn("serve-…", …)`. */
const CALL =
  /\b(?:log|write|notice|logEach|warn)\(\s*(?:"(debug|info|warn|error)",\s*)?"(?!(?:debug|info|warn|error)")([a-z]+(?:-[a-z]+)*)"/g;

test("docs/observability.md lists the events of the code", () => {
  const found = new Map<string, string>();
  for (const folder of ["src", "workers"]) {
    for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })) {
      // The demo and the testing servers write no log.
      if (!name.endsWith(".ts") || name.startsWith("cli/") || name.startsWith("testing/")) {
        continue;
      }
      const source = readFileSync(join(ROOT, folder, name), "utf8");
      for (const [, level = "warn", event] of source.matchAll(CALL)) {
        found.set(event!, level);
      }
    }
  }
  const docs = readFileSync(join(ROOT, "docs/observability.md"), "utf8");
  const table = /<!-- events: begin -->([\s\S]*)<!-- events: end -->/.exec(docs)?.[1] ?? "";
  const listed = [...table.matchAll(/^\| `([a-z-]+)` \| (\w+) \|/gm)].map(([, event, level]) => `${event} ${level}`);
  assert.deepEqual([...found].map(([event, level]) => `${event} ${level}`).sort(), listed);
});
