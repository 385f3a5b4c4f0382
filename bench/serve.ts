/** The daemon's answers a second, from its cache, by clients: each has one connection and asks one question at a time. */
import { Child } from "./kit/child.js";
import type { DaemonOptions } from "./kit/daemon-process.js";
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { measure, type Row } from "./kit/rounds.js";

const options = readOptions();
const rows: Row[] = [];
await using network = await Network.start({ protocol: "smtp" });
await using daemon = Child.start("daemon");
const socket = await daemon.ask<string>({ port: network.port } satisfies DaemonOptions);
for (const clients of options.isShort ? [10] : [1, 10, 100]) {
  const cell = `socketmap, ${clients} ${clients === 1 ? "client" : "clients"}`;
  if (!cell.includes(options.only)) {
    continue;
  }
  const job = { kind: "socketmap", contender: "relaypost", socket, clients, seconds: options.seconds } as const;
  rows.push(...(await measure(cell, [{ name: "relaypost", job }], options.rounds)));
}
report(
  {
    name: "serve",
    title: "relaypost serve: cached answers by socketmap; CPU and memory are the clients'",
    unit: "lookup",
    figures: ["perSecond", "cpuMicrosEach", "p50Micros", "p99Micros"],
    rows,
  },
  options,
);
