/**
 * `npm run simulate:cluster -- --seeds N --seed S --gateways G --hosts H --of places|answers|health`: plays seeds and tells of the first
 * that breaks a promise. Without `--of`, places with rates, answers, and hosts' health.
 */
import { parseArgs } from "node:util";
import { AnswersRun } from "./answers-run.js";
import { type ClusterPlan, ClusterRun } from "./cluster-run.js";
import { HealthRun } from "./health-run.js";

/** A simulated cluster of a kind. */
const RUNS = {
  places: (plan: ClusterPlan) => new ClusterRun(plan).play(),
  answers: (plan: ClusterPlan) => new AnswersRun(plan).play(),
  health: (plan: ClusterPlan) => new HealthRun(plan).play(),
};

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    gateways: { type: "string", default: "1000" },
    hosts: { type: "string", default: "100" },
    of: { type: "string", default: "places,answers,health" },
  },
});
const [seeds, first, gateways, hosts] = [values.seeds, values.seed, values.gateways, values.hosts].map(Number) as [
  number,
  number,
  number,
  number,
];
const kinds = values.of.split(",") as (keyof typeof RUNS)[];
const startMs = performance.now();
let calls = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const plan = { seed, gateways, hosts };
  for (const kind of kinds) {
    const outcome = await RUNS[kind](plan);
    calls += outcome.calls;
    if (outcome.broken.length > 0) {
      console.error(`seed ${seed} broke a promise:\n${outcome.broken.join("\n")}\n${JSON.stringify(outcome)}`);
      process.exit(1);
    }
  }
}
const seconds = (performance.now() - startMs) / 1000;
console.log(
  `${seeds} seeds of ${gateways} gateways and ${hosts} hosts kept every promise (${kinds.join(", ")}): ${calls} calls, ${seconds.toFixed(1)} s`,
);
