/**
 * The causes for which requests wait although the host would take them: a lost Redis, a rate that we set ourselves, a place of the
 * cluster. A part of the table in causes.ts.
 */
import type { RateSettings } from "../config/settings.js";
import type { ClusterStats, PlaceStats, RateStats } from "../stats.js";
import type { CauseEntry, Sentences } from "./cause-entry.js";
import type { Evidence } from "./evidence.js";
import { clause, counted, rate, span } from "./words.js";

/** A shorter wait in the queue is part of being used well. */
const LONG_WAIT_MS = 1_000;

type ClusterLoss = NonNullable<ClusterStats["loss"]>;

function waitsLong({ stats: { oldestQueuedMs } }: Evidence): boolean {
  return oldestQueuedMs >= LONG_WAIT_MS;
}

/** `12 requests wait, the oldest one for 3 s`. */
function waiting({ stats: { queued, oldestQueuedMs } }: Evidence): string {
  return `${counted(queued, "request")} ${queued === 1 ? "waits" : "wait"}, the oldest one for ${span(oldestQueuedMs)}`;
}

/** The places of the cluster, where fewer are granted than could be used. */
function scarcePlaces({ stats: { places } }: Evidence): PlaceStats | undefined {
  return places !== undefined && places.wanted > places.granted ? places : undefined;
}

/** The rate that is set, where requests wait for it. */
function usedUpRate({ stats: { rate: limit } }: Evidence): RateStats | undefined {
  return limit !== undefined && limit.waiting > 0 ? limit : undefined;
}

/** `undefined`: it shares nothing, or Redis answers. */
function lossFor({ settings, cluster }: Evidence): ClusterLoss | undefined {
  return settings.cluster === undefined ? undefined : cluster?.loss;
}

/** Redis is lost and `on-loss` is "refuse": what was granted has come to its end. */
function isRefused({ stats: { places, rate: limit } }: Evidence, { onLoss }: ClusterLoss): boolean {
  return onLoss === "refuse" && (places?.basis === "refused" || limit?.part === 0);
}

function lostRedis(
  severity: CauseEntry["severity"],
  isIt: (evidence: Evidence, loss: ClusterLoss) => boolean,
): CauseEntry {
  return {
    cause: "cluster-lost",
    severity,
    explain(evidence): Sentences | undefined {
      const loss = lossFor(evidence);
      if (loss === undefined || !isIt(evidence, loss)) {
        return undefined;
      }
      const { nowMs, stats, settings } = evidence;
      const queue = stats.queued === 0 ? "" : `; ${waiting(evidence)}`;
      return {
        what: `Redis does not answer this gateway, which shares ${settings.id} with others over it.`,
        why: `It was lost ${span(nowMs - loss.since)} ago, ${counted(loss.failedCalls, "call")} failed since, the last one of: ${clause(loss.reason)}${queue}.`,
        now: withoutRedis(evidence, loss),
      };
    },
  };
}

/** What holds until Redis answers again. */
function withoutRedis(evidence: Evidence, loss: ClusterLoss): string {
  const { stats } = evidence;
  const { places } = stats;
  const option = `cluster.on-loss = "${loss.onLoss}"`;
  if (isRefused(evidence, loss)) {
    return `Requests that nothing was granted for are refused with HOST_UNAVAILABLE until Redis answers (${option}).`;
  }
  if (places !== undefined) {
    const granted = counted(places.granted, "connection");
    return places.basis === "lease"
      ? `It keeps the ${granted} of its lease until that ends; then ${option} holds.`
      : `It goes on with ${granted} until Redis answers (${option}).`;
  }
  if (stats.rate?.part !== undefined) {
    return `It goes on with ${rate(stats.rate.perSecond)} requests a second until Redis answers (${option}).`;
  }
  return "It asks the host itself for what other gateways may know, until Redis answers.";
}

/** This gateway's part of the cluster's rate, where that is what bounds it: the lower one, where the host has a rate of its own too. */
function boundingPart({ perSecond, part }: RateStats, own: RateSettings | undefined): number | undefined {
  return own !== undefined && 1000 / own.intervalMs <= perSecond ? undefined : part;
}

/** `this gateway has 2 places and could use 8; 3 gateways hold 6 of 6`. */
function placesOf({ granted, wanted, gateways, used, total }: PlaceStats): string {
  const others = `${counted(gateways, "gateway")} ${gateways === 1 ? "holds" : "hold"} ${used} of ${total}`;
  return `this gateway has ${counted(granted, "place")} and could use ${wanted}; ${others}`;
}

/** Redis is lost, and nothing may begin without it. */
export const refusedWithoutRedis: CauseEntry = lostRedis("down", isRefused);

/** In the order in which they are asked. */
export const waitingCauses: readonly CauseEntry[] = [
  lostRedis(
    "degraded",
    (evidence) => waitsLong(evidence) && (scarcePlaces(evidence) ?? usedUpRate(evidence)) !== undefined,
  ),
  {
    cause: "rate-limited",
    severity: "degraded",
    explain(evidence): Sentences | undefined {
      const { settings } = evidence;
      const limit = usedUpRate(evidence);
      if (limit === undefined || !waitsLong(evidence)) {
        return undefined;
      }
      const part = boundingPart(limit, settings.limits.rate);
      const [key, share] =
        part === undefined
          ? ["limits.rate", ""]
          : ["cluster.rate", `, which is ${Math.round(part * 100)} % of the cluster's rate`];
      return {
        what: `Requests to ${settings.id} wait for the rate that is set for it (${key}).`,
        why: `${waiting(evidence)}; at most ${rate(limit.perSecond)} a second may begin${share}, and ${counted(limit.delayed, "request")} had to wait so far.`,
        now: `They begin at that rate, lookups before messages; past ${settings.limits.queue.toLocaleString("en-US")} waiting requests (limits.queue) new ones are refused with MAILBOX_FULL.`,
      };
    },
  },
  {
    cause: "waiting-for-place",
    severity: "degraded",
    explain(evidence): Sentences | undefined {
      const { settings } = evidence;
      const places = scarcePlaces(evidence);
      if (places === undefined || !waitsLong(evidence)) {
        return undefined;
      }
      return {
        what: `Requests to ${settings.id} wait for a place of the cluster: all gateways together may have ${counted(places.total, "connection")} (cluster.concurrency).`,
        why: `${waiting(evidence)}; ${placesOf(places)}.`,
        now: "It works with the places that it has, and asks Redis for more several times in each lease.",
      };
    },
  },
];

/** Redis is lost and nobody suffers yet: worth knowing where nothing worse is. */
export const quietLoss: CauseEntry = lostRedis("notice", () => true);
