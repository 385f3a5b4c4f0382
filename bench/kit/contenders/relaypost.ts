/** The library itself, through its public face. */
import { Readable } from "node:stream";
import { pino } from "pino";
import { type HostInput, RemoteHosts } from "../../../src/index.js";
import type { HostsJob, LookupJob, Measurement, OpenJob, ProbeJob, RelayJob, StreamJob } from "../job.js";
import { makeMessage } from "../message.js";
import { closedLoop } from "../stopwatch.js";

/** The sinks' certificate is nobody's, which the library would warn of each time. */
const OPTIONS = { logger: pino({ level: "silent" }) };

const ENVELOPE = { from: "a@sender.example", to: "b@sink.example" };

/** Limits that no contender has: a connection may live for the whole run. */
const LIMITS = { requests: 1_000_000_000, errors: 1_000_000, queue: 1_000_000, "queue-bytes": "4GiB", lifetime: "1h" };

interface HostOptions {
  readonly port: number;
  readonly protocol?: HostInput["protocol"];
  readonly isTls?: boolean;
  readonly concurrency: number;
  readonly pipeline?: number;
  readonly entries?: number;
}

/** The tables of one host. */
function host({
  port,
  protocol = "smtp",
  isTls = false,
  concurrency,
  pipeline = 50,
  entries = 0,
}: HostOptions): HostInput {
  return {
    address: "127.0.0.1",
    port,
    protocol,
    concurrency,
    lookup: true,
    tls: isTls ? { implicit: true, "allow-invalid-certs": true } : { implicit: false, starttls: "disable" },
    auth: { "allow-plaintext": true },
    limits: { ...LIMITS, pipeline },
    cache: { entries },
  };
}

/** Messages, `callersEach` to a connection: one on its way and the others waiting behind its final dot. */
export async function relay(job: RelayJob): Promise<Measurement> {
  const sinkHost = host({ ...job, concurrency: job.connections });
  const { clusterUrl } = job;
  // The id of the host is the cluster's name for what is shared.
  const config =
    clusterUrl === undefined
      ? { remote: { host0: sinkHost } }
      : {
          cluster: { url: clusterUrl, lease: "10s", timeout: "1s" },
          remote: { host0: { ...sinkHost, cluster: { concurrency: job.connections } } },
        };
  await using hosts = await RemoteHosts.open(config, OPTIONS);
  const sink = hosts.host("host0");
  const message = makeMessage(job.sizeOctets);
  return await closedLoop(job.connections * job.callersEach, job.seconds, async () => {
    const { recipients } = await sink.relay(ENVELOPE, message);
    if (recipients[0]?.status !== "delivered") {
      throw new Error(`the message was ${recipients[0]?.status}`);
    }
  });
}

/** Ever new recipients, so many callers that every connection can have `depth` commands in flight and more wait. */
export async function probe(job: ProbeJob): Promise<Measurement> {
  const remote = { sink: host({ ...job, concurrency: job.connections, pipeline: job.depth }) };
  await using hosts = await RemoteHosts.open({ remote }, OPTIONS);
  const sink = hosts.host("sink");
  let next = 0;
  return await closedLoop(job.connections * job.depth * 2, job.seconds, () =>
    sink.verifyRecipient(`user${next++}@sink.example`),
  );
}

/** One recipient for each caller, from the cache. */
export async function cached(job: LookupJob): Promise<Measurement> {
  await using hosts = await RemoteHosts.open(
    { remote: { sink: host({ ...job, concurrency: 10, entries: 10_000 }) } },
    OPTIONS,
  );
  const sink = hosts.host("sink");
  return await closedLoop(job.callers, job.seconds, (caller) => sink.verifyRecipient(`user${caller}@sink.example`));
}

/** Ever new passwords, at an IMAP host. */
export async function auth(job: LookupJob): Promise<Measurement> {
  const remote = { sink: host({ ...job, protocol: "imap", concurrency: 10 }) };
  await using hosts = await RemoteHosts.open({ remote }, OPTIONS);
  const sink = hosts.host("sink");
  let next = 0;
  return await closedLoop(job.callers, job.seconds, () =>
    sink.authenticate({ username: `user${next % 100}`, secret: `secret${next++}` }),
  );
}

/** Hosts that are opened and asked nothing. */
export async function open({ hosts }: OpenJob): Promise<Measurement> {
  const remote = Object.fromEntries(
    Array.from({ length: hosts }, (_, i) => [`host${i}`, host({ port: 25, concurrency: 10 })]),
  );
  const before = { startedMs: performance.now(), rss: process.memoryUsage.rss(), cpu: process.cpuUsage() };
  await using all = await RemoteHosts.open({ remote }, OPTIONS);
  const startMs = performance.now() - before.startedMs;
  const { user, system } = process.cpuUsage(before.cpu);
  return {
    done: all.ids.length === hosts ? 1 : 0,
    failed: 0,
    seconds: startMs / 1000,
    cpuMicros: user + system,
    p50Micros: Number.NaN,
    p99Micros: Number.NaN,
    rssOctets: process.memoryUsage.rss() - before.rss,
    startMs,
  };
}

/** Messages to many hosts at once; all of them are one sink, which is nobody's business here. */
export async function hosts(job: HostsJob): Promise<Measurement> {
  const remote = Object.fromEntries(
    Array.from({ length: job.hosts }, (_, i) => [`host${i}`, host({ port: job.port, concurrency: 1 })]),
  );
  const startedMs = performance.now();
  await using all = await RemoteHosts.open({ runtime: { threads: job.threads, start: "eager" }, remote }, OPTIONS);
  const startMs = performance.now() - startedMs;
  const message = makeMessage(4096);
  const sinks = Object.keys(remote).map((id) => all.host(id));
  const measurement = await closedLoop(job.hosts, job.seconds, (caller) => sinks[caller]!.relay(ENVELOPE, message));
  return { ...measurement, startMs };
}

/** One large message as a stream; how far the memory of the process grows while it passes through. */
export async function stream(job: StreamJob): Promise<Measurement> {
  await using all = await RemoteHosts.open({ remote: { sink: host({ port: job.port, concurrency: 1 }) } }, OPTIONS);
  const sink = all.host("sink");
  // What loads on first use is loaded before the memory is looked at.
  await sink.relay(ENVELOPE, Readable.from([makeMessage(1 << 20)]));
  const before = process.memoryUsage.rss();
  let rss = before;
  async function* content() {
    const part = makeMessage(64 * 1024);
    for (let made = 0; made < job.sizeOctets; made += part.length) {
      rss = Math.max(rss, process.memoryUsage.rss());
      yield part;
    }
  }
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  await sink.relay(ENVELOPE, content());
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    done: 1,
    failed: 0,
    seconds,
    cpuMicros: user + system,
    p50Micros: seconds * 1e6,
    p99Micros: seconds * 1e6,
    rssOctets: rss - before,
  };
}
