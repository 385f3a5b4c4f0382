/** What is known of a host, by what is special about it. Serves diagnosis.test.ts and cause-borders.test.ts. */
import type { HostInput } from "../../../src/config/input.js";
import { loadSettings } from "../../../src/config/load.js";
import { newHostStats } from "../../../src/messages/host-stats.js";
import type { Evidence } from "../../../src/operator/evidence.js";
import { type Case, NOW_MS } from "./diagnosis-cases.js";

const PLACE = { address: "mx.example.org", port: 24 };
const CLUSTER = { url: "redis://127.0.0.1", name: "test", secret: "x".repeat(32) };

/** @param host keys of `remote.store`, perhaps with another place than mx.example.org, port 24 */
export async function evidenceOf({ stats, ...known }: Case["known"], host: Partial<HostInput> = {}): Promise<Evidence> {
  const cluster = host.cluster === undefined ? {} : { cluster: CLUSTER };
  const { address } = host;
  const place = address === undefined ? PLACE : { address };
  const { hosts } = await loadSettings({ ...cluster, remote: { store: { protocol: "lmtp", ...place, ...host } } });
  return {
    nowMs: NOW_MS,
    settings: hosts.get("store")!,
    cluster: undefined,
    failure: undefined,
    readyMs: undefined,
    silentSinceMs: undefined,
    phases: {},
    settledRate: 0,
    queueGrowth: 0,
    events: [],
    ...known,
    stats: {
      ...newHostStats({ id: "store", address: "192.0.2.1", port: 24, protocol: "lmtp" }),
      state: "up",
      ...stats,
    },
  };
}
