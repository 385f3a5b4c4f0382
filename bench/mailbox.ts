/**
 * Round trips between threads: from the caller through the router to the host's worker and back, beside comlink, one message
 * each, and batches of objects. The library's are lookups that its cache answers: the whole way, arguments checked, but no network.
 */
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { type Entry, measure, type Row } from "./kit/rounds.js";

const options = readOptions();
const { seconds, rounds, isShort, only } = options;
const rows: Row[] = [];
await using network = await Network.start({ protocol: "smtp" });
for (const callers of isShort ? [512] : [1, 8, 64, 512]) {
  const cell = `${callers} ${callers === 1 ? "caller" : "callers"}`;
  if (!cell.includes(only)) {
    continue;
  }
  const entries: Entry[] = [
    {
      name: "relaypost",
      job: { kind: "cached", contender: "relaypost", port: network.port, isTls: false, callers, seconds },
    },
    ...(["batches", "postMessage", "comlink"] as const).map((contender) => ({
      name: contender,
      job: { kind: "thread", contender, callers, seconds } as const,
    })),
  ];
  rows.push(...(await measure(cell, entries, rounds)));
}
report(
  {
    name: "mailbox",
    title: "Round trips to a worker thread",
    unit: "trip",
    figures: ["perSecond", "cpuMicrosEach", "p50Micros", "p99Micros", "rssOctets"],
    rows,
  },
  options,
);
