/** The metrics of the daemon: those of all hosts, of its listeners, its reloads, its build and its process. Asked by pages.ts for each scrape. */
import { readFileSync } from "node:fs";
import { Counter, collectDefaultMetrics, Gauge, type Registry } from "prom-client";
import { metrics } from "../metrics.js";
import type { RemoteHosts } from "../remote-hosts.js";
import type { DaemonView, ListenerCounts } from "./daemon-view.js";

const LISTENER = ["listener", "protocol"] as const;

const registries = new WeakMap<DaemonView, Registry>();

/** All of them, in a registry of their own for each daemon. */
export function daemonMetrics(remotes: RemoteHosts, view: DaemonView): Registry {
  let registry = registries.get(view);
  if (registry === undefined) {
    registry = metrics(remotes);
    collectDefaultMetrics({ register: registry });
    // Gauges that are named like counters, which promtool objects to: each is the sum of the one without the suffix.
    for (const name of ["handles", "requests", "resources"]) {
      registry.removeSingleMetric(`nodejs_active_${name}_total`);
    }
    addBuild(registry);
    addListeners(registry, view);
    addReloads(registry, view);
    registries.set(view, registry);
  }
  return registry;
}

function addBuild(register: Registry): void {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  new Gauge({
    name: "relaypost_build_info",
    help: "1, with the versions of relaypost and Node.js.",
    labelNames: ["version", "node"],
    registers: [register],
  }).set({ version, node: process.versions.node }, 1);
}

function addListeners(register: Registry, view: DaemonView): void {
  const define = (
    Kind: typeof Counter | typeof Gauge,
    name: string,
    help: string,
    countOf: (counts: ListenerCounts) => number,
  ): void => {
    new Kind({
      name: `relaypost_listener_${name}`,
      help,
      labelNames: LISTENER,
      registers: [register],
      collect() {
        // Listeners may have gone.
        this.reset();
        for (const [listener, counts] of Object.entries(view.listeners())) {
          this.inc({ listener, protocol: counts.protocol }, countOf(counts));
        }
      },
    });
  };
  define(Gauge, "clients", "Clients that are connected.", ({ clients }) => clients);
  define(Counter, "answers_total", "Answers given; of a gateway, messages answered.", ({ answers }) => answers);
  define(Counter, "login_failures_total", "Logins refused.", ({ refusedLogins }) => refusedLogins);
}

function addReloads(register: Registry, view: DaemonView): void {
  new Counter({
    name: "relaypost_reloads_total",
    help: "Times that the file was read again, by the result.",
    labelNames: ["result"],
    registers: [register],
    collect() {
      const { succeeded, failed } = view.reloads();
      this.reset();
      this.inc({ result: "succeeded" }, succeeded);
      this.inc({ result: "failed" }, failed);
    },
  });
  new Gauge({
    name: "relaypost_last_reload_successful",
    help: "1 if the file was taken when it was last read.",
    registers: [register],
    collect() {
      this.set(view.reloads().hasLastSucceeded ? 1 : 0);
    },
  });
  new Gauge({
    name: "relaypost_last_reload_timestamp_seconds",
    help: "When the file was last read.",
    registers: [register],
    collect() {
      this.set(view.reloads().lastAtMs / 1000);
    },
  });
}
