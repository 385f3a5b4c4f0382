// Spans for relays, lookups and connections, made from the tracing channels: nothing is wrapped, and without a subscriber nothing is spent.
// Run it with: node examples/opentelemetry.mjs (it starts the server that it relays to, and prints each span)
import { tracingChannel } from "node:diagnostics_channel";
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { RemoteHosts } from "relaypost";
import { listenMail } from "relaypost/testing";

/** Subscribes to the channels; the function returned ends it. */
export function instrumentRelaypost(tracer = trace.getTracer("relaypost")) {
  const spans = new WeakMap();
  const requests = {
    start(message) {
      const { hostId, kind, recipients } = message;
      const attributes = { "relaypost.host": hostId, "relaypost.kind": kind };
      if (recipients !== undefined) {
        attributes["relaypost.recipients"] = recipients;
      }
      // Addresses (message.value) stay out: they are personal data.
      spans.set(
        message,
        tracer.startSpan(`relaypost ${kind}`, { kind: SpanKind.CLIENT, attributes }, context.active()),
      );
    },
    end() {},
    asyncStart() {},
    error(message) {
      const span = spans.get(message);
      span?.recordException(message.error);
      span?.setStatus({ code: SpanStatusCode.ERROR, message: message.error.code });
    },
    asyncEnd(message) {
      const span = spans.get(message);
      const { found, source, recipients } = message.result ?? {};
      if (found !== undefined) {
        span?.setAttributes({ "relaypost.found": found, "relaypost.source": source });
      }
      for (const status of ["delivered", "refused", "deferred", "uncertain"]) {
        const count = recipients?.filter((recipient) => recipient.status === status).length ?? 0;
        if (count > 0) {
          span?.setAttribute(`relaypost.${status}`, count);
        }
      }
      span?.end();
    },
  };
  // A connection is told of when it is over, so its span is made in one go.
  const connections = {
    start() {},
    end() {},
    asyncStart() {},
    error() {},
    asyncEnd({ hostId, connection, durationMs, error }) {
      const attributes = { "relaypost.host": hostId, "relaypost.connection": connection };
      const span = tracer.startSpan("relaypost connect", { startTime: Date.now() - durationMs, attributes });
      if (error !== undefined) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: error.code });
      }
      span.end();
    },
  };
  const channels = [
    [tracingChannel("relaypost:relay"), requests],
    [tracingChannel("relaypost:lookup"), requests],
    [tracingChannel("relaypost:connect"), connections],
  ];
  for (const [channel, handlers] of channels) {
    channel.subscribe(handlers);
  }
  return () => {
    for (const [channel, handlers] of channels) {
      channel.unsubscribe(handlers);
    }
  };
}

const printer = {
  export(spans, done) {
    for (const { name, attributes, status } of spans) {
      console.log(name, JSON.stringify(attributes), status.message ?? "");
    }
    done({ code: 0 });
  },
  async shutdown() {},
};
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(printer)] });
trace.setGlobalTracerProvider(provider);
const stop = instrumentRelaypost();

const server = await listenMail({ recipients: ["ann@example.org"] });
const remotes = await RemoteHosts.open({
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
const host = remotes.host("out");
await host.verifyRecipient("ann@example.org");
await host.verifyRecipient("ann@example.org");
await host.relay(
  { from: "me@example.org", to: ["ann@example.org", "nobody@example.org"] },
  "Subject: hi\r\n\r\nHello.\r\n",
);
await host.relay({ from: "me@example.org", to: "not an address" }, "").catch(() => {});

stop();
await remotes.close();
await server.close();
await provider.shutdown();
