/**
 * A gateway in a process of its own, whose memory is nobody else's: asks a well-behaved host and then the one that floods it, and
 * writes what came of it and how much its peak of memory grew meanwhile. Started by flood.test.ts with a configuration.
 */
import { pino } from "pino";
import { type ConfigInput, type RemoteHost, RemoteHosts } from "../../../src/index.js";
import { login, outcomeOf, relayToOne } from "./ground.js";

export interface FloodReport {
  readonly word: string;
  readonly grownOctets: number;
}

const [configuration = "", what = ""] = process.argv.slice(2);

const ASK: Record<string, (host: RemoteHost) => Promise<unknown>> = {
  relay: relayToOne,
  login,
  vrfy: (host) => host.verify("a@y.example"),
};

const hosts = await RemoteHosts.open(JSON.parse(configuration) as ConfigInput, { logger: pino({ level: "silent" }) });
const ask = ASK[what]!;
// Everything that is loaded and compiled once is there before anything is measured.
await ask(hosts.host("calm"));
const before = process.resourceUsage().maxRSS;
const { word } = await outcomeOf(ask(hosts.host("flood")));
const report: FloodReport = { word, grownOctets: (process.resourceUsage().maxRSS - before) * 1024 };
await hosts.close({ drainMs: 0 });
console.log(JSON.stringify(report));
