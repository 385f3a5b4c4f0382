/** The circuit in front of a host that does not answer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Circuit } from "../../../workers/pool/circuit.js";

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

test("a failure that opens nothing does not prolong what others say", () => {
  let nowMs = 0;
  const circuit = new Circuit({ now: () => nowMs, after: () => () => {} }, () => 1);
  circuit.peers = { opened() {}, closed() {}, wish() {}, pass() {} };
  circuit.failed();
  nowMs = 100;
  // What another gateway alone said is believed no longer: it is somebody's turn to find out, and nothing is refused.
  circuit.toldDown(0, 4);
  assert.equal(circuit.state, "awaiting");
  assert.equal(circuit.waitMs, 0);
});
