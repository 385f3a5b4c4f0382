/** One run from its warm-up to its verdict: when to be gentle, what to break next, and what must hold in the end. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Writable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { type Logger, pino } from "pino";
import { loadSettings } from "../../src/config/load.js";
import { type ConfigInput, RemoteHosts } from "../../src/index.js";
import { holdCacheFiles } from "./cache-files.js";
import { holdsCanary } from "./canary.js";
import { Gauges } from "./gauges.js";
import { hangAll } from "./hangs.js";
import { configure, HOSTS, type Whim } from "./hosts.js";
import { Load } from "./load.js";
import { chooseMischief, nameOf } from "./mischief.js";
import { Nodes } from "./nodes.js";
import { Random } from "./random.js";
import type { Report } from "./report.js";
import { Saboteur } from "./sabotage.js";
import { Servers } from "./servers.js";
import { askShadowed, holdShadows, statsWhenQuiet } from "./shadows.js";
import { raceOf, SPEED_MS, speedOf } from "./sprints.js";

const ENTRY = new URL("./worker.js", import.meta.url);
/** Full service again so long after the last fault. */
const RECOVERY_MS = 5_000;
const CHECK_MS = 3_000;
/** The last part of the warm-up, whose throughput is what there was before the faults. */
const MEASURED_MS = 2_000;
const LEAST_SPEED = 0.7;
const MOST_GROWTH = 1.1;
/** Below that a run says nothing of memory: V8 is still finding its size. */
const LEAST_SECONDS_FOR_MEMORY = 120;
/** How long requests without a deadline may take: the hosts' own timeouts, several of them for a dialogue. */
const SETTLE_MS = 15_000;
/** Why a worker may be lost here. */
const EXPECTED_LOSS = /^chaos: |ended with code|no sign of life|memory/;

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly perSecond: number;
  readonly isVerbose: boolean;
}

export class Chaos {
  private readonly random: Random;
  private readonly broken: Record<string, { count: number; cases: string[] }> = {};
  private readonly mischief = new Map<string, number>();
  private readonly whims: Record<string, Whim> = {};
  private readonly threads: number;
  private workersLost = 0;
  private throughputBefore = 0;
  private remotes!: RemoteHosts;
  private load!: Load;
  private reloading = Promise.resolve();
  private speeds = { before: 0, after: 0, newborn: 0 };
  private lastFaultMs = 0;
  private firstFaultMs = 0;
  private readonly lossReasons = new Map<string, number>();

  private constructor(
    private readonly options: ChaosOptions,
    private readonly servers: Servers,
    private readonly saboteur: Saboteur,
    private readonly gauges: Gauges,
    private readonly caFile: string,
  ) {
    this.random = new Random(options.seed);
    // With fewer threads than hosts, some share the fate of others.
    this.threads = this.random.integer(2, 4);
    for (const event of ["uncaughtException", "unhandledRejection"] as const) {
      process.on(event, (error: unknown) =>
        this.breach("no exception goes unhandled", String(error instanceof Error ? error.stack : error)),
      );
    }
  }

  static async run(options: ChaosOptions): Promise<Report> {
    await using servers = await Servers.start();
    using saboteur = new Saboteur();
    using gauges = new Gauges();
    const folder = await mkdtemp(join(tmpdir(), "relaypost-chaos-"));
    try {
      const caFile = join(folder, "ca.pem");
      await writeFile(caFile, servers.ready.ca);
      return await new Chaos(options, servers, saboteur, gauges, caFile).run();
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  private async run(): Promise<Report> {
    const { seconds, perSecond } = this.options;
    const settings = await loadSettings(this.configuration());
    this.remotes = await RemoteHosts.start(settings, { logger: this.makeLogger() }, ENTRY);
    const handles = new Map(HOSTS.map(({ id }) => [id, this.remotes.host(id)]));
    const breach = this.breach.bind(this);
    this.load = new Load((id) => handles.get(id)!, this.servers, this.gauges, this.random, breach);
    const endMs = performance.now() + seconds * 1000 - RECOVERY_MS - CHECK_MS - 2 * SPEED_MS;
    this.load.start(perSecond);
    await pause(Math.min(20_000, seconds * 150));
    this.throughputBefore = this.servedPerSecond(performance.now() - MEASURED_MS);
    await this.load.stop();
    this.speeds.before = await speedOf(this.load, this.remotes);
    this.holdComplaints(0, "before the first fault everything succeeds");
    this.load.start(perSecond);
    this.load.isGentle = false;
    this.firstFaultMs = performance.now();
    await using nodes = await Nodes.start(this.options.seed, breach);
    await this.misbehaveUntil((this.firstFaultMs + endMs) / 2);
    await this.reloading;
    this.note("hang", "all");
    for (const [promise, what] of await hangAll(this.remotes, this.servers)) {
      this.breach(promise, what);
    }
    await Promise.all([this.misbehaveUntil(endMs), nodes.finish()]);
    await this.recover();
    return await this.finish();
  }

  private async misbehaveUntil(untilMs: number): Promise<void> {
    while (performance.now() < untilMs) {
      this.misbehave();
      await pause(this.random.spread(20, 800));
    }
  }

  private async recover(): Promise<void> {
    await this.reloading;
    await this.servers.calm();
    this.lastFaultMs = performance.now();
    this.load.isGentle = true;
    this.load.complaints.length = 0;
    await pause(RECOVERY_MS + CHECK_MS);
    await this.load.stop();
    const isBusy = () => this.load.unsettled + this.load.awaitingResubmission > 0;
    for (let waitedMs = 0; isBusy() && waitedMs < SETTLE_MS; waitedMs += 50) {
      await pause(50);
    }
    this.holdComplaints(this.lastFaultMs + RECOVERY_MS, "full service 5 s after the last fault");
    this.holdThroughput();
    await this.compareSpeeds();
  }

  /** Requests that were asked for gently and served, a second. */
  private servedPerSecond(fromMs: number, toMs = fromMs + MEASURED_MS): number {
    const served = this.load.servedMs.filter((atMs) => atMs >= fromMs && atMs < toMs);
    return (served.length * 1000) / (toMs - fromMs);
  }

  private holdThroughput(): void {
    const after = this.servedPerSecond(this.lastFaultMs + RECOVERY_MS, this.lastFaultMs + RECOVERY_MS + CHECK_MS);
    if (after < LEAST_SPEED * this.throughputBefore) {
      this.breach("full service 5 s after the last fault", `${after} requests/s, ${this.throughputBefore} before`);
    }
  }

  /** Full speed is that of a client that has seen no fault, on the same machine at the same time. */
  private async compareSpeeds(): Promise<void> {
    await this.servers.expectSecondClient();
    const settings = await loadSettings(configure(this.servers.ready.ports, this.caFile, this.threads, this.whims));
    await using newborn = await RemoteHosts.start(settings, { logger: pino({ level: "silent" }) });
    const race = await raceOf(this.load, this.remotes, newborn);
    this.speeds = { ...this.speeds, after: race.own, newborn: race.other };
    if (race.best < LEAST_SPEED) {
      this.breach("full speed after the last fault", `${race.rounds} requests/s`);
    }
  }

  private async finish(): Promise<Report> {
    const { load, gauges } = this;
    await askShadowed(this.remotes);
    const { hosts } = await statsWhenQuiet(this.remotes, SETTLE_MS);
    holdShadows(hosts, this.breach.bind(this));
    if (holdsCanary(JSON.stringify(hosts))) {
      this.breach("no password stands in the statistics", "");
    }
    for (const { id, queued, inFlight } of Object.values(hosts)) {
      if (queued > 0 || inFlight !== 0) {
        this.breach("what is settled leaves no trace in any queue", `${id}: ${queued} queued, ${inFlight} in flight`);
      }
    }
    await this.closeInTheMiddle();
    await holdCacheFiles(dirname(this.caFile), this.breach.bind(this));
    if (load.unsettled > 0) {
      this.breach("every request is settled", `${load.unsettled} are not`);
    }
    if (this.workersLost > this.saboteur.kills) {
      this.breach("workers are lost only when struck", `${this.workersLost} lost, ${this.saboteur.kills} struck`);
    }
    await load.handOver();
    const { verdict, peaks } = await this.servers.judge(load.relays);
    for (const [promise, { count, cases }] of Object.entries(verdict.broken)) {
      for (let at = 0; at < count; at++) {
        this.breach(promise, cases[at] ?? "");
      }
    }
    const memoryOctets = this.holdMemory();
    const lastFailureMs = load.complaints.at(-1)?.askedMs ?? this.lastFaultMs;
    return {
      seed: this.options.seed,
      seconds: this.options.seconds,
      asked: load.asked,
      unsettled: load.unsettled,
      resubmitted: load.resubmitted,
      outcomes: Object.fromEntries(load.outcomes),
      mischief: Object.fromEntries(this.mischief),
      kills: this.saboteur.kills,
      workersLost: this.workersLost,
      worstDelayMs: load.worstDelayMs,
      worstLagMs: gauges.worstLagMs,
      memoryOctets,
      throughput: {
        before: this.throughputBefore,
        after: Array.from({ length: (RECOVERY_MS + CHECK_MS) / 1000 }, (_, second) =>
          this.servedPerSecond(this.lastFaultMs + second * 1000, this.lastFaultMs + (second + 1) * 1000),
        ),
      },
      speeds: this.speeds,
      recoveredMs: lastFailureMs - this.lastFaultMs,
      verdict,
      peaks,
      broken: this.broken,
    };
  }

  /** With plenty to do still, and no time for it. */
  private async closeInTheMiddle(): Promise<void> {
    this.load.host = (id) => this.remotes.host(id);
    this.load.isGentle = false;
    this.load.resubmits = false;
    for (const { id } of HOSTS) {
      this.load.burst(id);
    }
    await pause(this.random.integer(0, 50));
    await this.remotes.close({ drainMs: this.random.integer(0, 200) });
    // Their callers hear of it in the turns that follow.
    await pause(50);
  }

  /** Counters and caches answer at any time. */
  private async lookAround(): Promise<void> {
    const stats = await this.remotes.stats();
    for (const { id, concurrency } of HOSTS) {
      const { opening = 0, idle = 0, busy = 0, closing = 0 } = stats.hosts[id]?.connections ?? {};
      const sum = opening + idle + busy + closing;
      if (sum > concurrency) {
        this.breach("concurrency is never exceeded", `${id}: ${sum} connections by its stats`);
      }
    }
    await this.remotes.host(this.random.pick(this.remotes.ids)).forget();
  }

  private misbehave(): void {
    const dice = this.random.fraction();
    if (dice < 0.65) {
      this.disturb();
    } else if (dice < 0.83) {
      this.note("strike", this.saboteur.strike(this.random));
    } else if (dice < 0.9) {
      this.inTurn("reload", () => this.reload());
    } else if (dice < 0.93) {
      this.inTurn("remove", () => this.removeAndReturn());
    } else if (dice < 0.945) {
      this.inTurn("bad reload", () => this.reloadBadly());
    } else if (dice < 0.965) {
      this.inTurn("look", () => this.lookAround());
    } else {
      const { id } = this.random.pick(HOSTS);
      this.note("burst", id);
      this.load.burst(id);
    }
  }

  private disturb(): void {
    const host = this.random.pick(HOSTS);
    const mischief = chooseMischief(host, this.random);
    this.note(nameOf(mischief), `${host.id} ${JSON.stringify(mischief)}`);
    void this.servers.mischief(host.id, mischief);
  }

  /** Reloads happen one after the other, beside everything else. */
  private inTurn(name: string, work: () => Promise<void>): void {
    this.reloading = this.reloading.then(async () => {
      this.note(name, "");
      await work();
    });
  }

  private async reload(): Promise<void> {
    const { random } = this;
    const { id } = random.pick(HOSTS);
    this.whims[id] = {
      requests: random.integer(20, 300),
      pipeline: random.integer(1, 60),
      idle: `${random.integer(1, 4)}s`,
    };
    const { changed, added, removed } = await this.remotes.reload(this.configuration());
    if (changed.join() !== id || added.length + removed.length > 0) {
      this.breach("a reload changes what changed", JSON.stringify({ id, changed, added, removed }));
    }
  }

  private async removeAndReturn(): Promise<void> {
    const { id } = this.random.pick(HOSTS);
    await this.remotes.reload(this.configuration(id));
    // The removed host may finish what it has, on connections of its own; only then are all of them the new one's.
    while ((this.load.unsettledOf.get(id) ?? 0) > 0 || (await this.servers.standing(id)) > 0) {
      await pause(20);
    }
    await this.remotes.reload(this.configuration());
  }

  private async reloadBadly(): Promise<void> {
    const good = this.configuration();
    const { id } = this.random.pick(HOSTS);
    const bad = { ...good, remote: { ...good.remote, [id]: { ...good.remote![id]!, port: 0 } } };
    await this.remotes.reload(bad).then(
      () => this.breach("a configuration with mistakes is refused", id),
      () => undefined,
    );
  }

  private configuration(without?: string): ConfigInput {
    const ports = Object.fromEntries(Object.entries(this.servers.ready.ports).filter(([id]) => id !== without));
    return configure(ports, this.caFile, this.threads, this.whims, dirname(this.caFile));
  }

  private holdComplaints(sinceMs: number, promise: string): void {
    for (const { askedMs, what } of this.load.complaints) {
      if (askedMs >= sinceMs) {
        this.breach(promise, `${what}, asked ${Math.round(askedMs - this.lastFaultMs)} ms after it`);
      }
    }
  }

  private holdMemory(): [number, number] {
    const spanMs = this.lastFaultMs - this.firstFaultMs;
    const before = this.gauges.memoryBetween(this.firstFaultMs + spanMs * 0.1, this.firstFaultMs + spanMs * 0.4);
    const after = this.gauges.memoryBetween(this.lastFaultMs - spanMs * 0.3, this.lastFaultMs);
    if (this.options.seconds >= LEAST_SECONDS_FOR_MEMORY && after > before * MOST_GROWTH) {
      this.breach("memory stays within 10 % after the warm-up", `${before} octets, then ${after}`);
    }
    return [before, after];
  }

  private breach(promise: string, what: string): void {
    this.broken[promise] ??= { count: 0, cases: [] };
    const entry = this.broken[promise];
    entry.count++;
    if (entry.cases.length < 5 && what !== "") {
      entry.cases.push(what);
    }
    if (this.options.isVerbose) {
      console.error(`BROKEN ${promise}: ${what}`);
    }
  }

  private note(kind: string, detail: string): void {
    this.mischief.set(kind, (this.mischief.get(kind) ?? 0) + 1);
    if (this.options.isVerbose) {
      console.error(`${(performance.now() / 1000).toFixed(2)} ${kind} ${detail}`);
    }
  }

  private makeLogger(): Logger {
    const take = (line: string): void => {
      if (holdsCanary(line)) {
        this.breach("no password stands in the log", line.trim());
      }
      const record = JSON.parse(line) as { level: number; event: string; reason?: string; hostId?: string };
      if (record.event === "worker-lost") {
        this.countLoss(record.reason ?? "", record.hostId ?? "");
      } else if (record.level >= 50) {
        this.breach("nothing else is logged as an error", line.trim());
      }
    };
    const destination = new Writable({
      write(chunk, _encoding, done) {
        take(String(chunk));
        done();
      },
    });
    return pino({ level: "info" }, destination);
  }

  /** Hosts that share a thread each log its loss. */
  private countLoss(reason: string, hostId: string): void {
    if (!EXPECTED_LOSS.test(reason)) {
      this.breach("workers are lost only when struck", `${hostId}: ${reason}`);
    }
    const nowMs = performance.now();
    if (nowMs - (this.lossReasons.get(reason) ?? Number.NEGATIVE_INFINITY) > 1) {
      this.workersLost++;
    }
    this.lossReasons.set(reason, nowMs);
  }
}
