/**
 * A simulated cluster from a seed: gateways, hosts and their load, a Redis that is the model of the script, and what may befall them.
 * Every promise about places is checked after each event that may break it.
 */

import type { LeasedHost } from "../../../src/cluster/host-lease.js";
import type { OnLoss } from "../../../src/config/settings.js";
import { PlacesModel } from "../../cluster/kit/places-model.js";
import { Random } from "../random.js";
import { VirtualTime } from "../virtual-time.js";
import { MOST_MESSAGE_MS, SimGateway, type SimLink, type SimWorker } from "./sim-gateway.js";

export interface ClusterPlan {
  readonly seed: number;
  readonly gateways: number;
  readonly hosts: number;
}

const LEASE_MS = 10_000;
/** How often is looked who goes by a share. */
const WATCH_MS = 250;
const TIMEOUT_MS = 100;
/** Time for faults, and for everything to come to rest after them: for a few gateways, and for many. */
const PHASES_MS = { few: { faults: 40_000, rest: 6 * LEASE_MS }, many: { faults: 20_000, rest: 2.5 * LEASE_MS } };
/** Beyond so many gateways each has a few of the hosts, and not all. */
const FEW_GATEWAYS = 20;

export interface ClusterOutcome {
  /** The first promises that were broken. */
  readonly broken: readonly string[];
  readonly events: number;
  readonly calls: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly mostOver: number;
}

export class ClusterRun implements SimLink {
  private readonly time = new VirtualTime();
  private readonly random: Random;
  private readonly model = new PlacesModel();
  private readonly gateways: SimGateway[] = [];
  private readonly hosts: LeasedHost[] = [];
  private readonly byHost = new Map<string, SimGateway[]>();
  private readonly onLoss: OnLoss;
  private readonly broken: string[] = [];
  private readonly faults: Record<string, number> = {};
  private isRedisUp = true;
  private isCalm = false;
  private calmMs = 0;
  private calls = 0;
  private made = 0;
  private mostOver = 0;

  constructor(private readonly plan: ClusterPlan) {
    this.random = new Random(plan.seed);
    const { random } = this;
    this.onLoss = random.pick(["share", "refuse", "share", "refuse", "local"] as const);
    for (let index = 0; index < plan.hosts; index++) {
      const concurrency = random.between(1, 10);
      const sharers = plan.gateways > FEW_GATEWAYS ? Math.ceil((4 * plan.gateways) / plan.hosts) : plan.gateways;
      const total = random.pick([1, 3, random.between(1, 2 * sharers), random.between(1, 5 * sharers)]);
      this.hosts.push({ id: `h${index}`, total, concurrency });
      this.byHost.set(`h${index}`, []);
    }
  }

  run(gateway: SimGateway, call: Parameters<SimLink["run"]>[1], done: Parameters<SimLink["run"]>[2]): void {
    this.calls++;
    const { random, time, model } = this;
    let isDone = false;
    const finish = (replies: Parameters<typeof done>[0]): void => {
      if (isDone) {
        return;
      }
      isDone = true;
      done(replies);
    };
    if (!this.isRedisUp || gateway.isCutOff) {
      time.after(random.chance(0.5) ? 1 : TIMEOUT_MS, () => finish(undefined));
      return;
    }
    time.after(TIMEOUT_MS, () => finish(undefined));
    time.after(random.skewed(0.1, 20), () => {
      model.nowMs = Math.floor(1e9 + time.nowMs + this.redisOffsetMs);
      const replies = model.apply(call);
      // The reply may be lost although the call was served.
      const isLost = !this.isCalm && (random.chance(0.003) || gateway.isCutOff);
      if (!isLost) {
        time.after(random.skewed(0.1, 20), () => finish(replies));
      }
    });
  }

  private redisOffsetMs = 0;

  play(): ClusterOutcome {
    const { plan, time } = this;
    for (let index = 0; index < plan.gateways; index++) {
      time.after(this.random.between(0, 2_000), () => this.addGateway());
    }
    this.planFaults();
    const { faults, rest } = PHASES_MS[plan.gateways > FEW_GATEWAYS ? "many" : "few"];
    time.after(faults, () => this.calm());
    if (this.onLoss === "share") {
      this.watch();
    }
    const endMs = faults + rest;
    while (time.nowMs < endMs && time.step()) {
      if (this.broken.length >= 5) {
        break;
      }
    }
    if (this.broken.length === 0) {
      this.checkRest();
    }
    return {
      broken: this.broken,
      events: time.count,
      calls: this.calls,
      faults: this.faults,
      mostOver: this.mostOver,
    };
  }

  private addGateway(): void {
    const { random } = this;
    const isMany = this.plan.gateways > FEW_GATEWAYS;
    const hosts = this.hosts.filter(() => !isMany || random.chance(4 / this.hosts.length));
    const gateway = new SimGateway(`g${this.made++}`, this.time, random, this, hosts, {
      leaseMs: LEASE_MS,
      onLoss: this.onLoss,
    });
    for (const { id } of hosts) {
      this.byHost.get(id)!.push(gateway);
    }
    this.gateways.push(gateway);
    for (const worker of gateway.workers.values()) {
      this.changeLoad(gateway, worker.host.id);
    }
  }

  private changeLoad(gateway: SimGateway, hostId: string): void {
    if (this.isCalm || gateway.state === "dead") {
      return;
    }
    const { random } = this;
    const worker = gateway.workers.get(hostId)!;
    if (gateway.state === "running") {
      worker.load(random.chance(0.3) ? 0 : random.between(0, 2 * worker.host.concurrency));
    }
    this.time.after(random.between(500, 20_000), () => this.changeLoad(gateway, hostId));
  }

  private planFaults(): void {
    const { random, time } = this;
    const strike = (): void => {
      if (this.isCalm) {
        return;
      }
      this.strike();
      time.after(random.between(200, 6_000), strike);
    };
    time.after(random.between(3_000, 10_000), strike);
  }

  private strike(): void {
    const { random, time, model } = this;
    const gateway = random.pick(this.gateways);
    const kind = random.pick(["kill", "stop", "cut", "redis", "flush", "failover", "clock"] as const);
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
    switch (kind) {
      case "kill":
        gateway.kill();
        time.after(random.between(0, LEASE_MS), () => this.addGateway());
        return;
      case "stop":
        if (gateway.state === "running") {
          gateway.stop();
        }
        time.after(random.between(100, 2 * LEASE_MS), () => gateway.resume());
        return;
      case "cut":
        gateway.isCutOff = true;
        time.after(random.between(100, 2 * LEASE_MS), () => {
          gateway.isCutOff = false;
        });
        return;
      case "redis":
        this.isRedisUp = false;
        time.after(random.between(50, 2 * LEASE_MS), () => {
          this.isRedisUp = true;
        });
        return;
      case "flush":
        model.flush();
        return;
      case "failover":
        model.run = `r${time.count}`;
        return;
      case "clock":
        // Back, or as far as one jump of a clock is noticed whatever comes between: by the gateway that renews next.
        this.redisOffsetMs -= random.between(0, LEASE_MS);
        return;
    }
  }

  /** No fault and no change of load from here on: everybody wants what they want. */
  private calm(): void {
    this.isCalm = true;
    this.calmMs = this.time.nowMs;
    this.isRedisUp = true;
    for (const gateway of this.gateways) {
      gateway.isCutOff = false;
      gateway.resume();
    }
  }

  /** Never more than the total with `refuse`; never more than the stated bound with `share`. Stopped processes hold what they hold. */
  opened(host: LeasedHost): void {
    if (this.onLoss === "local") {
      return;
    }
    const { nowMs } = this.time;
    let held = 0;
    let bound = host.total;
    for (const gateway of this.gatewaysOf(host)) {
      const worker = gateway.workers.get(host.id)!;
      // A process that was stopped for longer than its lease comes back with connections that it may only bring to their end.
      const isLate = nowMs < gateway.resumedMs + MOST_MESSAGE_MS;
      held += isLate ? Math.min(worker.held, worker.allowed) : worker.held;
      if (this.onLoss === "share") {
        bound += this.shareOf(host, gateway, worker);
      }
    }
    this.mostOver = Math.max(this.mostOver, held - host.total);
    if (held > bound) {
      this.fail(`${host.id}: ${held} connections with a total of ${host.total} and a bound of ${bound}`);
    }
  }

  /**
   * What the bound allows for a gateway that Redis cannot see: its share, or the lease that Redis forgot; once it is seen again,
   * what is too much is given back within a lease and a second.
   */
  private shareOf(host: LeasedHost, gateway: SimGateway, worker: SimWorker): number {
    const { nowMs } = this.time;
    const isRecorded = this.model.recorded(host.id).has(gateway.id);
    if (worker.isByShare || !isRecorded || gateway.leases.state === "lost") {
      const { seen } = gateway.leases.hosts.get(host.id)!.reply;
      const share = Math.max(1, Math.floor(host.total / Math.max(1, seen)));
      worker.share = Math.max(share, isRecorded ? 0 : worker.allowed);
      worker.shareUntilMs = nowMs + LEASE_MS + 1_000;
    }
    return nowMs < worker.shareUntilMs ? worker.share : 0;
  }

  private watch(): void {
    for (const host of this.hosts) {
      for (const gateway of this.gatewaysOf(host)) {
        this.shareOf(host, gateway, gateway.workers.get(host.id)!);
      }
    }
    this.time.after(WATCH_MS, () => this.watch());
  }

  private gatewaysOf(host: LeasedHost): SimGateway[] {
    return this.byHost.get(host.id)!.filter(({ state }) => state === "running");
  }

  /** At rest: each gateway has its max-min share, and where there are not enough places for all, each has its turn. */
  private checkRest(): void {
    for (const host of this.hosts) {
      const workers = this.gatewaysOf(host).map((gateway) => gateway.workers.get(host.id)!);
      const wants = workers.map(({ demand }) => Math.min(host.concurrency, demand));
      const level = fairLevel(wants, host.total);
      const used = workers.reduce((sum, { busy }) => sum + busy, 0);
      const wanted = wants.reduce((sum, want) => sum + want, 0);
      const wanting = wants.filter((want) => want > 0).length;
      if (level >= 1 && used !== Math.min(host.total, wanted)) {
        this.fail(`${host.id}: ${used} of ${host.total} places are used, ${wanted} are wanted`);
      }
      workers.forEach((worker, index) => {
        const share = Math.min(wants[index]!, level);
        if (worker.busy < share) {
          this.fail(`${host.id}: a gateway has ${worker.busy} of its share of ${share}`);
        }
        const waitedMs = this.time.nowMs - Math.max(this.calmMs, worker.hungrySinceMs ?? this.time.nowMs);
        // Who has had a place for a lease hears of it with the next renewal.
        const turnMs = (Math.ceil(wanting / host.total) + 1) * LEASE_MS * 1.4;
        if (waitedMs > turnMs) {
          this.fail(`${host.id}: a gateway waited ${Math.round(waitedMs)} ms for its turn`);
        }
      });
    }
  }

  private fail(what: string): void {
    this.broken.push(`${Math.round(this.time.nowMs)} ms, on-loss ${this.onLoss}: ${what}`);
  }
}

/** The level to which all wants can be filled. */
function fairLevel(wants: readonly number[], total: number): number {
  let level = 0;
  while (level < 1000 && wants.reduce((sum, want) => sum + Math.min(want, level + 1), 0) <= total) {
    level++;
  }
  return level;
}
