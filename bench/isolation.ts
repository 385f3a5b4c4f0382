/** One worker thread of many is killed, once or again and again: how long the messages of all other hosts take, beside a run in which nobody is killed. */
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { measure, type Row } from "./kit/rounds.js";

const options = readOptions();
await using network = await Network.start({ protocol: "smtp" });
const hosts = options.isShort ? 5 : 50;
const job = { kind: "isolation", contender: "relaypost", port: network.port, hosts, seconds: options.seconds } as const;
const rows: Row[] = await measure(
  `${hosts} hosts, all but the first`,
  [
    { name: "nobody is killed", job: { ...job, killsPerSecond: 0 } },
    // At three quarters of the measured time, and then not again within it.
    { name: "the first is killed once", job: { ...job, killsPerSecond: 1 / (options.seconds * 0.75) } },
    { name: "the first is killed once a second", job: { ...job, killsPerSecond: 1 } },
  ],
  options.rounds,
);
report(
  {
    name: "isolation",
    title: "One of many workers is killed: what the hosts of the others feel",
    unit: "msg",
    figures: ["perSecond", "p50Micros", "p99Micros", "cpuMicrosEach"],
    rows,
  },
  options,
);
const [calm, ...others] = rows;
for (const killed of others) {
  const moved = (before: number, after: number) => `${((after / before - 1) * 100).toFixed(1)} %`;
  console.log(
    `\n${killed.contender}: the others' p99 moves by ${moved(calm!.p99Micros, killed.p99Micros)}, their p50 by ${moved(calm!.p50Micros, killed.p50Micros)}`,
  );
}
