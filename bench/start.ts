/** What comes before and behind the work: a process's start until its first message is delivered, hosts that are only opened, connections that rest. */
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { measure, type Row } from "./kit/rounds.js";

const options = readOptions();
const rows: Row[] = [];
await using network = await Network.start({ protocol: "smtp" });
const { port } = network;

const STARTS = "start to the first message";
if (STARTS.includes(options.only)) {
  const entries = (["relaypost", "nodemailer", "limit"] as const).map((contender) => ({
    name: contender,
    job: { kind: "start", contender, port } as const,
  }));
  rows.push(...(await measure(STARTS, entries, options.rounds)));
}
const OPENED = options.isShort ? "10 hosts opened" : "1,000 hosts opened";
if (OPENED.includes(options.only)) {
  const hosts = options.isShort ? 10 : 1000;
  const job = { kind: "open", contender: "relaypost", hosts } as const;
  rows.push(...(await measure(OPENED, [{ name: "relaypost", job }], options.rounds)));
}
report(
  {
    name: "start",
    title: "Starts: until the first message is delivered, and until many hosts are open",
    unit: "start",
    figures: ["startMs", "cpuMicrosEach", "rssOctets"],
    rows,
  },
  options,
);

const IDLE = "10 hosts, 10 connections each";
if (IDLE.includes(options.only) && !options.isShort) {
  const { seconds } = options;
  const entries = (["relaypost", "nodemailer"] as const).map((contender) => ({
    name: contender,
    job: { kind: "idle", contender, port, hosts: 10, connections: 10, seconds } as const,
  }));
  const idle = await measure(IDLE, entries, options.rounds);
  report(
    {
      name: "idle",
      title: "Rest: CPU time of each of the 20 s behind the last message (p99: the worst of them), and memory",
      unit: "second",
      figures: ["cpuMicrosEach", "p50Micros", "p99Micros", "rssOctets"],
      rows: idle,
    },
    options,
  );
}
