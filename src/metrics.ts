/**
 * The counters of all hosts for Prometheus: `relaypost/metrics`. Reads `stats()` once for each scrape and keeps nothing between
 * two of them; the counting itself is done where the work is, by plain numbers (workers/counters.ts).
 */
import { Counter, Gauge, Registry } from "prom-client";
import type { RequestKind } from "./api.js";
import { LOOKUP_KINDS } from "./lookup-kinds.js";
import { DurationMetric, type DurationsOfAll, type LabelledDurations } from "./metrics-histogram.js";
import type { RemoteHosts } from "./remote-hosts.js";
import type { AddressStats, ClusterStats, HostStats, RuntimeStats } from "./stats.js";

/** Options of {@link metrics}. */
export interface MetricsOptions {
  /** Where the metrics are registered. Default: a registry of their own. */
  registry?: Registry;
}

/** A value and the labels that it has beside `host`. */
type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];
type Samples = (host: HostStats) => readonly Sample[];

/**
 * Registers the metrics of all hosts. They are read when the registry is.
 *
 * @returns the registry: `await metrics(remotes).metrics()` is the text that Prometheus reads
 */
export function metrics(remotes: RemoteHosts, { registry = new Registry() }: MetricsOptions = {}): Registry {
  const read = oncePerScrape(remotes);
  for (const [name, help, labels, samples] of COUNTERS) {
    define(Counter, registry, read, name, help, labels, samples);
  }
  for (const [name, help, labels, samples] of GAUGES) {
    define(Gauge, registry, read, name, help, labels, samples);
  }
  for (const [name, help, labels, durations] of HISTOGRAMS) {
    const ofHosts: DurationsOfAll = ({ hosts }) =>
      Object.values(hosts).flatMap((host) =>
        durations(host).map(([own, of]): LabelledDurations => [{ host: host.id, ...own }, of]),
      );
    registry.registerMetric(new DurationMetric(name, help, ["host", ...labels], read, ofHosts));
  }
  defineOfCluster(registry, read);
  new Gauge({
    name: "relaypost_threads",
    help: "Worker threads that run now.",
    registers: [registry],
    async collect() {
      this.set((await read()).threads);
    },
  });
  return registry;
}

const registries = new WeakMap<RemoteHosts, Registry>();

/** The metrics of all hosts in Prometheus' text format, from a registry of their own. */
export function collectMetrics(remotes: RemoteHosts): Promise<string> {
  let registry = registries.get(remotes);
  if (registry === undefined) {
    registry = metrics(remotes);
    registries.set(remotes, registry);
  }
  return registry.metrics();
}

const KINDS: readonly RequestKind[] = ["relay", ...LOOKUP_KINDS];

type Definition<T> = readonly [name: string, help: string, labels: readonly string[], of: T];

const COUNTERS: readonly Definition<Samples>[] = [
  [
    "requests_total",
    "Settled requests. relay: settled with a verdict for each recipient, or failed, delivered to nobody. Lookups: found, not-found, or failed, without an answer.",
    ["kind", "outcome"],
    ({ relays, kinds }) => [
      [{ kind: "relay", outcome: "settled" }, relays.settled - relays.failed],
      [{ kind: "relay", outcome: "failed" }, relays.failed],
      ...LOOKUP_KINDS.flatMap((kind): Sample[] => {
        const { found, notFound, cachedFound, cachedNotFound, failed } = kinds[kind];
        return [
          [{ kind, outcome: "found" }, found + cachedFound],
          [{ kind, outcome: "not-found" }, notFound + cachedNotFound],
          [{ kind, outcome: "failed" }, failed],
        ];
      }),
    ],
  ],
  [
    "request_failures_total",
    "Requests that failed, by the code of their error, those that were refused at once among them.",
    ["code"],
    ({ failures }) => Object.entries(failures).map(([code, count]) => [{ code }, count]),
  ],
  ["requests_turned_away_total", "Requests refused at once.", [], ({ turnedAway }) => [[{}, turnedAway]]],
  [
    "recipients_total",
    "Recipients of settled relays by status. uncertain: delivered or not, nobody can know.",
    ["status"],
    ({ relays }) =>
      (["delivered", "refused", "deferred", "uncertain"] as const).map((status) => [{ status }, relays[status]]),
  ],
  [
    "cache_hits_total",
    "Lookups answered from the cache.",
    ["kind", "answer"],
    ({ kinds }) =>
      LOOKUP_KINDS.flatMap((kind): Sample[] => [
        [{ kind, answer: "positive" }, kinds[kind].cachedFound],
        [{ kind, answer: "negative" }, kinds[kind].cachedNotFound],
      ]),
  ],
  [
    "recipients_learned_total",
    "Recipients that the cache knows from messages. contradicted: cached answers that a message proved wrong.",
    ["answer"],
    ({ learned }) => [
      [{ answer: "positive" }, learned.found],
      [{ answer: "negative" }, learned.notFound],
      [{ answer: "contradicted" }, learned.contradicted],
    ],
  ],
  [
    "random_recipients_total",
    "Random recipients asked for, to find out which domains accept everybody.",
    [],
    ({ catchAll }) => [[{}, catchAll.asked]],
  ],
  [
    "harvest_lookups_total",
    "Lookups of clients that seem to try out addresses: held back, or refused.",
    ["outcome"],
    ({ harvest }) => [
      [{ outcome: "late" }, harvest.late],
      [{ outcome: "refused" }, harvest.refused],
    ],
  ],
  [
    "tenant_requests_total",
    "Requests of the hundred busiest tenants.",
    ["tenant"],
    ({ tenants = [] }) => tenants.map(({ name, requests }) => [{ tenant: name }, requests]),
  ],
  [
    "tenant_requests_turned_away_total",
    "Requests of these tenants that were refused at once, since their part of the queue was full.",
    ["tenant"],
    ({ tenants = [] }) => tenants.map(({ name, turnedAway }) => [{ tenant: name }, turnedAway]),
  ],
  ["lookups_shared_total", "Lookups that joined an equal one in flight.", [], ({ lookups }) => [[{}, lookups.shared]]],
  ["connections_opened_total", "Connections dialled.", [], ({ opened }) => [[{}, opened]]],
  [
    "connect_failures_total",
    "Connections that failed before they were ready.",
    [],
    ({ connectFailures }) => [[{}, connectFailures]],
  ],
  ["guesses_total", "Wrong passwords answered late (limits.guesses).", [], ({ guesses }) => [[{}, guesses]]],
  [
    "rate_delayed_total",
    "Requests that waited for limits.rate.",
    [],
    ({ rate }) => (rate === undefined ? [] : [[{}, rate.delayed]]),
  ],
  [
    "cluster_place_waits_total",
    "How often a request found that one more connection needed one more place of the cluster.",
    [],
    ({ places }) => (places === undefined ? [] : [[{}, places.waits]]),
  ],
  [
    "shadow_lookups_total",
    "Lookups that the other host of a shadow was asked for too, or was not: dropped.",
    ["kind", "outcome"],
    ({ shadow }) =>
      Object.entries(shadow?.kinds ?? {}).flatMap(([kind, counts]): Sample[] => [
        [{ kind, outcome: "agreed" }, counts.agreed],
        [{ kind, outcome: "only-here" }, counts.onlyHere],
        [{ kind, outcome: "only-there" }, counts.onlyThere],
        [{ kind, outcome: "unsure" }, counts.unsure],
        [{ kind, outcome: "failed" }, counts.failed],
        [{ kind, outcome: "dropped" }, counts.dropped],
      ]),
  ],
  ["worker_restarts_total", "How often the host's worker was replaced.", [], ({ restarts }) => [[{}, restarts]]],
];

const GAUGES: readonly Definition<Samples>[] = [
  ["requests_queued", "Requests that wait for a connection.", [], ({ queued }) => [[{}, queued]]],
  ["requests_in_flight", "Requests on a connection.", [], ({ inFlight }) => [[{}, inFlight]]],
  [
    "queue_oldest_seconds",
    "How long the oldest request in the queue has waited. 0: none waits.",
    [],
    ({ oldestQueuedMs }) => [[{}, oldestQueuedMs / 1000]],
  ],
  [
    "rate_limit",
    "Requests that may begin in a second (limits.rate).",
    [],
    ({ rate }) => (rate === undefined ? [] : [[{}, rate.perSecond]]),
  ],
  [
    "rate_waiting",
    "Requests that wait for limits.rate.",
    [],
    ({ rate }) => (rate === undefined ? [] : [[{}, rate.waiting]]),
  ],
  ["queue_limit", "Most requests that wait (limits.queue).", [], ({ limits }) => [[{}, limits.queue]]],
  ["connections_limit", "Most connections (concurrency).", [], ({ limits }) => [[{}, limits.concurrency]]],
  ["harvest_suspects", "Clients that seem to try out addresses.", [], ({ harvest }) => [[{}, harvest.suspects]]],
  [
    "domains",
    "Recipient domains of which it was found out whether the host accepts everybody there.",
    ["certainty"],
    ({ catchAll }) => [
      [{ certainty: "verified" }, catchAll.verified],
      [{ certainty: "accepts-all" }, catchAll.acceptsAll],
    ],
  ],
  [
    "connections",
    "Connections by what they do now.",
    ["state"],
    ({ connections }) => Object.entries(connections).map(([state, count]) => [{ state }, count]),
  ],
  [
    "address_up",
    "Of several addresses of a host: 1 while connections are opened to it, 0 while it is left alone after a failure.",
    ["address"],
    ({ addresses = [] }) => addresses.map((each) => [{ address: nameOf(each) }, each.state === "up" ? 1 : 0]),
  ],
  [
    "address_connections",
    "Connections to each of several addresses of a host.",
    ["address"],
    ({ addresses = [] }) => addresses.map((each) => [{ address: nameOf(each) }, each.connections]),
  ],
  [
    "cluster_places",
    "Places of all gateways, as Redis said last. total: cluster.concurrency. used: recorded as somebody's. wanted: what all could use.",
    ["of"],
    ({ places }) =>
      places === undefined
        ? []
        : [
            [{ of: "total" }, places.total],
            [{ of: "used" }, places.used],
            [{ of: "wanted" }, places.wantedByAll],
          ],
  ],
  [
    "cluster_own_places",
    "Places of this gateway. granted: connections that it may have. held: those it has. wanted: what it could use. overdrawn: held above granted.",
    ["of"],
    ({ places }) =>
      places === undefined
        ? []
        : (["granted", "held", "wanted", "overdrawn"] as const).map((of) => [{ of }, places[of]]),
  ],
  [
    "cluster_gateways",
    "Gateways that have a lease, as Redis said last.",
    [],
    ({ places }) => (places === undefined ? [] : [[{}, places.gateways]]),
  ],
  [
    "cache_entries",
    "Answers in the caches.",
    ["answer"],
    ({ cache }) => [
      [{ answer: "positive" }, cache.positive],
      [{ answer: "negative" }, cache.negative],
    ],
  ],
  [
    "circuit",
    "1 for the state that the circuit is in. open: requests are refused at once.",
    ["state"],
    ({ circuit }) => oneOf(["closed", "half-open", "open"], circuit),
  ],
  [
    "host_state",
    "1 for the state that the host is in.",
    ["state"],
    ({ state }) => oneOf(["up", "idle", "starting", "down", "recovering", "paused", "draining", "failed"], state),
  ],
];

type DurationsOf = (host: HostStats) => readonly LabelledDurations[];

const HISTOGRAMS: readonly Definition<DurationsOf>[] = [
  ["queue_wait_seconds", "From the queue to a connection.", [], ({ durations }) => [[{}, durations.queue]]],
  ["connect_seconds", "From the dial to a session that is ready.", [], ({ durations }) => [[{}, durations.connect]]],
  [
    "exchange_seconds",
    "From a request's first command on a connection to its verdict.",
    ["kind"],
    ({ durations }) => KINDS.map((kind) => [{ kind }, durations[kind]]),
  ],
];

/** A unix socket has no port. */
function nameOf({ address, port }: AddressStats): string {
  return port === 0 ? address : `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

function oneOf(states: readonly string[], current: string): Sample[] {
  return states.map((state) => [{ state }, state === current ? 1 : 0]);
}

/** All metrics of a scrape are read in one turn: they share one answer. */
function oncePerScrape(remotes: RemoteHosts): () => Promise<RuntimeStats> {
  let reading: Promise<RuntimeStats> | undefined;
  return () => {
    reading ??= remotes.stats().finally(() => {
      reading = undefined;
    });
    return reading;
  };
}

function define(
  Kind: typeof Counter | typeof Gauge,
  registry: Registry,
  read: () => Promise<RuntimeStats>,
  name: string,
  help: string,
  labels: readonly string[],
  samples: Samples,
): void {
  new Kind({
    name: `relaypost_${name}`,
    help,
    labelNames: ["host", ...labels],
    registers: [registry],
    async collect() {
      const { hosts } = await read();
      // Hosts may have gone, and a replaced worker counts from zero.
      this.reset();
      for (const stats of Object.values(hosts)) {
        for (const [own, value] of samples(stats)) {
          this.inc({ host: stats.id, ...own }, value);
        }
      }
    },
  });
}

/** What a gateway knows of its cluster; nothing where it is in none. */
function defineOfCluster(registry: Registry, read: () => Promise<RuntimeStats>): void {
  const define = (
    Kind: typeof Counter | typeof Gauge,
    name: string,
    help: string,
    label: string | undefined,
    samples: (cluster: ClusterStats) => readonly Sample[],
  ): void => {
    new Kind({
      name: `relaypost_cluster_${name}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [registry],
      async collect() {
        const { cluster } = await read();
        this.reset();
        for (const [labels, value] of cluster === undefined ? [] : samples(cluster)) {
          this.inc(labels, value);
        }
      },
    });
  };
  define(Gauge, "lost", "1 while Redis is lost.", undefined, ({ state }) => [[{}, state === "lost" ? 1 : 0]]);
  define(Counter, "losses_total", "How often Redis was lost.", undefined, ({ losses }) => [[{}, losses]]);
  define(Counter, "calls_total", "Calls of Redis.", "outcome", ({ calls }) => [
    [{ outcome: "answered" }, calls.answered],
    [{ outcome: "failed" }, calls.failed],
  ]);
  define(Counter, "answers_total", "Questions asked of Redis about shared answers.", "outcome", ({ answers }) =>
    answers === undefined
      ? []
      : (["asked", "known", "awaited", "failed"] as const).map((outcome) => [{ outcome }, answers[outcome]]),
  );
  const healthHelp = "What gateways told each other of hosts' health, and turns to find out whether a host is back.";
  define(Counter, "health_total", healthHelp, "what", ({ health }) =>
    health === undefined
      ? []
      : (["told", "heard", "turns", "awaited", "failed"] as const).map((what) => [{ what }, health[what]]),
  );
  const help = "How long Redis took to answer a call.";
  const durations: DurationsOfAll = ({ cluster }) => (cluster === undefined ? [] : [[{}, cluster.calls.durations]]);
  registry.registerMetric(new DurationMetric("cluster_call_seconds", help, [], read, durations));
}
