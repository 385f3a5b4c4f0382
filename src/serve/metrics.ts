/** The counters of stats() as Prometheus reads them. Serves http.ts. */
import { Gauge, Registry } from "prom-client";
import type { RemoteHosts } from "../remote-hosts.js";

/** One text in Prometheus' exposition format. */
export async function collectMetrics(remotes: RemoteHosts): Promise<string> {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, ...labels: string[]) =>
    new Gauge({ name: `relaypost_${name}`, help, labelNames: ["host", ...labels], registers });
  const queued = gauge("queued_requests", "Requests that wait for a connection.");
  const inFlight = gauge("in_flight_requests", "Requests on a connection.");
  const connections = gauge("connections", "Connections by what they do.", "state");
  const recipients = gauge("relayed_recipients", "Recipients of settled relays by status.", "status");
  const lookups = gauge("lookups", "Settled lookups by where the answer came from.", "source");
  const restarts = gauge("worker_restarts", "How often the host's worker was replaced.");
  const { hosts } = await remotes.stats();
  for (const [host, stats] of Object.entries(hosts)) {
    queued.set({ host }, stats.queued);
    inFlight.set({ host }, stats.inFlight);
    restarts.set({ host }, stats.restarts);
    for (const [state, count] of Object.entries(stats.connections)) connections.set({ host, state }, count);
    for (const status of ["delivered", "refused", "deferred", "uncertain"] as const)
      recipients.set({ host, status }, stats.relays[status]);
    for (const [source, count] of Object.entries(stats.lookups)) lookups.set({ host, source }, count);
  }
  return registry.metrics();
}
