/**
 * The strict host goes down for all gateways at once, hangs, and comes back, while nothing else befalls anybody: one connection of all
 * finds out, and everybody is back in time. Serves chaos.ts.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { GatewayProcess } from "../kit/gateways.js";
import type { StrictHost } from "../kit/strict-host.js";

const CLOSED_MS = 3_000;
const SILENT_MS = 4_000;
/** Until the news has come to all, also on a busy machine: each may have dialled before that. */
const RACE_MS = 1_000;
/**
 * Circuits open for 0.5 to 1 s first, and for twice as long each time: there is time for three attempts, the last of which hangs.
 * One more for a gateway that stood still for a lease.
 */
const MOST_PROBES = 4;

export interface OutageReport {
  /** Connections to the host by the time the news was everywhere, and from then on until it was back. */
  readonly raced: number;
  readonly probes: number;
  readonly broken: readonly string[];
}

/** Resolves when the host is there again. */
export async function loseHost(host: StrictHost, gateways: readonly GatewayProcess[]): Promise<OutageReport> {
  const lost = gateways.map(({ tally }) => tally.lostCalls);
  host.arrivals = 0;
  host.door = "closed";
  host.breakAll();
  await wait(RACE_MS);
  const raced = host.arrivals;
  await wait(CLOSED_MS - RACE_MS);
  host.door = "silent";
  await wait(SILENT_MS);
  const probes = host.arrivals - raced;
  host.door = "open";
  // Until each has told what became of its calls. Who lost Redis found out alone.
  await Promise.all(gateways.map((gateway) => gateway.next()));
  const alone = gateways.filter(({ tally }, at) => tally.lostCalls > lost[at]!).length;
  const most = MOST_PROBES * (1 + alone);
  const broken =
    probes > most
      ? [`${probes} connections were tried to a host that all knew to be down, and not ${most}; ${alone} lost Redis`]
      : [];
  return { raced, probes, broken };
}
