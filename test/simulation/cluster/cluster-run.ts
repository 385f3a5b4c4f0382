/**
 * A simulated cluster from a seed: gateways, hosts and their load, a Redis that is the model of the script, and what may befall them.
 * Every promise about places is checked after each event that may break it.
 */
import type { LeasedHost } from "../../../src/cluster/host-lease.js";
import type { OnLoss } from "../../../src/config/settings.js";
import { leaseId, RATE_PARTS } from "../../../src/messages/places.js";
import { PlacesModel } from "../../cluster/kit/places-model.js";
import { Random } from "../random.js";
import { VirtualTime } from "../virtual-time.js";
import { RateJudge } from "./rate-judge.js";
import { type HostUse, judgeRest, judgeUse } from "./rest-judge.js";
import { MOST_MESSAGE_MS, SimGateway, type SimHost, type SimLink } from "./sim-gateway.js";

export interface ClusterPlan {
  readonly seed: number;
  readonly gateways: number;
  readonly hosts: number;
}

/** What the bound of `on-loss = "share"` counts. */
interface Sharer {
  readonly isByShare: boolean;
  readonly allowed: number;
  share: number;
  shareUntilMs: number;
}

const LEASE_MS = 10_000;
/** How often is looked who goes by a share. */
const WATCH_MS = 250;
const TIMEOUT_MS = 100;
/** Of each way of a call. */
const USUAL_DELAY_MS = 20;
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
  private readonly hosts: SimHost[] = [];
  private readonly rates = new Map<string, RateJudge>();
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
      const rate = random.chance(0.5)
        ? { intervalMs: random.pick([20, 50, 200]), burst: random.between(1, 40) }
        : undefined;
      this.hosts.push({ id: `h${index}`, total, concurrency, rate });
      if (rate !== undefined) {
        this.rates.set(`h${index}`, new RateJudge(rate));
      }
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
    time.after(random.skewed(0.1, this.mostDelayMs), () => {
      model.nowMs = Math.floor(1e9 + time.nowMs + this.redisOffsetMs);
      const replies = model.apply(call);
      // The reply may be lost although the call was served.
      const isLost = !this.isCalm && (random.chance(0.003) || gateway.isCutOff);
      if (!isLost) {
        time.after(random.skewed(0.1, this.mostDelayMs), () => finish(replies));
      }
    });
  }

  private redisOffsetMs = 0;
  private mostDelayMs = USUAL_DELAY_MS;

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
    this.until(endMs);
    if (this.broken.length === 0) {
      for (const host of this.hosts) {
        this.fail(...judgeRest(this.useOf(host), LEASE_MS, this.calmMs, time.nowMs));
      }
      if (plan.gateways <= FEW_GATEWAYS) {
        this.loseOne();
      }
    }
    return {
      broken: this.broken,
      events: time.count,
      calls: this.calls,
      faults: this.faults,
      mostOver: this.mostOver,
    };
  }

  private until(endMs: number): void {
    while (this.time.nowMs < endMs && this.broken.length < 5 && this.time.step()) {
      // One event after the other.
    }
  }

  /** The places of one that dies are in use within a lease and a second. */
  private loseOne(): void {
    const lost = this.random.pick(this.gateways.filter(({ state }) => state === "running"));
    lost.kill();
    this.until(this.time.nowMs + LEASE_MS + 1_000);
    for (const host of this.hosts) {
      this.fail(...judgeUse(this.useOf(host)).map((what) => `${what} a lease and a second after ${lost.id} died`));
    }
  }

  private useOf(host: LeasedHost): HostUse {
    return { host, workers: this.gatewaysOf(host).map((gateway) => gateway.workers.get(host.id)!) };
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
    for (const [hostId, rate] of gateway.rates) {
      const { intervalMs } = this.hosts.find(({ id }) => id === hostId)!.rate!;
      const sharers = Math.max(1, this.byHost.get(hostId)!.length);
      // Together some of them want more than the rate, and some less.
      const everyMs = intervalMs * sharers * random.pick([0.3, 1, 3]);
      const arrive = (): void => {
        if (gateway.state !== "dead") {
          gateway.after(0, () => rate.arrive());
          this.time.after(2 * everyMs * random.next(), arrive);
        }
      };
      this.time.after(everyMs * random.next(), arrive);
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
    const kind = random.pick([
      "kill",
      "stop",
      "cut",
      "redis",
      "flush",
      "failover",
      "restore",
      "slow",
      "clock",
    ] as const);
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
      case "restore": {
        const restore = model.snapshot();
        time.after(random.between(100, 2 * LEASE_MS), () => {
          if (!this.isCalm) {
            restore();
            model.run = `r${time.count}`;
          }
        });
        return;
      }
      case "slow":
        this.mostDelayMs = random.between(50, 400);
        time.after(random.between(100, LEASE_MS), () => {
          this.mostDelayMs = USUAL_DELAY_MS;
        });
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
    this.mostDelayMs = USUAL_DELAY_MS;
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
  private shareOf(host: LeasedHost, gateway: SimGateway, worker: Sharer): number {
    const { nowMs } = this.time;
    // An older copy may know of less than was granted since.
    const isRecorded = (this.model.recorded(host.id).get(gateway.id)?.granted ?? -1) >= worker.allowed;
    if (worker.isByShare || !isRecorded || gateway.leases.state === "lost") {
      const { seen } = gateway.leases.hosts.get(host.id)!.reply;
      const share = Math.max(1, Math.floor(host.total / Math.max(1, seen)));
      // Whoever saw fewer gateways when it took its share keeps that for as long: what it opened by it stands.
      const former = nowMs < worker.shareUntilMs ? worker.share : 0;
      worker.share = Math.max(former, share, isRecorded ? 0 : worker.allowed);
      worker.shareUntilMs = nowMs + LEASE_MS + 1_000;
    }
    return nowMs < worker.shareUntilMs ? worker.share : 0;
  }

  begun(gateway: SimGateway, hostId: string): void {
    if (this.onLoss === "local") {
      return;
    }
    const wrong = this.rates.get(hostId)!.came(gateway.id, this.time.nowMs);
    if (wrong !== undefined) {
      this.fail(`${hostId}: ${wrong}`);
    }
  }

  rateGranted(hostId: string): void {
    if (this.onLoss !== "share") {
      return;
    }
    const lease: LeasedHost = { id: leaseId(hostId, "rate"), total: RATE_PARTS, concurrency: RATE_PARTS };
    let extra = 0;
    for (const gateway of this.byHost.get(hostId)!) {
      if (gateway.state === "running") {
        extra += this.shareOf(lease, gateway, gateway.rates.get(hostId)!);
      }
    }
    this.rates.get(hostId)!.allow(extra, this.time.nowMs);
  }

  private watch(): void {
    for (const hostId of this.rates.keys()) {
      this.rateGranted(hostId);
    }
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

  private fail(...what: string[]): void {
    this.broken.push(...what.map((each) => `${Math.round(this.time.nowMs)} ms, on-loss ${this.onLoss}: ${each}`));
  }
}
