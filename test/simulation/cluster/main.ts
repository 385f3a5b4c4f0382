/**
 * `npm run simulate:cluster -- --seeds N --seed S --gateways G --hosts H --of places|answers`: plays seeds and tells of the first that
 * breaks a promise. Without `--of`, places with rates, and answers.
 */
import { parseArgs } from "node:util";
import { AnswersRun } from "./answers-run.js";
import { ClusterRun } from "./cluster-run.js";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    gateways: { type: "string", default: "1000" },
    hosts: { type: "string", default: "100" },
    of: { type: "string", default: "places,answers" },
  },
});
const [seeds, first, gateways, hosts] = [values.seeds, values.seed, values.gateways, values.hosts].map(Number) as [
  number,
  number,
  number,
  number,
];
const kinds = values.of.split(",");
const startMs = performance.now();
let calls = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const plan = { seed, gateways, hosts };
  for (const kind of kinds) {
    const outcome = kind === "places" ? new ClusterRun(plan).play() : await new AnswersRun(plan).play();
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
