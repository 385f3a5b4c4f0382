/**
 * `npm run chaos`: the library with its worker threads on real sockets under load, while workers are killed, servers reset, stall,
 * refuse and restart, and configurations are reloaded. Fails when a promise of docs/reliability.md is broken.
 */
import { parseArgs } from "node:util";
import { Chaos } from "./chaos.js";
import { describeReport } from "./report.js";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "600" },
    seed: { type: "string" },
    rate: { type: "string", default: "500" },
    json: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const perSecond = Number(values.rate);
if (!(seconds >= 20) || !Number.isSafeInteger(seed) || !(perSecond > 0)) {
  console.error("usage: npm run chaos -- [--seconds N (20 or more)] [--seed S] [--rate N] [--json] [--verbose]");
  process.exit(2);
}

const report = await Chaos.run({ seconds, seed, perSecond, isVerbose: values.verbose });
console.log(values.json ? JSON.stringify(report, null, 2) : describeReport(report));
process.exitCode = Object.keys(report.broken).length > 0 ? 1 : 0;
// After close() nothing keeps a process alive; a timer that does not either tells whether that is so.
setTimeout(() => {
  console.error("BROKEN: the process did not end by itself after close()");
  process.exit(1);
}, 10_000).unref();
