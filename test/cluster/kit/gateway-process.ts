/** A gateway in a process of its own: opens the configuration that it is sent, and relays as much as it can until it is killed. */
import type { ConfigInput } from "../../../src/config/input.js";
import { type RemoteHost, RemoteHosts } from "../../../src/index.js";
import type { ClusterStats } from "../../../src/stats.js";
import { GatewayLookups, type LookupTally } from "./gateway-lookups.js";

/** What the process is told first. */
export interface GatewayOrder {
  readonly config: ConfigInput;
  /** Relays at a time, to each host. */
  readonly parallel: number;
  /** Hosts that are relayed to; missing: the first one. */
  readonly relayed?: readonly string[];
  /** A host that is asked, and of whom. */
  readonly asked?: { readonly host: string; readonly addresses: readonly string[] };
}

/** What it may be told later: to forget nothing from now on, and to ask of these. */
export interface GatewaySurvey {
  readonly survey: readonly string[];
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
  readonly lookups?: LookupTally | undefined;
  /** Calls of Redis that failed, whatever for: any of them ends the connection. */
  readonly lostCalls: number;
  /** Surveys that are over. */
  readonly surveys: number;
}

const TELL_EVERY_MS = 250;
/** After a refusal at once, a gateway with a queue of its own would wait as well. */
const RETRY_MS = 20;
async function run({ config, parallel, relayed, asked }: GatewayOrder): Promise<void> {
  const remotes = await RemoteHosts.open(config);
  const hosts = (relayed ?? [remotes.ids[0]!]).map((id) => remotes.host(id));
  const lookups = asked === undefined ? undefined : new GatewayLookups(remotes.host(asked.host), asked.addresses);
  void lookups?.run();
  let surveys = 0;
  process.on("message", ({ survey }: GatewaySurvey) => {
    void lookups!.survey(survey).then(() => {
      surveys++;
    });
  });
  let delivered = 0;
  let uncertain = 0;
  const failed: Record<string, number> = {};
  let settled: { line: string; outcome: "delivered" | "uncertain" | "rejected" }[] = [];
  let made = 0;
  const relayForEver = async (host: RemoteHost): Promise<never> => {
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
    for (const host of hosts) {
      void relayForEver(host);
    }
  }
  setInterval(async () => {
    const stats = await remotes.stats();
    const { connections, rate } = stats.hosts[hosts[0]!.id]!;
    const { opening, idle, busy, closing } = connections;
    const held = opening + idle + busy + closing;
    const tally: GatewayTally = {
      delivered,
      failed,
      uncertain,
      held,
      part: rate?.part ?? 1,
      settled,
      lookups: lookups?.tally(),
      lostCalls: lostCallsOf(stats.cluster),
      surveys,
    };
    settled = [];
    process.send!(tally);
  }, TELL_EVERY_MS);
}

function lostCallsOf(cluster: ClusterStats | undefined): number {
  return (cluster?.calls.failed ?? 0) + (cluster?.answers?.failed ?? 0) + (cluster?.health?.failed ?? 0);
}

process.once("message", (order) => void run(order as GatewayOrder));
process.once("disconnect", () => process.exit());
