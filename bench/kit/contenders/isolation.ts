/** The library with a thread for each host, of which one is killed now and then: what the others feel of it. */
import type { Worker } from "node:worker_threads";
import { pino } from "pino";
import { type HostInput, RemoteHosts } from "../../../src/index.js";
import type { IsolationJob, IsolationWindow } from "../job.js";
import { makeMessage } from "../message.js";

/** So few that the machine is idle most of the time: a busy one would show its queues and not the threads. */
const MESSAGES_PER_SECOND = 10;
const ENVELOPE = { from: "a@sender.example", to: "b@sink.example" };

/** A message of a host that nobody kills. */
interface Sample {
  readonly endMs: number;
  readonly tookMs: number;
}

/** Windows one after the other, by turns a calm one and one with a kill in its middle; of two, each goes first as often as the other. */
export async function isolation({ port, hosts, windows, seconds }: IsolationJob): Promise<IsolationWindow[]> {
  const remote = Object.fromEntries(Array.from({ length: hosts }, (_, number) => [`host${number}`, hostAt(port)]));
  const runtime = { threads: hosts, restarts: 1_000_000, "restart-window": "1s" };
  // Threads start in the order of their hosts; every later one takes the place of the first.
  let victim: Worker | undefined;
  let started = 0;
  const watch = (worker: Worker): void => {
    if (started === 0 || started >= hosts) {
      victim = worker;
    }
    started++;
  };
  process.on("worker", watch);
  await using all = await RemoteHosts.open({ runtime, remote }, { logger: pino({ level: "silent" }) });
  await warmUp(all, seconds * 500);
  const load = new Load(all);
  // What the flood leaves behind is cleared away.
  await pause(seconds * 500);
  const results: IsolationWindow[] = [];
  for (let number = 0; number < windows; number++) {
    const isKilled = number % 4 === 1 || number % 4 === 2;
    load.clear();
    await pause(seconds * 500);
    const middleMs = performance.now();
    if (isKilled) {
      void victim?.terminate();
    }
    await pause(seconds * 500);
    results.push(load.read(isKilled, middleMs));
  }
  await load.end();
  process.off("worker", watch);
  return results;
}

/** As fast as it goes, until every thread has its connection and has compiled what is hot: that would be seen for the first half minute of a trickle. */
async function warmUp(hosts: RemoteHosts, forMs: number): Promise<void> {
  const untilMs = performance.now() + forMs;
  const message = makeMessage(4096);
  const flood = async (id: string): Promise<void> => {
    while (performance.now() < untilMs) {
      await hosts.host(id).relay(ENVELOPE, message);
    }
  };
  await Promise.all(hosts.ids.map(flood));
}

/** A steady trickle to each host. */
class Load {
  private samples: Sample[] = [];
  private failed = 0;
  private sinceMs = performance.now();
  private cpu = process.cpuUsage();
  private isOver = false;
  private readonly message = makeMessage(4096);
  private readonly loops: Promise<void>[];

  constructor(private readonly hosts: RemoteHosts) {
    this.loops = hosts.ids.map((id, number) => this.trickle(id, number));
  }

  /** Begins a window. */
  clear(): void {
    this.samples = [];
    this.failed = 0;
    this.sinceMs = performance.now();
    this.cpu = process.cpuUsage();
  }

  read(isKilled: boolean, middleMs: number): IsolationWindow {
    const { samples, failed } = this;
    const { user, system } = process.cpuUsage(this.cpu);
    const tookOf = (some: readonly Sample[]) => Float64Array.from(some, ({ tookMs }) => tookMs * 1000);
    return {
      isKilled,
      failed,
      seconds: (performance.now() - this.sinceMs) / 1000,
      cpuMicros: user + system,
      tookMicros: tookOf(samples),
      tookMicrosBehindMiddle: tookOf(samples.filter(({ endMs }) => endMs >= middleMs && endMs < middleMs + 1000)),
    };
  }

  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.loops);
  }

  /** At fixed times: hosts that wait for each other once would otherwise go in step from then on. Lateness counts. */
  private async trickle(id: string, number: number): Promise<void> {
    const host = this.hosts.host(id);
    const periodMs = 1000 / MESSAGES_PER_SECOND;
    let dueMs = performance.now() + (number / this.hosts.ids.length) * periodMs;
    for (; !this.isOver; dueMs += periodMs) {
      await pause(dueMs - performance.now());
      // Timers may come a part of a millisecond too early.
      const startMs = Math.min(dueMs, performance.now());
      const isDone = await host.relay(ENVELOPE, this.message).then(
        () => true,
        () => false,
      );
      // The first host is the one that is killed.
      if (number === 0) {
        continue;
      }
      const endMs = performance.now();
      if (isDone) {
        this.samples.push({ endMs, tookMs: endMs - startMs });
      } else {
        this.failed++;
      }
    }
  }
}

function hostAt(port: number): HostInput {
  return {
    address: "127.0.0.1",
    port,
    protocol: "smtp",
    concurrency: 1,
    tls: { implicit: false, starttls: "disable" },
    limits: { requests: 1_000_000, lifetime: "1h" },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
