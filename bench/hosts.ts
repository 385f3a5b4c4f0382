/** Many remote hosts: how long they take to start, how much memory, and what they do when all are busy. */
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { measure, type Row } from "./kit/rounds.js";

const options = readOptions();
const rows: Row[] = [];
await using network = await Network.start({ protocol: "smtp" });
const sizes = options.isShort
  ? [[10, 4]]
  : [
      [10, 10],
      [100, 16],
      [100, 64],
      [200, 200],
      [1000, 16],
      [1000, 64],
    ];
for (const [hosts, threads] of sizes as [number, number][]) {
  const cell = `${hosts} hosts, ${threads} threads`;
  if (!cell.includes(options.only)) {
    continue;
  }
  const job = {
    kind: "hosts",
    contender: "relaypost",
    port: network.port,
    hosts,
    threads,
    seconds: options.seconds,
  } as const;
  rows.push(...(await measure(cell, [{ name: "relaypost", job }], options.rounds)));
}
report(
  {
    name: "hosts",
    title: "Many hosts: 4 KiB messages, one connection a host, all busy",
    unit: "msg",
    figures: ["perSecond", "cpuMicrosEach", "p50Micros", "p99Micros", "rssOctets", "startMs"],
    rows,
  },
  options,
);
