/** A share of `npm run simulate:cluster`, for every run of the tests. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AnswersRun } from "./answers-run.js";
import { ClusterRun } from "./cluster-run.js";
import { HealthRun } from "./health-run.js";

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

describe("a simulated cluster keeps every promise about places and rates", () => {
  for (const { name, seeds, gateways, hosts } of [
    { name: "with a few gateways", seeds: 120, gateways: 4, hosts: 3 },
    { name: "with more gateways than places", seeds: 60, gateways: 7, hosts: 2 },
    { name: "with many gateways", seeds: 3, gateways: 150, hosts: 15 },
  ]) {
    test(name, () => {
      let faults = 0;
      for (let seed = 1; seed <= seeds; seed++) {
        const outcome = new ClusterRun({ seed, gateways, hosts }).play();
        assert.deepEqual(outcome.broken, [], `seed ${seed}`);
        faults += total(outcome.faults);
      }
      assert.ok(faults > 3 * seeds, `${faults} faults in ${seeds} seeds`);
    });
  }
});

describe("a simulated cluster keeps every promise about shared answers", () => {
  for (const { name, seeds, gateways, hosts } of [
    { name: "with a few gateways", seeds: 40, gateways: 4, hosts: 3 },
    { name: "with many gateways", seeds: 1, gateways: 150, hosts: 15 },
  ]) {
    test(name, async () => {
      let faults = 0;
      let shared = 0;
      let forgets = 0;
      for (let seed = 1; seed <= seeds; seed++) {
        const outcome = await new AnswersRun({ seed, gateways, hosts }).play();
        assert.deepEqual(outcome.broken, [], `seed ${seed}`);
        faults += total(outcome.faults);
        shared += outcome.sources.cluster ?? 0;
        forgets += outcome.forgets;
      }
      assert.ok(faults > 3 * seeds && forgets > 5 * seeds, `${faults} faults and ${forgets} forgets in ${seeds} seeds`);
      assert.ok(shared > 20 * seeds, `only ${shared} answers were shared in ${seeds} seeds`);
    });
  }
});

describe("a simulated cluster keeps every promise about hosts' health", () => {
  for (const { name, seeds, gateways, hosts } of [
    { name: "with a few gateways", seeds: 40, gateways: 5, hosts: 3 },
    { name: "with many gateways", seeds: 1, gateways: 150, hosts: 15 },
  ]) {
    test(name, async () => {
      const checks: Record<string, number> = {};
      let faults = 0;
      for (let seed = 1; seed <= seeds; seed++) {
        const outcome = await new HealthRun({ seed, gateways, hosts }).play();
        assert.deepEqual(outcome.broken, [], `seed ${seed}`);
        faults += total(outcome.faults);
        for (const [promise, count] of Object.entries(outcome.checks)) {
          checks[promise] = (checks[promise] ?? 0) + count;
        }
      }
      assert.ok(faults > 3 * seeds, `${faults} faults in ${seeds} seeds`);
      // In one seed some of them may not be put to the test at all.
      const { told, probes, crowded, served } = checks;
      const counts = seeds === 1 ? [told, probes, crowded, served] : Object.values(checks);
      assert.ok(Math.min(...counts.map((count) => count!)) > seeds, JSON.stringify(checks));
    });
  }
});
