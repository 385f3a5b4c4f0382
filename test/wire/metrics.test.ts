/** The metrics as Prometheus reads them: by a parser of its text format, against a server on loopback. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import parse from "parse-prometheus-text-format";
import { Registry } from "prom-client";
import { RemoteHosts } from "../../src/index.js";
import { collectMetrics, metrics } from "../../src/metrics.js";
import { listenMail, type StrictServer } from "../../src/testing/index.js";

const KINDS = ["auth", "expn", "rcpt", "relay", "vrfy"];

type Labels = Record<string, string>;
interface Family {
  name: string;
  type: string;
  help: string;
  metrics: { labels?: Labels; value?: string }[];
}

describe("relaypost/metrics", { timeout: 30_000 }, () => {
  let server: StrictServer;
  let remotes: RemoteHosts;
  let families: Map<string, Family>;
  let text: string;

  before(async () => {
    server = await listenMail({
      protocol: "lmtp",
      recipients: (address) => !address.startsWith("nobody"),
      overrides: [{ on: "RCPT", match: /later@/, reply: "450 4.2.1 later" }],
    });
    const tls = { implicit: false, starttls: "disable" } as const;
    remotes = await RemoteHosts.open({
      runtime: { start: "eager" },
      remote: {
        store: { address: server.address, port: server.port, protocol: "lmtp", lookup: true, tls },
        spare: { address: server.address, port: server.port, protocol: "lmtp", limits: { queue: 1 }, tls },
      },
    });
    const store = remotes.host("store");
    await store.verifyRecipient("ann@example.org");
    await store.verifyRecipient("ann@example.org");
    await store.verifyRecipient("nobody@example.org");
    await store.verifyRecipient("nobody@example.org");
    await assert.rejects(store.verifyRecipient("later@example.org"));
    await store.relay({ from: "", to: ["ann@example.org", "nobody@example.org"] }, "x\r\n");
    server.order({ on: "terminator", times: 1, afterwards: "reset" });
    await store.relay({ from: "", to: "lost@example.org" }, "x\r\n");
    families = await scrape();
  });

  after(async () => {
    await remotes?.close({ drainMs: 0 });
    await server?.close();
  });

  async function scrape(): Promise<Map<string, Family>> {
    text = await collectMetrics(remotes);
    return new Map((parse(text) as Family[]).map((family) => [family.name, family]));
  }

  function value(name: string, labels: Labels): number {
    const family = families.get(`relaypost_${name}`);
    const wanted = Object.entries({ host: "store", ...labels });
    const found = family?.metrics.filter((metric) => wanted.every(([key, text]) => metric.labels?.[key] === text));
    assert.equal(found?.length, 1, `${name} ${JSON.stringify(labels)}`);
    return Number(found[0]!.value);
  }

  it("counts requests by kind and outcome, cache hits by kind, recipients by status", () => {
    assert.equal(value("requests_total", { kind: "rcpt", outcome: "found" }), 2);
    assert.equal(value("requests_total", { kind: "rcpt", outcome: "not-found" }), 2);
    assert.equal(value("requests_total", { kind: "rcpt", outcome: "failed" }), 1);
    assert.equal(value("requests_total", { kind: "auth", outcome: "found" }), 0);
    assert.equal(value("requests_total", { kind: "relay", outcome: "settled" }), 2);
    assert.equal(value("requests_total", { kind: "relay", outcome: "failed" }), 0);
    assert.equal(value("cache_hits_total", { kind: "rcpt", answer: "positive" }), 1);
    assert.equal(value("cache_hits_total", { kind: "rcpt", answer: "negative" }), 1);
    assert.equal(value("recipients_total", { status: "delivered" }), 1);
    assert.equal(value("recipients_total", { status: "refused" }), 1);
    assert.equal(value("recipients_total", { status: "uncertain" }), 1);
    assert.equal(value("requests_total", { host: "spare", kind: "relay", outcome: "settled" }), 0);
    assert.equal(families.get("relaypost_requests_total")!.type, "COUNTER");
  });

  it("shows what there is now", () => {
    assert.equal(value("requests_queued", {}), 0);
    assert.equal(value("requests_in_flight", {}), 0);
    assert.equal(value("circuit", { state: "closed" }), 1);
    assert.equal(value("circuit", { state: "open" }), 0);
    assert.equal(value("host_state", { state: "up" }), 1);
    assert.equal(value("cache_entries", { answer: "positive" }), 1);
    assert.equal(value("worker_restarts_total", {}), 0);
    assert.ok(value("connections_opened_total", {}) >= 1);
    assert.equal(families.get("relaypost_threads")!.metrics[0]!.value, "2");
  });

  it("measures in histograms that add up", () => {
    assert.equal(families.get("relaypost_exchange_seconds")!.type, "HISTOGRAM");
    // The parser makes one of all histograms of a family, so their lines are read as they stand.
    const histogram = (name: string, labels = "") => {
      const numbers = (suffix: string) =>
        [...text.matchAll(new RegExp(`^relaypost_${name}_${suffix}\\{host="store"${labels}[^}]*\\} (.+)$`, "gm"))].map(
          ([, number]) => Number(number),
        );
      const [count, ...more] = numbers("count");
      assert.equal(more.length, 0);
      return { count, sum: numbers("sum")[0]!, buckets: numbers("bucket") };
    };
    const exchange = histogram("exchange_seconds", ',kind="rcpt"');
    assert.equal(exchange.count, 3);
    assert.equal(exchange.buckets.length, 16);
    assert.equal(exchange.buckets.at(-1), 3);
    assert.deepEqual(
      exchange.buckets,
      exchange.buckets.toSorted((one, other) => one - other),
    );
    assert.ok(exchange.sum > 0);
    assert.equal(histogram("exchange_seconds", ',kind="relay"').count, 2);
    assert.equal(histogram("queue_wait_seconds").count, 5);
    assert.ok(histogram("connect_seconds").count! >= 1);
  });

  it("has as many series as hosts and kinds of requests, however many people are asked about", () => {
    const series = [...text.matchAll(/^relaypost_exchange_seconds_count\{host="store",(.*)\} /gm)];
    assert.deepEqual(series.map(([, labels]) => labels).sort(), KINDS.map((kind) => `kind="${kind}"`).sort());
    // Nobody who is asked about may add a label.
    const values = [...text.matchAll(/="([^"]*)"/g)].map(([, each]) => each!);
    assert.deepEqual(
      values.filter((each) => /@|\b(?:ann|nobody|later|lost)\b/.test(each)),
      [],
    );
  });

  it("counts those that were turned away, and goes into a registry that is there already", async () => {
    await remotes.reload({
      remote: {
        store: {
          address: server.address,
          port: server.port,
          protocol: "lmtp",
          tls: { implicit: false, starttls: "disable" },
        },
      },
    });
    const registry = metrics(remotes, { registry: new Registry() });
    await assert.rejects(remotes.host("store").verifyRecipient("ann@example.org"), { code: "LOOKUP_DISABLED" });
    const text = await registry.metrics();
    assert.match(text, /^relaypost_requests_turned_away_total\{host="store"\} 0$/m);
    assert.ok(!text.includes('host="spare"'), "a host that is gone is gone");
    const closing = remotes.close();
    await assert.rejects(remotes.host("store").relay({ from: "", to: "ann@example.org" }, ""), {
      code: "MAILBOX_CLOSED",
    });
    await closing;
  });

  it("are OpenTelemetry's too, by the example", async () => {
    const root = fileURLToPath(new URL("../../../", import.meta.url));
    const file = "examples/opentelemetry-metrics.mjs";
    const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: root });
    assert.deepEqual(stdout.trimEnd().split("\n"), [
      'relaypost.recipients 1 {"relaypost.host":"out","relaypost.status":"delivered"}',
      'relaypost.recipients 1 {"relaypost.host":"out","relaypost.status":"refused"}',
      'relaypost.lookups 1 {"relaypost.host":"out","relaypost.outcome":"remote"}',
      'relaypost.connections.opened 1 {"relaypost.host":"out"}',
      'relaypost.connections 1 {"relaypost.host":"out","relaypost.state":"idle"}',
      'relaypost.up 1 {"relaypost.host":"out"}',
    ]);
  });
});
