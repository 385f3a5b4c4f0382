/** Who has which places when nothing more befalls anybody: held to what max-min fairness gives. Serves cluster-run.ts. */
import type { LeasedHost } from "../../../src/cluster/host-lease.js";
import type { SimWorker } from "./sim-gateway.js";

/** A host, and the workers of gateways that run. */
export interface HostUse {
  readonly host: LeasedHost;
  readonly workers: readonly SimWorker[];
}

/** At rest: each gateway has its max-min share, and where there are not enough places for all, each has its turn. */
export function judgeRest(use: HostUse, leaseMs: number, calmMs: number, nowMs: number): string[] {
  const { host, workers } = use;
  const wants = wantsOf(use);
  const level = fairLevel(wants, host.total);
  const wanting = wants.filter((want) => want > 0).length;
  const wrong = judgeUse(use);
  workers.forEach((worker, index) => {
    const share = Math.min(wants[index]!, level);
    if (worker.busy < share) {
      wrong.push(`${host.id}: a gateway has ${worker.busy} of its share of ${share}`);
    }
    const waitedMs = nowMs - Math.max(calmMs, worker.hungrySinceMs ?? nowMs);
    // Who has had a place for a lease hears of it with the next renewal.
    const turnMs = (Math.ceil(wanting / host.total) + 1) * leaseMs * 1.4;
    if (waitedMs > turnMs) {
      wrong.push(`${host.id}: a gateway waited ${Math.round(waitedMs)} ms for its turn`);
    }
  });
  return wrong;
}

/** All places are in use that anybody wants, where nobody has to wait for a turn. */
export function judgeUse(use: HostUse): string[] {
  const { host, workers } = use;
  const wants = wantsOf(use);
  const used = workers.reduce((sum, { busy }) => sum + busy, 0);
  const wanted = wants.reduce((sum, want) => sum + want, 0);
  const isRight = fairLevel(wants, host.total) < 1 || used === Math.min(host.total, wanted);
  return isRight ? [] : [`${host.id}: ${used} of ${host.total} places are used, ${wanted} are wanted`];
}

function wantsOf({ host, workers }: HostUse): number[] {
  return workers.map(({ demand }) => Math.min(host.concurrency, demand));
}

/** The level to which all wants can be filled. */
function fairLevel(wants: readonly number[], total: number): number {
  let level = 0;
  while (level < 1000 && wants.reduce((sum, want) => sum + Math.min(want, level + 1), 0) <= total) {
    level++;
  }
  return level;
}
