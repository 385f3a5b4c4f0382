/** One worker thread of many is killed again and again: how long the messages of all other hosts take, beside a run in which nobody is killed. */
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
const [calm, killed] = rows;
if (calm !== undefined && killed !== undefined) {
  const moved = (killed.p99Micros / calm.p99Micros - 1) * 100;
  console.log(
    `\nthe others' p99 moves by ${moved.toFixed(1)} %, their p50 by ${((killed.p50Micros / calm.p50Micros - 1) * 100).toFixed(1)} %`,
  );
}
