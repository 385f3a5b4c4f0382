/** What the machine and Node can do: the smallest raw clients, alone. Everything else is measured against these. */
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { measure, type Row } from "./kit/rounds.js";

const KIB = 1024;
const options = readOptions();
const rows: Row[] = [];
{
  await using network = await Network.start({ protocol: "smtp", isSmtpSink: true });
  for (const sizeOctets of options.isShort ? [4 * KIB] : [KIB, 4 * KIB, 100 * KIB, 5 * KIB * KIB]) {
    const job = {
      kind: "relay",
      contender: "limit",
      port: network.port,
      protocol: "smtp",
      isTls: false,
      connections: 10,
      callersEach: 2,
      sizeOctets,
      seconds: options.seconds,
    } as const;
    rows.push(
      ...(await measure(`relay ${sizeOctets / KIB} KiB, ${network.sink}`, [{ name: "limit", job }], options.rounds)),
    );
  }
}
for (const roundTripMs of [0, 20]) {
  await using network = await Network.start({ protocol: "smtp", roundTripMs });
  for (const depth of options.isShort ? [50] : [1, 8, 50]) {
    const job = {
      kind: "probe",
      contender: "limit",
      port: network.port,
      connections: 10,
      depth,
      seconds: options.seconds,
    } as const;
    rows.push(...(await measure(`RCPT ${depth} deep, ${roundTripMs} ms`, [{ name: "limit", job }], options.rounds)));
  }
}
report(
  {
    name: "limit",
    title: "The limit: raw clients on 10 connections",
    unit: "req",
    figures: ["perSecond", "cpuMicrosEach", "p50Micros", "p99Micros", "rssOctets"],
    rows: rows.filter(({ cell }) => cell.includes(options.only)),
  },
  options,
);
