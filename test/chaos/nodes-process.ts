/**
 * Two services at several nodes, in a process of their own beside the others: one whose recipients have nodes of their own, and one that
 * SRV records name. Their nodes go and come back until the driver has heard enough. Started by `nodes.ts`.
 */
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { RemoteHosts } from "../../src/index.js";
import { makeCertificate } from "../../src/testing/index.js";
import { DnsServer, type Srv } from "../kit/dns-server.js";
import { NodeService } from "./node-service.js";
import { Random } from "./random.js";

process.on("disconnect", () => process.exit());
process.on("uncaughtException", (error) => {
  console.error("the nodes' process:", error);
  process.exit(1);
});

const random = new Random(Number(process.argv[2]));
const certificate = await makeCertificate({ kind: "own-ca" });
const sticky = await NodeService.build(
  { id: "sticky", sticky: true, concurrency: 6, perAddress: 2 },
  random,
  certificate,
);
const service = await NodeService.build(
  { id: "service", sticky: false, concurrency: 4, perAddress: 2 },
  random,
  certificate,
);
await using dns = await DnsServer.listen();
const records: readonly Srv[] = service.ports.map((port, node) => ({
  target: "localhost",
  port,
  priority: node === 3 ? 1 : 0,
  weight: 1 + node,
}));
dns.serve(records, 1);

const address = sticky.ports.map((port, node) => ({
  address: "127.0.0.1",
  port,
  weight: 1 + node,
  backup: node === 3,
}));
const config = {
  runtime: { "dns-servers": [dns.place] },
  remote: {
    sticky: { ...sticky.settings, address },
    service: { ...service.settings, address: "srv:_lmtp._tcp.chaos.example" },
  },
};
const remotes = await RemoteHosts.open(config, { logger: pino({ level: "silent" }) });
await Promise.all([sticky.begin(remotes.host("sticky")), service.begin(remotes.host("service"))]);
process.send?.({ isReady: true });

let isOver = false;
const over = once(process, "message").then(() => {
  isOver = true;
});
const disturbing = [sticky, service].map(disturb);
const naming = changeNames();
await over;
await Promise.all([...disturbing, naming]);
const broken = await Promise.all([sticky.finish(), service.finish()]);
await remotes.close({ drainMs: 0 });
process.send?.({ broken });

async function disturb(each: NodeService): Promise<void> {
  for (let troubles = 0; !isOver || troubles < 3; troubles++) {
    await (troubles % 4 === 2 ? each.outage() : each.disturb());
  }
}

/** DNS says nothing for a while, or names one node less. */
async function changeNames(): Promise<void> {
  while (!isOver) {
    const forMs = random.integer(200, 2_000);
    if (random.chance(0.5)) {
      dns.script = () => [];
    } else {
      const missing = random.integer(0, 2);
      dns.serve(records.toSpliced(missing, 1), 1);
      // Until it is asked for again.
      service.isMissing(missing, forMs + 2_000);
    }
    await pause(forMs);
    dns.serve(records, 1);
    await pause(random.integer(500, 2_000));
  }
}
