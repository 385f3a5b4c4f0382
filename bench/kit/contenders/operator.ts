/** The library with many hosts under a steady load: what the gateway's thread spends while nobody looks, the model looks, or people look at the page. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { loadSettings } from "../../../src/config/load.js";
import type { Settings } from "../../../src/config/settings.js";
import { makePage } from "../../../src/dashboard/index.js";
import { type HostInput, RemoteHosts } from "../../../src/index.js";
import { Monitor } from "../../../src/operator/monitor.js";
import { Child } from "../child.js";
import type { Looking, OperatorJob, OperatorWindow } from "../job.js";
import type { ViewersQuestion } from "../viewers-process.js";

const TICK_MS = 5;
/** Everybody has looked at least once, and what is hot is compiled. */
const SETTLE_MS = 1_500;
const RECIPIENTS = 20;

/** Windows one after the other, each kind by turns; the first of each kind is for the compiler. */
export async function operator(job: OperatorJob): Promise<OperatorWindow[]> {
  const remote = Object.fromEntries(
    Array.from({ length: job.hosts }, (_, number) => [`host${number}`, hostAt(job.port)]),
  );
  const settings = await loadSettings({
    runtime: { threads: job.threads, hostname: "gateway.bench.example" },
    remote,
  });
  await using all = await RemoteHosts.start(settings, { logger: pino({ level: "silent" }) });
  await using load = new Load(all, job.perSecond);
  const windows: OperatorWindow[] = [];
  for (let round = 0; round <= job.windows; round++) {
    for (const looking of ["nobody", "model", "page"] as const) {
      await using _looker = await look(looking, all, settings, job.viewers);
      await pause(SETTLE_MS);
      const window = await load.measure(looking, job.seconds);
      if (round > 0) {
        windows.push(window);
      }
    }
  }
  return windows;
}

/** Begins to look, with a model of its own: that of the hosts would look until they are closed. */
async function look(looking: Looking, all: RemoteHosts, settings: Settings, viewers: number): Promise<AsyncDisposable> {
  if (looking === "nobody") {
    return { [Symbol.asyncDispose]: async () => {} };
  }
  const monitor = new Monitor();
  monitor.open({ stats: () => all.stats(), settingsOf: (id) => settings.hosts.get(id) });
  monitor.start();
  if (looking === "model") {
    return { [Symbol.asyncDispose]: async () => monitor.stop() };
  }
  const page = makePage({ monitor, host: (id) => all.host(id) }, { addresses: false, place: "the page" });
  const server = createServer((request, response) => void page(request, response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const people = Child.start("viewers");
  const { port } = server.address() as AddressInfo;
  await people.ask({ port, viewers, hostIds: all.ids.slice(0, viewers - 1) } satisfies ViewersQuestion);
  return {
    async [Symbol.asyncDispose]() {
      await people[Symbol.asyncDispose]();
      page.close();
      server.closeAllConnections();
      server.close();
      monitor.stop();
    },
  };
}

/** So many lookups a second of all hosts together, from their caches: the least that a request can cost, so that the rest shows. */
class Load implements AsyncDisposable {
  private done = 0;
  private failed = 0;
  private asked = 0;
  private owed = 0;
  private lastMs = performance.now();
  private readonly open = new Set<Promise<void>>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly hosts: RemoteHosts,
    private readonly perSecond: number,
  ) {
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  async measure(looking: Looking, forSeconds: number): Promise<OperatorWindow> {
    const [done, failed] = [this.done, this.failed];
    const startedMs = performance.now();
    const micros = threadMicros();
    await pause(forSeconds * 1000);
    return {
      looking,
      done: this.done - done,
      failed: this.failed - failed,
      seconds: (performance.now() - startedMs) / 1000,
      threadMicros: threadMicros() - micros,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.open);
  }

  private tick(): void {
    const nowMs = performance.now();
    this.owed += ((nowMs - this.lastMs) * this.perSecond) / 1000;
    this.lastMs = nowMs;
    const { ids } = this.hosts;
    for (; this.owed >= 1; this.owed--) {
      const number = this.asked++;
      const host = this.hosts.host(ids[number % ids.length]!);
      const request = host.verifyRecipient(`user${Math.floor(number / ids.length) % RECIPIENTS}@sink.example`).then(
        () => {
          this.done++;
        },
        () => {
          this.failed++;
        },
      );
      const settled = request.finally(() => this.open.delete(settled));
      this.open.add(settled);
    }
  }
}

/** What this thread has spent; the process' main thread has its number. */
function threadMicros(): number {
  const [nanos = ""] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, "latin1").split(" ");
  return Number(nanos) / 1000;
}

function hostAt(port: number): HostInput {
  return {
    address: "127.0.0.1",
    port,
    protocol: "smtp",
    lookup: true,
    concurrency: 2,
    tls: { implicit: false, starttls: "disable" },
    limits: { errors: 1_000_000, requests: 1_000_000 },
    cache: { entries: 1_000 },
  };
}
