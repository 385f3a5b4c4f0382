/** Lookups a second: recipients by depth of pipelining, answers from the cache by callers, passwords over IMAP. */
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { measure, type Row } from "./kit/rounds.js";

const options = readOptions();
const { seconds, rounds, isShort, only } = options;
const rows: Row[] = [];

for (const roundTripMs of [0, 20]) {
  await using network = await Network.start({ protocol: "smtp", roundTripMs });
  for (const depth of isShort ? [50] : [1, 8, 50]) {
    const cell = `RCPT ${depth} deep, ${roundTripMs} ms`;
    if (!cell.includes(only)) {
      continue;
    }
    const job = { kind: "probe", port: network.port, connections: 10, depth, seconds } as const;
    const entries = (["relaypost", "limit"] as const).map((contender) => ({
      name: contender,
      job: { ...job, contender },
    }));
    rows.push(...(await measure(cell, entries, rounds)));
  }
}
{
  await using network = await Network.start({ protocol: "smtp" });
  for (const callers of isShort ? [1, 512] : [1, 8, 64, 512]) {
    const cell = `cached, ${callers} ${callers === 1 ? "caller" : "callers"}`;
    if (!cell.includes(only)) {
      continue;
    }
    const job = { kind: "cached", contender: "relaypost", port: network.port, isTls: false, callers, seconds } as const;
    rows.push(...(await measure(cell, [{ name: "relaypost", job }], rounds)));
  }
}
for (const isTls of [false, true]) {
  const cell = `AUTH over IMAP${isTls ? " TLS" : ""}`;
  if (!cell.includes(only)) {
    continue;
  }
  await using network = await Network.start({ protocol: "imap", isTls });
  const job = { kind: "auth", contender: "relaypost", port: network.port, isTls, callers: 20, seconds } as const;
  rows.push(...(await measure(cell, [{ name: "relaypost", job }], rounds)));
}
report(
  {
    name: "lookup",
    title: "Lookups: 10 connections",
    unit: "lookup",
    figures: ["perSecond", "cpuMicrosEach", "p50Micros", "p99Micros", "rssOctets"],
    rows,
  },
  options,
);
