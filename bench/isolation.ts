/**
 * One worker thread of many is killed: how long the messages of all other hosts take, beside times in which nobody is killed.
 * How far the calm times lie apart from each other is the yardstick: what is smaller than that is noise.
 */
import { Child } from "./kit/child.js";
import type { IsolationJob, IsolationWindow } from "./kit/job.js";
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { median, type Row } from "./kit/rounds.js";

// A thread's start keeps a core busy for 50 to 80 ms: a window must be so long that this is less than a hundredth of it.
const options = readOptions(20);
const hosts = options.isShort ? 5 : 50;
const others = `the other ${hosts - 1} hosts`;
const CALM = "nobody is killed";
const KILLED = "one is killed";
const PARTS = {
  [`${others}, all the time`]: (window: IsolationWindow) => window.tookMicros,
  [`${others}, the second behind the kill`]: (window: IsolationWindow) => window.tookMicrosBehindMiddle,
};

await using network = await Network.start({ protocol: "smtp" });
await using child = Child.start("contender");
const { seconds } = options;
const windows = await child.ask<IsolationWindow[]>({
  kind: "isolation",
  contender: "relaypost",
  port: network.port,
  hosts,
  windows: options.rounds * 2,
  seconds,
} satisfies IsolationJob);
const calm = windows.filter(({ isKilled }) => !isKilled);
const killed = windows.filter(({ isKilled }) => isKilled);
const p99s = Object.entries(PARTS).map(([part, tookOf]) => {
  const each = (some: readonly IsolationWindow[]) => some.map((window) => quantile(tookOf(window), 0.99));
  return { part, calm: each(calm), killed: each(killed) };
});
report(
  {
    name: "isolation",
    title: "One of many workers is killed: what the hosts of the others feel",
    unit: "msg",
    figures: ["p99Micros", "p50Micros", "perSecond", "cpuMicrosEach"],
    rows: Object.entries(PARTS).flatMap(([part, tookOf]) => [
      toRow(part, CALM, calm, tookOf),
      toRow(part, KILLED, killed, tookOf),
    ]),
    details: { p99Micros: p99s },
  },
  options,
);
for (const { part, ...each } of p99s) {
  const middle = median(each.calm);
  const inMs = (values: readonly number[]) => values.map((value) => (value / 1000).toFixed(1)).join(", ");
  const [least, most] = [Math.min(...each.calm), Math.max(...each.calm)].map((value) => percent(value / middle - 1));
  console.log(`\n${part}: their p99 moves by ${percent(median(each.killed) / middle - 1)}`);
  console.log(`  ${CALM}: ${inMs(each.calm)} ms, which is between ${least} and ${most} of their median`);
  console.log(`  ${KILLED}: ${inMs(each.killed)} ms`);
}

function toRow(
  cell: string,
  contender: string,
  some: readonly IsolationWindow[],
  tookOf: (window: IsolationWindow) => Float64Array,
): Row {
  const medianOf = (value: (window: IsolationWindow) => number) => median(some.map(value));
  const rounds = some.map(({ tookMicros, seconds }) => tookMicros.length / seconds);
  return {
    cell,
    contender,
    perSecond: median(rounds),
    cpuMicrosEach: medianOf(({ cpuMicros, tookMicros }) => cpuMicros / tookMicros.length),
    p50Micros: medianOf((window) => quantile(tookOf(window), 0.5)),
    p99Micros: medianOf((window) => quantile(tookOf(window), 0.99)),
    rssOctets: Number.NaN,
    startMs: Number.NaN,
    failed: some.reduce((sum, { failed }) => sum + failed, 0),
    rounds,
  };
}

function quantile(values: Float64Array, fraction: number): number {
  return values.toSorted()[Math.floor(values.length * fraction)] ?? Number.NaN;
}

function percent(ratio: number): string {
  return `${ratio > 0 ? "+" : ""}${(ratio * 100).toFixed(0)} %`;
}
