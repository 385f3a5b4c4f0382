/** A gateway in a process of its own: opens the configuration that it is sent, and relays as much as it can until it is killed. */

import type { ConfigInput } from "../../../src/config/input.js";
import { RemoteHosts } from "../../../src/index.js";

/** What the process is told first. */
export interface GatewayOrder {
  readonly config: ConfigInput;
  /** Relays at a time. */
  readonly parallel: number;
}

/** What it tells, twice a second. */
export interface GatewayTally {
  readonly delivered: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly uncertain: number;
  readonly held: number;
  /** Of a shared rate. */
  readonly part: number;
  /** First lines of the messages that were settled since it told last. */
  readonly settled: readonly { readonly line: string; readonly outcome: "delivered" | "uncertain" | "rejected" }[];
}

const TELL_EVERY_MS = 250;
/** After a refusal at once, a gateway with a queue of its own would wait as well. */
const RETRY_MS = 20;
async function run({ config, parallel }: GatewayOrder): Promise<void> {
  const remotes = await RemoteHosts.open(config);
  const host = remotes.host(remotes.ids[0]!);
  let delivered = 0;
  let uncertain = 0;
  const failed: Record<string, number> = {};
  let settled: { line: string; outcome: "delivered" | "uncertain" | "rejected" }[] = [];
  let made = 0;
  const relayForEver = async (): Promise<never> => {
    for (;;) {
      const line = `Message-ID: <${process.pid}.${made++}@example.org>`;
      try {
        const content = `${line}\r\n\r\nhello\r\n`;
        const { recipients } = await host.relay({ from: "a@example.org", to: "b@example.org" }, content);
        if (recipients[0]!.status === "delivered") {
          delivered++;
          settled.push({ line, outcome: "delivered" });
        } else {
          uncertain++;
          settled.push({ line, outcome: "uncertain" });
        }
      } catch (error) {
        settled.push({ line, outcome: "rejected" });
        const { code } = error as { code: string };
        failed[code] = (failed[code] ?? 0) + 1;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  };
  for (let index = 0; index < parallel; index++) {
    void relayForEver();
  }
  setInterval(async () => {
    const { connections, rate } = (await remotes.stats()).hosts[host.id]!;
    const { opening, idle, busy, closing } = connections;
    const held = opening + idle + busy + closing;
    const tally: GatewayTally = { delivered, failed, uncertain, held, part: rate?.part ?? 1, settled };
    settled = [];
    process.send!(tally);
  }, TELL_EVERY_MS);
}

process.once("message", (order) => void run(order as GatewayOrder));
process.once("disconnect", () => process.exit());
