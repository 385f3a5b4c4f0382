/** One message of 100 MiB as a stream: how fast, and how far the memory of the process grows meanwhile. */
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { measure } from "./kit/rounds.js";

const options = readOptions();
const sizeOctets = (options.isShort ? 10 : 100) * 1024 * 1024;
await using network = await Network.start({ protocol: "smtp", isSmtpSink: true });
const entries = (["relaypost", "limit"] as const).map((contender) => ({
  name: contender,
  job: { kind: "stream", contender, port: network.port, sizeOctets } as const,
}));
const rows = await measure(`${sizeOctets / 1024 / 1024} MiB, ${network.sink}`, entries, options.rounds);
report(
  {
    name: "stream",
    title: "One large message: RSS is the growth",
    unit: "msg",
    figures: ["megabytesPerSecond", "perSecond", "cpuMicrosEach", "rssOctets"],
    octetsOf: () => sizeOctets,
    rows,
  },
  options,
);
