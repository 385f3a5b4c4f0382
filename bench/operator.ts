/** What watching costs: the CPU time of the gateway's thread while nobody looks, while the model does, and with people before the page. */
import { Child } from "./kit/child.js";
import type { Looking, OperatorJob, OperatorWindow } from "./kit/job.js";
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { median, type Row } from "./kit/rounds.js";

const options = readOptions(10);
const hosts = options.isShort ? 10 : 100;
const perSecond = options.isShort ? 1_000 : 10_000;
const viewers = 3;
const NAMES: Readonly<Record<Looking, string>> = {
  nobody: "nobody looks",
  model: "the model",
  page: `the page, ${viewers} viewers`,
};

await using network = await Network.start({ protocol: "smtp" });
await using child = Child.start("contender");
const windows = await child.ask<OperatorWindow[]>({
  kind: "operator",
  contender: "relaypost",
  port: network.port,
  hosts,
  threads: 16,
  perSecond,
  viewers,
  windows: options.rounds,
  seconds: options.seconds,
} satisfies OperatorJob);
const cell = `${hosts} hosts, ${perSecond} requests/s`;
const shares = (looking: Looking) =>
  windows
    .filter((window) => window.looking === looking)
    .map(({ threadMicros, seconds }) => (threadMicros / seconds / 1e6) * 100);
// Of each round: all three met the same machine.
const costs = (looking: Looking) => shares(looking).map((share, round) => share - shares("nobody")[round]!);
const percentOfThread = {
  nobody: shares("nobody"),
  modelCosts: costs("model"),
  pageCosts: costs("page"),
};
report(
  {
    name: "operator",
    title: "What watching costs: CPU of the gateway's thread, cached lookups of all hosts",
    unit: "lookup",
    figures: ["perSecond", "cpuMicrosEach"],
    rows: (["nobody", "model", "page"] as const).map((looking) => toRow(looking)),
    details: { percentOfThread },
  },
  options,
);
console.log(`\n${cell}: of the gateway's thread, by the median of ${options.rounds} rounds`);
console.log(`  the requests         ${percent(percentOfThread.nobody)}`);
console.log(`  and the model        ${percent(percentOfThread.modelCosts)} more`);
console.log(`  and the page with it ${percent(percentOfThread.pageCosts)} more`);

function toRow(looking: Looking): Row {
  const some = windows.filter((window) => window.looking === looking);
  const rounds = some.map(({ done, seconds }) => done / seconds);
  return {
    cell,
    contender: NAMES[looking],
    perSecond: median(rounds),
    cpuMicrosEach: median(some.map(({ threadMicros, done }) => threadMicros / done)),
    p50Micros: Number.NaN,
    p99Micros: Number.NaN,
    rssOctets: Number.NaN,
    startMs: Number.NaN,
    failed: some.reduce((sum, { failed }) => sum + failed, 0),
    rounds,
  };
}

function percent(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(2)} % (${least.toFixed(2)} to ${most.toFixed(2)})`;
}
