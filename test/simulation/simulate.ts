/** One run: from a seed to what happened and what was wrong with it. Virtual time runs as fast as the events can be carried out. */
import type { HostSettings } from "../../src/config/settings.js";
import { domainOf } from "./directory.js";
import { Gateway } from "./gateway.js";
import { Ledger } from "./ledger.js";
import { anyNodeAddress, isPlaced } from "./places.js";
import { Random } from "./random.js";
import { Rush } from "./rush.js";
import { makeScenario, type Scenario } from "./scenario.js";
import { Servers } from "./servers.js";
import { judgeShares } from "./shares.js";
import { SimWorld } from "./sim-world.js";
import { SimThread } from "./thread.js";
import { Trace } from "./trace.js";
import { judge } from "./verdict.js";
import { VirtualTime } from "./virtual-time.js";
import { Workload } from "./workload.js";

/** What nodes meet is drawn apart from the rest. */
const NODES = 0xd0de;
/** So is what tenants do that have full queues. */
const RUSH = 0xfa12;
/** More than the longest honest run takes many times over, and the same with full queues. */
const MOST_EVENTS = 100_000;
const MOST_RUSH_EVENTS = 1_000_000;
/** A close may take this much longer than its drain: QUIT lingers for 2 s, and the wheel is coarse. */
const CLOSE_SLACK_MS = 2_500;
/** After the close: at most the wheel's last tick is still to come. */
const REST_MS = 60;

export interface Run {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly trace: string;
  readonly hash: string;
  /** What the run met, so that a test can tell that the seeds reach it. */
  readonly tally: Readonly<Record<string, number>>;
}

export async function simulate(seed: number): Promise<Run> {
  const simulation = new Simulation(seed);
  try {
    await simulation.run();
  } catch (error) {
    simulation.ledger.violation(`something threw: ${(error as Error).stack}`);
  }
  return simulation.result(seed);
}

class Simulation {
  readonly time = new VirtualTime();
  readonly trace = new Trace(this.time);
  readonly ledger = new Ledger(this.time, this.trace);
  private readonly random: Random;
  private readonly scenario: Scenario;
  private readonly gateway: Gateway;
  private readonly workload: Workload;
  private readonly servers: Servers;
  private readonly rush: Rush | undefined;
  private settings: HostSettings;
  private thread!: SimThread;
  private reconfiguredMs: number | undefined;
  private readonly portDelayMs: number;

  constructor(seed: number) {
    this.random = new Random(seed);
    const { time, random, ledger, trace } = this;
    this.scenario = makeScenario(random, seed);
    this.settings = this.scenario.settings;
    this.gateway = new Gateway(time, ledger, trace);
    this.portDelayMs = random.pick([0, 1, 10]);
    this.workload = new Workload(random, this.scenario, this.gateway, {
      restartServers: (downMs) => this.servers.restart(downMs),
      crash: () => this.crash(),
      reconfigure: () => this.reconfigure(),
    });
    const { contents, recipients } = this.workload;
    this.servers = new Servers(time, random, this.scenario, ledger, trace, contents, recipients);
    trace.add("seed", `${seed} ${JSON.stringify(this.scenario)}`);
    ledger.allow(this.settings.concurrency);
    ledger.allowEach(this.settings.concurrencyPerAddress ?? this.settings.concurrency);
    const rushed = new Random(~seed ^ RUSH);
    this.rush = Rush.of(rushed, this.scenario, this.workload, this.gateway, time, this.servers);
    this.loseNodes(new Random(~seed ^ NODES));
    this.startThread();
  }

  async run(): Promise<void> {
    const { time, workload, gateway } = this;
    for (const { atMs, run } of workload.happenings) {
      time.after(atMs, run);
    }
    if (this.rush !== undefined) {
      time.after(this.rush.startMs, () => this.rush?.begin());
    }
    time.after(workload.closeAtMs, () => this.close());
    const mostEvents = this.rush === undefined ? MOST_EVENTS : MOST_RUSH_EVENTS;
    while (time.count < mostEvents && time.step()) {
      // close() speaks by promise; nothing before it does.
      if (this.thread.closeCalledMs !== undefined) {
        await this.afterEvent();
      }
    }
    await new Promise(setImmediate);
    this.checkRest();
    if (time.count >= mostEvents) {
      this.ledger.violation("the run does not come to rest");
    }
    if (this.thread.closedMs === undefined) {
      this.ledger.violation("close() was never done");
    }
    if (gateway.openSlots > 0) {
      this.ledger.violation(`${gateway.openSlots} slots were never answered`);
    }
    if (this.thread.phases.inFlight !== 0) {
      this.ledger.violation(`${this.thread.phases.inFlight} requests are in flight for ever`);
    }
    if (this.ledger.open > 0) {
      this.ledger.violation(`${this.ledger.open} connections stand at the end`);
    }
  }

  result(seed: number): Run {
    const { ledger, scenario, gateway, workload, reconfiguredMs, rush } = this;
    const { hasCrash } = workload;
    const judged = { ledger, scenario, requests: gateway.requests, hasCrash, reconfiguredMs, rush };
    const broken = judge(judged);
    const sharedMs = judgeShares(judged, broken);
    for (const what of broken) {
      this.trace.add("!!!!", what);
    }
    return {
      seed,
      violations: [...ledger.violations, ...broken],
      trace: this.trace.text,
      hash: this.trace.hash,
      tally: { ...this.tally(), "seconds of full queues": Math.round(sharedMs / 1_000) },
    };
  }

  /** Single addresses die and return, where there are several. */
  private loseNodes(random: Random): void {
    const { scenario, time, servers } = this;
    for (let times = scenario.isCalm || !isPlaced(scenario.settings) ? 0 : random.below(4); times > 0; times--) {
      const [address, downMs] = [anyNodeAddress(random), random.pick([1, 300, 3_000])];
      time.after(random.next() * random.pick([20, 500, 3_000]), () => servers.restartNode(address, downMs));
    }
  }

  private startThread(): void {
    const { time, random, ledger, trace, gateway } = this;
    const world = new SimWorld(time, random, this.scenario, this.servers, trace);
    this.thread = new SimThread(time, random, ledger, trace, gateway, world, this.settings, this.portDelayMs);
    gateway.connect(this.thread);
  }

  private crash(): void {
    if (!this.thread.isAlive || this.thread.closeCalledMs !== undefined) {
      return;
    }
    this.gateway.crash();
    this.time.after(this.random.pick([5, 100]), () => {
      this.startThread();
      if (this.time.nowMs > this.workload.closeAtMs) {
        this.close();
      }
    });
  }

  private reconfigure(): void {
    const { settings, changed } = this.scenario;
    this.reconfiguredMs = this.time.nowMs;
    this.ledger.allow(Math.max(settings.concurrency, changed.concurrency));
    this.settings = changed;
    this.gateway.reconfigure(changed);
  }

  /** A worker that is being replaced is closed when it stands. */
  private close(): void {
    if (this.thread.isAlive) {
      this.gateway.close(this.workload.drainMs);
    }
  }

  private async afterEvent(): Promise<void> {
    for (let turn = 0; turn < 3; turn++) {
      await undefined;
    }
    const { thread, time } = this;
    const { closeCalledMs, closedMs } = thread;
    if (closedMs === undefined) {
      const lateMs = time.nowMs - closeCalledMs! - this.workload.drainMs;
      if (lateMs > CLOSE_SLACK_MS) {
        this.blame("close() is not done in time");
      } else if (lateMs > REST_MS && thread.owed > 0) {
        this.blame(`${thread.owed} requests outlive the close`);
      }
      return;
    }
    if (this.scenario.isCalm && closedMs > closeCalledMs! + CLOSE_SLACK_MS) {
      this.blame("close() waits for nothing");
    }
    if (time.nowMs > closedMs + REST_MS) {
      this.checkRest();
    }
  }

  /** Once: after the close nothing may be left. */
  private checkRest(): void {
    if (this.isAtRest) {
      return;
    }
    const { thread, ledger } = this;
    this.isAtRest = true;
    if (thread.world.pendingTimers > 0) {
      ledger.violation(`${thread.world.pendingTimers} timers are set after the close`);
    }
    if (thread.idleConnections > 0) {
      ledger.violation(`${thread.idleConnections} closed connections are remembered as idle`);
    }
    const { queued, inFlight, connections } = thread.actor.stats();
    const standing = Object.values(connections).reduce((sum, count) => sum + count, 0);
    if (queued + inFlight + standing > 0) {
      ledger.violation(`after the close: ${queued} queued, ${inFlight} in flight, ${standing} connections`);
    }
  }

  private blame(what: string): void {
    if (!this.isBlamed) {
      this.ledger.violation(what);
    }
    this.isBlamed = true;
  }

  private isBlamed = false;
  private isAtRest = false;

  private tally(): Record<string, number> {
    const tally: Record<string, number> = {};
    const count = (what: string): void => {
      tally[what] = (tally[what] ?? 0) + 1;
    };
    count(this.scenario.isCalm ? "calm" : "disturbed");
    const { settings } = this.scenario;
    count(settings.protocol);
    const { addresses = [] } = this.thread.actor.stats();
    Object.assign(tally, {
      "at several addresses": Number(settings.endpoints !== undefined),
      "where SRV records say": Number(settings.service !== undefined),
      sticky: Number(settings.sticky !== undefined),
      "addresses that failed": addresses.filter(({ connectFailures }) => connectFailures > 0).length,
    });
    const { found, notFound, contradicted } = this.thread.actor.stats().learned;
    tally["held back"] = this.thread.actor.stats().harvest.late;
    const { asked, verified } = this.thread.actor.stats().catchAll;
    Object.assign(tally, { "random recipients": asked, "domains verified": verified });
    Object.assign(tally, { "learned: found": found, "learned: not found": notFound, contradicted });
    for (const { outcome, resends, work } of this.gateway.requests) {
      if (
        work.kind === "relay" &&
        new Set(work.job.recipients.map(domainOf)).size > this.scenario.offer.rcptDomainMax
      ) {
        count("to more domains than a transaction takes");
      }
      if (resends > 0) {
        count("asked again after a crash");
      }
      if (outcome?.kind === "failed") {
        count(outcome.failure.code);
      } else if (outcome?.kind === "answered") {
        count(`${outcome.source}: ${outcome.answer.found ? "found" : "not found"}`);
        if (outcome.ageMs > this.scenario.settings.cache.positiveTtlMs) {
          count("stale");
        }
      } else {
        for (const { status } of outcome?.recipients ?? []) {
          count(status);
        }
      }
    }
    for (const { attempts } of this.ledger.messages.values()) {
      if (attempts.length > 1) {
        count("sent again by itself");
      }
    }
    return tally;
  }
}
