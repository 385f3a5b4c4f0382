/** The circuit in front of a host that does not answer, and the limit of one that refuses more connections. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Circuit, WorkingLimit } from "../../../workers/pool/circuit.js";

test("attempts that fail together open the circuit once; a later one keeps it open for longer", () => {
  let nowMs = 0;
  const circuit = new Circuit({ now: () => nowMs, after: () => () => {} }, () => 1);
  for (let attempt = 0; attempt < 10; attempt++) {
    circuit.failed();
  }
  assert.equal(circuit.state, "open");
  assert.equal(circuit.waitMs, 1_000);
  nowMs = 1_000;
  assert.equal(circuit.state, "half-open");
  circuit.failed();
  assert.equal(circuit.waitMs, 2_000);
  nowMs = 3_000;
  circuit.connected();
  assert.equal(circuit.state, "closed");
});

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
  for (let asked = 0; asked < 30; asked++) {
    nowMs += 5_000 * Math.sign(limit.connections);
  }
  assert.equal(limit.connections, 20, "and never above concurrency");
});
