/**
 * The table of causes: what may be wrong with a host, in the order in which it is asked, and the three sentences that tell of it.
 * Pure: evidence.ts says what is known, diagnosis.ts takes the first cause that has something to say.
 */
import { addressCause } from "./address-cause.js";
import type { CauseEntry } from "./cause-entry.js";
import { connectionCauses } from "./connection-causes.js";
import { PHASES, type Phase, type PhaseTimes, recentEvents, recentFailure, standing } from "./evidence.js";
import { quietLoss, refusedWithoutRedis, waitingCauses } from "./waiting-causes.js";
import { clause, counted, duration, rate, span } from "./words.js";

const LOSSES_WITHIN_MS = 600_000;
/** One loss is told of for so long, more of them for longer. */
const ONE_LOSS_MS = 60_000;
const HUNG_AFTER_MS = 10_000;
/** A phase whose median is longer than that is slow, whatever the host. */
const SLOW_MS = 1_000;
/** Fewer requests than that tell nothing of a host. */
const LEAST_TIMES = 3;

/** A long queue is no phase of the host's: something else is slow then, or too much is asked. */
const SLOW_PHASES = PHASES.filter((phase) => phase !== "queue");
const PHASE_WORDS: Readonly<Record<Exclude<Phase, "queue">, string>> = {
  connect: "connections take long to be made",
  relay: "messages take long from MAIL to the last reply",
  lookup: "lookups take long to be answered",
};

function isSlow(times: PhaseTimes | undefined): times is PhaseTimes {
  return times !== undefined && times.count >= LEAST_TIMES && times.p50Ms >= SLOW_MS;
}

export const CAUSES: readonly CauseEntry[] = [
  {
    cause: "worker-failed",
    severity: "down",
    explain: (evidence) => {
      const { stats, settings } = evidence;
      if (stats.state !== "failed") {
        return undefined;
      }
      const last = evidence.events.findLast(({ event }) => event === "worker-lost");
      return {
        what: `The worker thread of ${settings.id} ended too often, so it is not started again for a while.`,
        why: `It was replaced ${counted(stats.restarts, "time")}${last === undefined ? "" : `, and ended last of: ${clause(String(last.fields.reason ?? last.message))}`}.`,
        now: "Requests are refused at once with HOST_UNAVAILABLE; the thread is tried again later, more and more seldom.",
      };
    },
  },
  {
    cause: "paused",
    severity: "notice",
    explain: (evidence) => {
      const { stats, settings, nowMs } = evidence;
      if (stats.state !== "paused") {
        return undefined;
      }
      const pause = evidence.events.findLast(({ event }) => event === "host-paused");
      const { by, requests, forMs } = pause?.fields ?? {};
      const since = pause === undefined ? "" : ` ${span(nowMs - pause.atMs)} ago`;
      const left = typeof forMs === "number" && pause !== undefined ? pause.atMs + forMs - nowMs : undefined;
      return {
        what: `${settings.id} is paused.`,
        why: `${String(by ?? "Somebody")} paused it${since}; ${counted(stats.queued, "request")} ${stats.queued === 1 ? "waits" : "wait"}.`,
        now: `Requests ${requests === "refuse" ? "are refused" : "wait"} until it is resumed${left === undefined ? "" : `, in ${span(left)} at the latest`}.`,
      };
    },
  },
  ...connectionCauses,
  {
    cause: "hung",
    severity: "down",
    explain: (evidence) => {
      const { silentSinceMs, nowMs, stats, settings } = evidence;
      if (silentSinceMs === undefined || nowMs - silentSinceMs < HUNG_AFTER_MS) {
        return undefined;
      }
      return {
        what: `${settings.id} takes connections and answers nothing.`,
        why: `${counted(stats.inFlight, "request")} ${stats.inFlight === 1 ? "has" : "have"} been with it for ${span(nowMs - silentSinceMs)}, on ${counted(standing(evidence) + stats.connections.opening, "connection")}, and none was answered in that time.`,
        now: "Requests wait for their deadline or for the time limit of their phase (timeouts.*); then they fail, and messages may be sent again.",
      };
    },
  },
  refusedWithoutRedis,
  addressCause,
  {
    cause: "worker-lost",
    severity: "degraded",
    explain: (evidence) => {
      const losses = recentEvents(evidence, "worker-lost", LOSSES_WITHIN_MS);
      const last = losses.at(-1);
      const { nowMs, settings } = evidence;
      if (last === undefined || (losses.length === 1 && nowMs - last.atMs > ONE_LOSS_MS)) {
        return undefined;
      }
      return {
        what: `The worker thread of ${settings.id} was lost ${losses.length === 1 ? "" : "repeatedly "}and started anew.`,
        why: `It ended ${counted(losses.length, "time")} in the last ${span(LOSSES_WITHIN_MS)}, last ${span(nowMs - last.atMs)} ago of: ${clause(String(last.fields.reason ?? last.message))}.`,
        now: "Its lookups were asked again; messages whose end had been sent are uncertain, the others were rejected and reached nobody.",
      };
    },
  },
  ...waitingCauses,
  {
    cause: "slow",
    severity: "degraded",
    explain: (evidence) => {
      const { phases, settings } = evidence;
      const worst = SLOW_PHASES.flatMap((phase) => {
        const times = phases[phase];
        return isSlow(times) ? [{ phase, times }] : [];
      }).sort((a, b) => b.times.p50Ms - a.times.p50Ms)[0];
      if (worst === undefined) {
        return undefined;
      }
      const { count, p50Ms, p99Ms } = worst.times;
      return {
        what: `${settings.id} is slow: ${PHASE_WORDS[worst.phase]}.`,
        why: `Of ${count.toLocaleString("en-US")} in the last minute half took longer than ${duration(p50Ms)}, and one in a hundred longer than ${duration(p99Ms)}.`,
        now: `It goes on with up to ${counted(settings.concurrency, "connection")} and waits for each reply as long as timeouts.* say.`,
      };
    },
  },
  {
    cause: "overloaded",
    severity: "degraded",
    explain: (evidence) => {
      const { stats, settings, queueGrowth, settledRate, phases } = evidence;
      const { queued, connections } = stats;
      const isGrowing = queued >= 2 * settings.concurrency && queueGrowth > Math.max(1, settledRate / 10);
      if (!isGrowing && !isSlow(phases.queue)) {
        return undefined;
      }
      const growth = isGrowing ? `, ${rate(queueGrowth)} more each second` : "";
      const waits = isSlow(phases.queue) ? `, half of them longer than ${duration(phases.queue.p50Ms)}` : "";
      return {
        what: `More is asked of ${settings.id} than it gets done: ${isGrowing ? "its queue grows" : "requests wait long for a connection"}.`,
        why: `${counted(queued, "request")} wait${growth}${waits}; ${rate(settledRate)} a second are settled by ${connections.busy} busy connections of ${settings.concurrency}.`,
        now: `Lookups go before messages; past ${settings.limits.queue.toLocaleString("en-US")} waiting requests (limits.queue) new ones are refused with MAILBOX_FULL.`,
      };
    },
  },
  quietLoss,
  {
    cause: "recovering",
    severity: "notice",
    explain: (evidence) => {
      const failure = recentFailure(evidence);
      // A present one is told of by the causes for which connections fail.
      if (failure === undefined) {
        return undefined;
      }
      return {
        what: `${evidence.settings.id} is back, or some connections to it fail.`,
        why: `A connection failed ${span(evidence.nowMs - failure.atMs)} ago: ${clause(failure.message)}; ${counted(standing(evidence), "connection")} ${standing(evidence) === 1 ? "stands" : "stand"} now.`,
        now: "It is used as usual.",
      };
    },
  },
  {
    cause: "idle",
    severity: "healthy",
    explain: ({ stats, settings, settledRate }) =>
      settledRate > 0 || stats.queued + stats.inFlight > 0
        ? undefined
        : {
            what: `Nothing is asked of ${settings.id}.`,
            why: "No request was settled in the last ten seconds, and none waits.",
            now: "Connections are opened when a request needs them.",
          },
  },
  {
    cause: "healthy",
    severity: "healthy",
    explain: ({ stats, settings, settledRate, phases }) => {
      const times = phases.relay ?? phases.lookup;
      const { idle, busy } = stats.connections;
      return {
        what: `${settings.id} is healthy.`,
        why: `${rate(settledRate)} requests a second are settled${times === undefined ? "" : `, half of them within ${duration(times.p50Ms)}`}; ${stats.queued} wait.`,
        now: `It is used by ${counted(idle + busy, "connection")} of ${settings.concurrency}.`,
      };
    },
  },
];
