/**
 * Tenants beside each other at one host: how long the messages of one with ten a second take, alone and beside one with 10,000 messages
 * queued; and what a thousand tenants cost beside one, and beside none.
 *
 * "Alone" has the same ten connections and the same ten messages a second, and nobody beside it. On loopback the other tenant takes both
 * cores too; "while another host is as busy" is alone at its host on such a machine, so that what is left of the difference is the queue's.
 */
import { type RemoteHost, RemoteHosts } from "../src/index.js";
import { makeMessage } from "./kit/message.js";
import { Network } from "./kit/network.js";
import { readOptions } from "./kit/options.js";
import { report } from "./kit/report.js";
import { median, type Row } from "./kit/rounds.js";

const options = readOptions(10);
const QUEUED = options.isShort ? 100 : 10_000;
const EVERY_MS = 100;
/** Waiting at a time, where throughput is measured. */
const OUTSTANDING = 2_000;
/** Messages before a measurement: those of whoever was measured before are gone, and what is hot is compiled. */
const WARM_UP = options.isShort ? 100 : 10_000;
const STAND_BY = options.isShort ? 100 : 1_000;
/** Rates need less time than rare delays. */
const RATE_PART = 0.3;
const ROUND_TRIP_MS = 20;
const TIMED = `ten messages a second, ${ROUND_TRIP_MS} ms round trip`;
const LOOPBACK = "ten messages a second, loopback";
const FULL = "as many messages as there can be";

const message = makeMessage(4096);
await using near = await Network.start({ protocol: "smtp" });
await using far = await Network.start({ protocol: "smtp", roundTripMs: ROUND_TRIP_MS });

interface Measured {
  readonly tookMicros: readonly number[];
  readonly perSecond: number;
  readonly cpuMicrosEach: number;
}

type Contenders = Readonly<Record<string, () => Promise<Measured>>>;

async function open(ports: Readonly<Record<string, number>>): Promise<RemoteHosts> {
  const hosts = Object.entries(ports).map(([id, port]) => [
    id,
    {
      address: "127.0.0.1",
      port,
      protocol: "smtp",
      tls: { implicit: false, starttls: "disable" },
      limits: { queue: 40_000, "queue-bytes": "1GiB", requests: 1_000_000 },
    } as const,
  ]);
  return await RemoteHosts.open({ remote: Object.fromEntries(hosts), runtime: { hostname: "gateway.example.org" } });
}

async function relay(host: RemoteHost, tenant: string | undefined): Promise<void> {
  const envelope = { from: "a@sender.example", to: "b@sink.example" };
  await host.relay(envelope, message, tenant === undefined ? undefined : { tenant });
}

/** Ten messages a second, while others do what they do. */
async function lone(host: RemoteHost, tenant: string | undefined): Promise<Measured> {
  const tookMicros: number[] = [];
  const sent: Promise<void>[] = [];
  const endMs = performance.now() + options.seconds * 1_000;
  for (let dueMs = performance.now(); dueMs < endMs; dueMs += EVERY_MS) {
    await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()));
    const startMs = performance.now();
    sent.push(relay(host, tenant).then(() => void tookMicros.push((performance.now() - startMs) * 1_000)));
  }
  await Promise.all(sent);
  return { tookMicros, perSecond: tookMicros.length / options.seconds, cpuMicrosEach: Number.NaN };
}

/** One more whenever one is done, so that always as many wait, until it is stopped. */
class StandingLoad {
  private settled = 0;
  private index = 0;
  private isOver = false;
  private awaited: { readonly count: number; readonly resolve: () => void } | undefined;
  private readonly loops: Promise<void>[];

  constructor(
    private readonly host: RemoteHost,
    count: number,
    private readonly tenantOf: (index: number) => string | undefined,
  ) {
    this.loops = Array.from({ length: count }, () => this.loop());
  }

  private async loop(): Promise<void> {
    while (!this.isOver) {
      await relay(this.host, this.tenantOf(this.index++));
      this.settled++;
      if (this.settled === this.awaited?.count) {
        this.awaited.resolve();
      }
    }
  }

  /** So many more are done. */
  async pass(count: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.awaited = { count: this.settled + count, resolve };
    });
  }

  /** What is done in the time, and the CPU time of the whole process for each. */
  async measure(): Promise<Measured> {
    const [before, cpu, startMs] = [this.settled, process.cpuUsage(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, options.seconds * RATE_PART * 1_000));
    const count = this.settled - before;
    const { user, system } = process.cpuUsage(cpu);
    const perSecond = (count * 1_000) / (performance.now() - startMs);
    return { tookMicros: [], perSecond, cpuMicrosEach: (user + system) / count };
  }

  /** Nothing more is begun; resolves when all is done. */
  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.loops);
  }

  /** Nothing more is begun; what waits fails when its host closes. */
  abandon(): void {
    this.isOver = true;
    for (const loop of this.loops) {
      loop.catch(() => {});
    }
  }
}

/** @param port of the host of the one with ten a second */
async function alone(port: number): Promise<Measured> {
  await using remotes = await open({ own: port });
  const host = remotes.host("own");
  // Until the thread and its ten connections stand.
  const before = new StandingLoad(host, 20, () => "small");
  await before.pass(STAND_BY);
  await before.stop();
  return await lone(host, "small");
}

/** @param ports of its host, and of the other's, which may be the same host */
async function beside(ports: Readonly<Record<string, number>>, bulk?: string, small?: string): Promise<Measured> {
  const remotes = await open(ports);
  try {
    const others = new StandingLoad(remotes.host("other" in ports ? "other" : "own"), QUEUED, () => bulk);
    if ("other" in ports) {
      await relay(remotes.host("own"), small);
    }
    await others.pass(STAND_BY);
    const measured = await lone(remotes.host("own"), small);
    others.abandon();
    return measured;
  } finally {
    await remotes.close({ drainMs: 0 });
  }
}

async function throughput(host: RemoteHost, tenantOf: (index: number) => string | undefined): Promise<Measured> {
  const load = new StandingLoad(host, OUTSTANDING, tenantOf);
  await load.pass(WARM_UP);
  const measured = await load.measure();
  await load.stop();
  return measured;
}

/** Everybody once a round, in turns that are reversed in every other round: what the machine does meanwhile is everybody's. */
async function byTurns(contenders: Contenders, rounds: number): Promise<Map<string, Measured[]>> {
  const results = new Map<string, Measured[]>(Object.keys(contenders).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const turns = Object.entries(contenders);
    for (const [contender, measure] of round % 2 === 0 ? turns : turns.toReversed()) {
      results.get(contender)!.push(await measure());
    }
  }
  return results;
}

const timed = await byTurns(
  {
    alone: () => alone(far.port),
    "beside a tenant with 10,000 queued": () => beside({ own: far.port }, "bulk", "small"),
  },
  options.rounds,
);
const loopback = await byTurns(
  {
    alone: () => alone(near.port),
    "while another host is as busy": () => beside({ own: near.port, other: near.port }, "bulk", "small"),
    "beside a tenant with 10,000 queued": () => beside({ own: near.port }, "bulk", "small"),
    "beside them, without tenants": () => beside({ own: near.port }),
  },
  options.rounds,
);
// All in one process: how the compiler treats two processes differs by more than what is looked for. The host that knows no tenant is
// another one, since a queue that has met tenants stays fair. Their names are made for each message, however many there are.
const full = await (async () => {
  await using remotes = await open({ plain: near.port, fair: near.port });
  const contenders = {
    "no tenant": () => throughput(remotes.host("plain"), () => undefined),
    "one tenant": () => throughput(remotes.host("fair"), (index) => `tenant-${index % 1}`),
    "1,000 tenants": () => throughput(remotes.host("fair"), (index) => `tenant-${index % 1_000}`),
  };
  if (!options.isShort) {
    await byTurns(contenders, 1);
  }
  return await byTurns(contenders, 2 * options.rounds);
})();

function rowsOf(cell: string, results: ReadonlyMap<string, readonly Measured[]>): Row[] {
  return [...results].map(([contender, all]) => {
    const tookMicros = all.flatMap((each) => each.tookMicros);
    return {
      cell,
      contender,
      perSecond: median(all.map(({ perSecond }) => perSecond)),
      cpuMicrosEach: median(all.map(({ cpuMicrosEach }) => cpuMicrosEach)),
      p50Micros: quantile(tookMicros, 0.5),
      p99Micros: quantile(tookMicros, 0.99),
      rssOctets: Number.NaN,
      startMs: Number.NaN,
      failed: 0,
      rounds: all.map(({ perSecond }) => perSecond),
    };
  });
}

function quantile(values: readonly number[], fraction: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length * fraction)] ?? Number.NaN;
}

/** Of each round, since both of a round met the same machine: the median, and the middle half of them. */
function ratios(value: (measured: Measured) => number, one: string, other: string): [number, number, number] {
  const others = full.get(other)!;
  const each = full.get(one)!.map((measured, round) => value(measured) / value(others[round]!));
  return [median(each), quantile(each, 0.25), quantile(each, 0.75)];
}

const besideOne = {
  perSecond: ratios(({ perSecond }) => perSecond, "1,000 tenants", "one tenant"),
  cpuMicrosEach: ratios(({ cpuMicrosEach }) => cpuMicrosEach, "1,000 tenants", "one tenant"),
};
const besideNone = {
  perSecond: ratios(({ perSecond }) => perSecond, "one tenant", "no tenant"),
  cpuMicrosEach: ratios(({ cpuMicrosEach }) => cpuMicrosEach, "one tenant", "no tenant"),
};
report(
  {
    name: "tenants",
    title: "Tenants beside each other at one host",
    unit: "msg",
    figures: ["perSecond", "cpuMicrosEach", "p50Micros", "p99Micros"],
    rows: [...rowsOf(TIMED, timed), ...rowsOf(LOOPBACK, loopback), ...rowsOf(FULL, full)],
    details: { besideOne, besideNone },
  },
  options,
);
for (const [what, { perSecond, cpuMicrosEach }] of Object.entries({
  "1,000 tenants beside one": besideOne,
  "one tenant beside none": besideNone,
})) {
  console.log(`${what}: ${show(perSecond)} × its rate, ${show(cpuMicrosEach)} × its CPU time for each`);
}

function show([middle, low, high]: readonly number[]): string {
  return `${middle!.toFixed(3)} (${low!.toFixed(3)} to ${high!.toFixed(3)})`;
}
