/** `npm run chaos:cluster -- --seconds N --seed S`: half of the time with `refuse`, half with `share`; ends with 1 when a promise was broken. */
import { parseArgs } from "node:util";
import { ClusterChaos } from "./chaos.js";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "600" }, seed: { type: "string", default: "1" } },
});
let isBroken = false;
for (const onLoss of ["refuse", "share"] as const) {
  const report = await ClusterChaos.run(Number(values.seed), onLoss, Number(values.seconds) / 2);
  console.log(JSON.stringify(report, undefined, 2));
  isBroken ||= report.broken.length > 0;
}
process.exitCode = isBroken ? 1 : 0;
