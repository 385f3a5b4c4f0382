/**
 * Tenants beside each other at one host: how long the messages of one with ten a second take, alone and beside one with 10,000 messages
 * queued; and what a thousand tenants cost beside one, and beside none.
 */
import { type RemoteHost, RemoteHosts } from "../src/index.js";
import { makeMessage } from "./kit/message.js";
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { median, type Row } from "./kit/rounds.js";

const QUEUED = 10_000;
const EVERY_MS = 100;
/** Waiting at a time, where throughput is measured. */
const OUTSTANDING = 2_000;

const options = readOptions(10);
const message = makeMessage(4096);
await using network = await Network.start({ protocol: "smtp" });

interface Measured {
  readonly tookMicros: number[];
  readonly perSecond: number;
  readonly cpuMicrosEach: number;
}

async function withHost(work: (host: RemoteHost) => Promise<Measured>): Promise<Measured> {
  const remotes = await RemoteHosts.open({
    remote: {
      sink: {
        address: "127.0.0.1",
        port: network.port,
        protocol: "smtp",
        tls: { implicit: false, starttls: "disable" },
        limits: { queue: 4 * QUEUED, "queue-bytes": "1GiB", requests: 1_000_000 },
      },
    },
    runtime: { hostname: "gateway.example.org" },
  });
  try {
    return await work(remotes.host("sink"));
  } finally {
    await remotes.close({ drainMs: 0 });
  }
}

async function relay(host: RemoteHost, tenant: string | undefined): Promise<void> {
  const envelope = { from: "a@sender.example", to: "b@sink.example" };
  await host.relay(envelope, message, tenant === undefined ? {} : { tenant });
}

/** Ten messages a second, while others do what they do. */
async function lone(host: RemoteHost, tenant: string | undefined, seconds: number): Promise<Measured> {
  const tookMicros: number[] = [];
  const sent: Promise<void>[] = [];
  const endMs = performance.now() + seconds * 1_000;
  for (let dueMs = performance.now(); dueMs < endMs; dueMs += EVERY_MS) {
    await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()));
    const startMs = performance.now();
    sent.push(relay(host, tenant).then(() => void tookMicros.push((performance.now() - startMs) * 1_000)));
  }
  await Promise.all(sent);
  return { tookMicros, perSecond: tookMicros.length / seconds, cpuMicrosEach: Number.NaN };
}

/** One more whenever one is done, so that always as many wait. */
function keepFull(host: RemoteHost, count: number, tenantOf: (index: number) => string | undefined) {
  let [settled, index, isOver] = [0, 0, false];
  const next = (): void => {
    relay(host, tenantOf(index++)).then(
      () => {
        settled++;
        if (!isOver) {
          next();
        }
      },
      () => {},
    );
  };
  for (let waiting = 0; waiting < count; waiting++) {
    next();
  }
  return {
    settled: () => settled,
    stop: () => {
      isOver = true;
    },
  };
}

async function beside(bulk: string | undefined, small: string | undefined, seconds: number): Promise<Measured> {
  return await withHost(async (host) => {
    const others = keepFull(host, QUEUED, () => bulk);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const measured = await lone(host, small, seconds);
    others.stop();
    return measured;
  });
}

async function throughput(tenantOf: (index: number) => string | undefined, seconds: number): Promise<Measured> {
  return await withHost(async (host) => {
    const all = keepFull(host, OUTSTANDING, tenantOf);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const [before, cpu, startMs] = [all.settled(), process.cpuUsage(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    const count = all.settled() - before;
    const { user, system } = process.cpuUsage(cpu);
    all.stop();
    const perSecond = (count * 1_000) / (performance.now() - startMs);
    return { tookMicros: [], perSecond, cpuMicrosEach: (user + system) / count };
  });
}

const CELLS: Readonly<Record<string, Readonly<Record<string, (seconds: number) => Promise<Measured>>>>> = {
  "ten messages a second": {
    alone: (seconds) => withHost((host) => lone(host, "small", seconds)),
    "beside a tenant with 10,000 queued": (seconds) => beside("bulk", "small", seconds),
    "beside them, without tenants": (seconds) => beside(undefined, undefined, seconds),
  },
  "as many messages as there can be": {
    "no tenant": (seconds) => throughput(() => undefined, seconds),
    "one tenant": (seconds) => throughput(() => "one", seconds),
    "1,000 tenants": (seconds) => throughput((index) => `tenant-${index % 1_000}`, seconds),
  },
};

const rows: Row[] = [];
for (const [cell, contenders] of Object.entries(CELLS)) {
  const rounds = new Map<string, Measured[]>(Object.keys(contenders).map((name) => [name, []]));
  // In turns, so that what the machine does meanwhile is everybody's.
  for (let round = 0; round < options.rounds; round++) {
    for (const [contender, measure] of Object.entries(contenders)) {
      rounds.get(contender)!.push(await measure(options.seconds));
    }
  }
  for (const [contender, all] of rounds) {
    rows.push(toRow(cell, contender, all));
  }
}

function toRow(cell: string, contender: string, all: readonly Measured[]): Row {
  const medianOf = (value: (measured: Measured) => number): number => median(all.map(value));
  return {
    cell,
    contender,
    perSecond: medianOf(({ perSecond }) => perSecond),
    cpuMicrosEach: medianOf(({ cpuMicrosEach }) => cpuMicrosEach),
    p50Micros: medianOf(({ tookMicros }) => quantile(tookMicros, 0.5)),
    p99Micros: medianOf(({ tookMicros }) => quantile(tookMicros, 0.99)),
    rssOctets: Number.NaN,
    startMs: Number.NaN,
    failed: 0,
    rounds: all.map(({ perSecond }) => perSecond),
  };
}

function quantile(values: readonly number[], fraction: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length * fraction)] ?? Number.NaN;
}

report(
  {
    name: "tenants",
    title: "Tenants beside each other at one host",
    unit: "msg",
    figures: ["perSecond", "cpuMicrosEach", "p50Micros", "p99Micros"],
    rows,
  },
  options,
);
