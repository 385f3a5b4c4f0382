/** What stands on the pages that operators and their machines ask for: /metrics, /healthz, /readyz, /hosts. Asked by http.ts. */
import { DURATION_BOUNDS_MS } from "../messages/host-stats.js";
import type { RemoteHosts } from "../remote-hosts.js";
import type { HostStats } from "../stats.js";
import { daemonMetrics } from "./daemon-metrics.js";
import type { DaemonView } from "./daemon-view.js";
import { logged } from "./wording.js";

/** A page: its status, its type, and what stands on it. */
export type Page = readonly [status: number, type: string, body: string];

export const TEXT = "text/plain; charset=utf-8";
const METRICS = "text/plain; version=0.0.4; charset=utf-8";
const JSON_TYPE = "application/json";

/** What is asked for. */
export interface PageRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  /** A person looks at it, in a browser. */
  readonly isForPeople: boolean;
}

/** All pages of a daemon. */
export class Pages {
  constructor(
    private readonly remotes: RemoteHosts,
    private readonly view: DaemonView,
  ) {}

  /** Rejects when the hosts cannot be asked. */
  async make({ path, query, isForPeople }: PageRequest): Promise<Page> {
    switch (path) {
      case "/healthz":
        return [200, TEXT, "ok\n"];
      case "/readyz":
        return this.view.isReady() ? await this.readiness(query.get("hosts")) : [503, TEXT, "not ready\n"];
      case "/hosts":
        return [200, JSON_TYPE, `${JSON.stringify(await this.hosts(), undefined, isForPeople ? 2 : 0)}\n`];
      case "/metrics":
        return [200, METRICS, await daemonMetrics(this.remotes, this.view).metrics()];
      default:
        return [404, TEXT, "/, /metrics, /healthz, /readyz and /hosts are here\n"];
    }
  }

  /** `wanted`: the hosts that must be up, `all`, or `any` one; without it none need be, as long as a worker runs. */
  private async readiness(wanted: string | null): Promise<Page> {
    const hosts = Object.values((await this.remotes.stats()).hosts);
    // One that nobody has asked yet is as good as up.
    const isUp = ({ state }: HostStats) => state === "up" || state === "idle";
    const degraded = hosts.filter((host) => !isUp(host)).map(({ id, state }) => `${id} is ${state}\n`);
    const page = (isReady: boolean): Page => [
      isReady ? 200 : 503,
      TEXT,
      `${isReady ? "ready" : "not ready"}\n${degraded.join("")}`,
    ];
    switch (wanted) {
      case null:
        return page(hosts.length === 0 || hosts.some(({ state }) => state !== "failed"));
      case "all":
        return page(degraded.length === 0);
      case "any":
        return page(hosts.some(isUp));
    }
    const ids = wanted.split(",");
    const unknown = ids.find((id) => !hosts.some((host) => host.id === id));
    if (unknown !== undefined) {
      return [
        400,
        TEXT,
        `there is no host ${logged(unknown)}: hosts=all, hosts=any, or ids with commas between them\n`,
      ];
    }
    return page(hosts.every((host) => isUp(host) || !ids.includes(host.id)));
  }

  private async hosts(): Promise<object> {
    const { threads, hosts } = await this.remotes.stats();
    const reports = new Map((await this.remotes.monitor.reports()).map((report) => [report.id, report]));
    const listeners = this.view.listeners();
    return {
      threads,
      clients: Object.fromEntries(Object.entries(listeners).map(([name, { clients }]) => [name, clients])),
      listeners,
      reloads: this.view.reloads(),
      // Of the counts in durations; the last count has none.
      boundsMs: DURATION_BOUNDS_MS,
      hosts: Object.fromEntries(
        Object.entries(hosts).map(([id, stats]) => {
          const { messageRate, lookupRate, diagnosis } = reports.get(id) ?? {};
          const rates = { messagesPerSecond: messageRate, lookupsPerSecond: lookupRate };
          return [id, { ...stats, rates, diagnosis }];
        }),
      ),
    };
  }
}
