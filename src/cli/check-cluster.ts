/** `relaypost check --connect`: tries the Redis of a configuration as a gateway would. Serves check.ts. */
import type { RedisReport } from "../cluster/inspection.js";
import type { Settings } from "../config/settings.js";
import { leaseId } from "../messages/places.js";
import { UsageError } from "./exit-codes.js";

/** What was found, or why nothing was. */
export type ClusterCheck = { readonly ok: false; readonly problem: string } | ({ readonly ok: boolean } & RedisReport);

/** @throws UsageError where the configuration has no cluster */
export async function checkCluster({ cluster, hosts }: Settings): Promise<ClusterCheck> {
  if (cluster === undefined) {
    throw new UsageError("--connect needs a [cluster] table in the file");
  }
  const { inspectRedis } = await import("../cluster/inspection.js");
  const shared = [...hosts.values()].flatMap(({ id, cluster }) =>
    cluster === undefined ? [] : [leaseId(id, "connections"), leaseId(id, "rate")],
  );
  const sharesHealth = [...hosts.values()].some((host) => host.cluster?.health === true);
  try {
    const report = await inspectRedis(cluster, shared, sharesHealth);
    return { ok: report.lacking.length === 0, ...report };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** For people. */
export function describeCluster(check: ClusterCheck): string[] {
  if ("problem" in check) {
    return [`cluster: ${check.problem}`];
  }
  const { server, latencyMs, skewMs, lacking, gateways } = check;
  const skew = skewMs === undefined ? "its clock cannot be read" : describeSkew(skewMs);
  const count = gateways === 1 ? "1 gateway has" : `${gateways} gateways have`;
  return [
    `cluster: ${server}, ${latencyMs.toFixed(2)} ms away, ${skew}; ${count} a lease`,
    ...(lacking.length === 0 ? [] : [`cluster: the account may not use ${lacking.join(", ")}`]),
  ];
}

function describeSkew(skewMs: number): string {
  const ahead = skewMs >= 0 ? "ahead of" : "behind";
  return `its clock is ${Math.abs(Math.round(skewMs))} ms ${ahead} this machine's`;
}
