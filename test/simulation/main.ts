/**
 * `npm run simulate -- [--seeds N] [--seed S] [--trace]`: runs N seeds from S on (default 10,000 from 1) and tells which break a
 * promise; with `--trace` it shows what happened in run S.
 */
import { parseArgs } from "node:util";
import { simulate } from "./simulate.js";

const MOST_SHOWN = 20;

const { values } = parseArgs({
  options: { seeds: { type: "string" }, seed: { type: "string" }, trace: { type: "boolean", default: false } },
});
const first = Number(values.seed ?? 1);
const count = Number(values.seeds ?? (values.trace || values.seed !== undefined ? 1 : 10_000));
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || first < 0 || count < 1) {
  console.error("usage: npm run simulate -- [--seeds N] [--seed S] [--trace]");
  process.exit(2);
}

const total = new Map<string, number>();
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  const run = await simulate(seed);
  for (const [what, times] of Object.entries(run.tally)) {
    total.set(what, (total.get(what) ?? 0) + times);
  }
  if (values.trace) {
    console.log(run.trace);
  }
  if (run.violations.length === 0) {
    continue;
  }
  failed++;
  if (failed <= MOST_SHOWN) {
    console.log(`seed ${seed}:\n  ${run.violations.slice(0, 5).join("\n  ")}`);
  }
}
for (const [what, times] of [...total].sort()) {
  console.log(`${String(times).padStart(9)}  ${what}`);
}
console.log(
  `${count} seeds, ${failed} broke a promise${failed > 0 ? "; see one with: npm run simulate -- --trace --seed S" : ""}`,
);
process.exitCode = failed > 0 ? 1 : 0;
