/** The limit of a host that refuses more connections. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { WorkingLimit } from "../../../workers/pool/working-limit.js";

test("attempts that are refused together lower the working limit once, and it climbs back one by one", () => {
  let nowMs = 1_000;
  const limit = new WorkingLimit({ now: () => nowMs, after: () => () => {} }, 20);
  nowMs = 1_100;
  for (let attempt = 0; attempt < 10; attempt++) {
    limit.crowded(10, 1_000);
  }
  assert.equal(limit.connections, 5);
  limit.crowded(6, 1_101);
  assert.equal(limit.connections, 3, "an attempt that began later is another answer");
  for (const expected of [4, 5]) {
    nowMs += 5_000;
    assert.equal(limit.connections, expected);
  }
  limit.crowded(5, nowMs);
  assert.equal(limit.connections, 3, "also when the attempt began with the climb");
  nowMs += 10 * 60_000;
  assert.equal(limit.connections, 20, "and never above concurrency");
});
