// Metrics for OpenTelemetry, read from stats() whenever they are collected: nothing is counted twice, and between two collections nothing is spent.
// Run it with: node examples/opentelemetry-metrics.mjs (it starts the server that it relays to, and prints what is collected)
import { metrics } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { RemoteHosts } from "relaypost";
import { listenMail } from "relaypost/testing";

/** Each metric with its unit, and what it is of a host's counters: [value, attributes] pairs. */
const COUNTERS = {
  "relaypost.recipients": [
    "{recipient}",
    ({ relays: { delivered, refused, deferred, uncertain } }) =>
      Object.entries({ delivered, refused, deferred, uncertain }).map(([status, count]) => [
        count,
        { "relaypost.status": status },
      ]),
  ],
  "relaypost.lookups": [
    "{lookup}",
    ({ lookups }) => Object.entries(lookups).map(([outcome, count]) => [count, { "relaypost.outcome": outcome }]),
  ],
  "relaypost.failures": [
    "{request}",
    ({ failures }) => Object.entries(failures).map(([code, count]) => [count, { "error.type": code }]),
  ],
  "relaypost.connections.opened": ["{connection}", ({ opened }) => [[opened, {}]]],
};
const GAUGES = {
  "relaypost.queued": ["{request}", ({ queued }) => [[queued, {}]]],
  "relaypost.in_flight": ["{request}", ({ inFlight }) => [[inFlight, {}]]],
  "relaypost.oldest_queued": ["s", ({ oldestQueuedMs }) => [[oldestQueuedMs / 1000, {}]]],
  "relaypost.connections": [
    "{connection}",
    ({ connections }) => Object.entries(connections).map(([state, count]) => [count, { "relaypost.state": state }]),
  ],
  "relaypost.up": ["1", ({ state }) => [[state === "up" ? 1 : 0, {}]]],
};

/** Registers all of them; the function returned ends it. */
export function instrumentRelaypost(remotes, meter = metrics.getMeter("relaypost")) {
  const instruments = new Map([
    ...Object.entries(COUNTERS).map(([name, [unit, read]]) => [meter.createObservableCounter(name, { unit }), read]),
    ...Object.entries(GAUGES).map(([name, [unit, read]]) => [meter.createObservableGauge(name, { unit }), read]),
  ]);
  const observe = async (result) => {
    const { hosts } = await remotes.stats();
    for (const stats of Object.values(hosts)) {
      for (const [instrument, read] of instruments) {
        for (const [value, attributes] of read(stats)) {
          result.observe(instrument, value, { "relaypost.host": stats.id, ...attributes });
        }
      }
    }
  };
  meter.addBatchObservableCallback(observe, [...instruments.keys()]);
  return () => meter.removeBatchObservableCallback(observe, [...instruments.keys()]);
}

// In place of this exporter stands that of your collector, such as OTLPMetricExporter.
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000 });
const provider = new MeterProvider({ readers: [reader] });
metrics.setGlobalMeterProvider(provider);

const server = await listenMail({ recipients: ["ann@example.org"] });
const remotes = await RemoteHosts.open({
  runtime: { hostname: "gateway.example.net" },
  remote: {
    out: {
      address: server.address,
      port: server.port,
      protocol: "smtp",
      lookup: true,
      tls: { implicit: false, starttls: "disable" },
    },
  },
});
const stop = instrumentRelaypost(remotes);
const host = remotes.host("out");
await host.verifyRecipient("ann@example.org");
await host.relay(
  { from: "me@example.org", to: ["ann@example.org", "nobody@example.org"] },
  "Subject: hi\r\n\r\nHello.\r\n",
);

await provider.forceFlush();
for (const { scopeMetrics } of exporter.getMetrics()) {
  for (const { descriptor, dataPoints } of scopeMetrics.flatMap((scope) => scope.metrics)) {
    for (const { value, attributes } of dataPoints.filter((point) => point.value !== 0)) {
      console.log(descriptor.name, value, JSON.stringify(attributes));
    }
  }
}
stop();
await remotes.close();
await server.close();
await provider.shutdown();
