/** A share of `npm run simulate:cluster`, for every run of the tests. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClusterRun } from "./cluster-run.js";

describe("a simulated cluster keeps every promise about places", () => {
  for (const { name, seeds, gateways, hosts } of [
    { name: "with a few gateways", seeds: 200, gateways: 4, hosts: 3 },
    { name: "with more gateways than places", seeds: 100, gateways: 7, hosts: 2 },
    { name: "with many gateways", seeds: 4, gateways: 150, hosts: 15 },
  ]) {
    test(name, () => {
      let faults = 0;
      for (let seed = 1; seed <= seeds; seed++) {
        const outcome = new ClusterRun({ seed, gateways, hosts }).play();
        assert.deepEqual(outcome.broken, [], `seed ${seed}`);
        for (const count of Object.values(outcome.faults)) {
          faults += count;
        }
      }
      assert.ok(faults > 3 * seeds, `${faults} faults in ${seeds} seeds`);
    });
  }
});
