/** examples/cluster, run as its README says. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const EXAMPLE = fileURLToPath(new URL("../../../examples/cluster/run.mjs", import.meta.url));

test("three gateways share a limit, and two of them the places of the one that is killed", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [EXAMPLE]);
  const rows = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
  const held = (what: string): string[] => {
    const row = rows.find(([first]) => first!.startsWith(what));
    assert.ok(row, `there is no row "${what}" in:\n${stdout}`);
    return row.slice(1).map((cell) => cell.split(" ", 1)[0]!);
  };
  assert.deepEqual(held("all three relay"), ["4", "4", "4", "12"]);
  const [a, b, c, together] = held("B is killed");
  assert.deepEqual([a, b, c, together], ["4", "-", "4", "8"]);
  const after = held("its lease");
  assert.deepEqual([after[1], after[3]], ["-", "12"]);
});
