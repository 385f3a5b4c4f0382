/**
 * A simulated cluster that shares hosts' health, from a seed: gateways, hosts that go down and come back, a Redis that is the model of the
 * script, and what may befall them. What gateways do is held to what docs/cluster.md promises.
 */
import type { HostSettings } from "../../../src/config/settings.js";
import { HealthModel, parseHealthCall } from "../../cluster/kit/health-model.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { Random } from "../random.js";
import { VirtualTime } from "../virtual-time.js";
import type { ClusterPlan } from "./cluster-run.js";
import { ClusterFaults } from "./faults.js";
import { type DialledHosts, HealthGateway } from "./health-gateway.js";
import { HealthJudge, SETTLE_MS, WATCH_MS } from "./health-judge.js";
import { type AttemptOutcome, CONCURRENCY } from "./health-worker.js";
import { SimRedis } from "./sim-redis.js";

const LEASE_MS = 10_000;
const MOST_DOWN_MS = 90_000;
/** What a host that says nothing costs an attempt. */
const SILENCE_MS = 3_000;
/** Time for faults, and for everything to come to rest after them; the longest pause between a worker's requests. */
const PACES = {
  few: { faultsMs: 150_000, pauseMs: 1_000, hostEveryMs: 15_000 },
  many: { faultsMs: 40_000, pauseMs: 6_000, hostEveryMs: 40_000 },
};
const REST_MS = SETTLE_MS + MOST_DOWN_MS + LEASE_MS + 2 * SILENCE_MS;
/** Beyond so many gateways each has a few of the hosts, and not all. */
const FEW_GATEWAYS = 20;

export interface HealthOutcome {
  /** The first promises that were broken. */
  readonly broken: readonly string[];
  readonly calls: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly checks: Readonly<Record<string, number>>;
  readonly attempts: number;
}

/** One that all gateways dial. */
interface DialledHost {
  readonly settings: HostSettings;
  readonly gateways: HealthGateway[];
  state: "up" | "refusing" | "silent";
  /** Who alone cannot reach it, and whose account it refuses. */
  unreachableFor: HealthGateway | undefined;
  refusedAccount: HealthGateway | undefined;
  /** Whose recipients it refuses for policy reasons. */
  blocks: "nobody" | "everybody" | HealthGateway;
}

export class HealthRun implements DialledHosts {
  private readonly time = new VirtualTime();
  private readonly random: Random;
  private readonly redis: SimRedis;
  private readonly model: HealthModel;
  private readonly judge: HealthJudge;
  private readonly befall: ClusterFaults<HealthGateway>;
  private readonly hosts = new Map<string, DialledHost>();
  private readonly gateways: HealthGateway[] = [];
  private readonly faults: Record<string, number> = {};
  private readonly pace: (typeof PACES)["few"];
  /** Since when each gateway has no Redis. */
  private readonly lostMs = new Map<HealthGateway, number>();
  private phase: "faults" | "calm" = "faults";
  private made = 0;
  private attempts = 0;

  constructor(private readonly plan: ClusterPlan) {
    this.random = new Random(plan.seed);
    this.pace = PACES[plan.gateways > FEW_GATEWAYS ? "many" : "few"];
    const model = new HealthModel((message) => this.redis.publish(message));
    this.model = model;
    this.redis = new SimRedis(this.time, this.random, (_keys, args, nowMs) => {
      model.nowMs = nowMs;
      const { gateway, call } = parseHealthCall(args);
      const reply = model.apply(gateway, call);
      this.judge.applied(gateway, call);
      return reply;
    });
    this.redis.isOrdered = true;
    this.judge = new HealthJudge(this.time, model, (hostId) => this.hosts.get(hostId)!.gateways, LEASE_MS);
    this.befall = new ClusterFaults(this.time, this.redis, this.judge);
    for (let index = 0; index < plan.hosts; index++) {
      const settings = smtpSettings({ id: `h${index}`, concurrency: CONCURRENCY, cluster: { health: true } });
      const start = { state: "up", unreachableFor: undefined, refusedAccount: undefined, blocks: "nobody" } as const;
      this.hosts.set(settings.id, { settings, gateways: [], ...start });
    }
  }

  async play(): Promise<HealthOutcome> {
    const { plan, time, random, pace, judge, redis, faults } = this;
    for (let index = 0; index < plan.gateways; index++) {
      time.after(random.between(0, 1_000), () => this.addGateway());
    }
    for (const host of this.hosts.values()) {
      this.changeLater(host);
    }
    time.after(random.between(2_000, 20_000), () => this.strike());
    this.watch();
    await this.befall.until(pace.faultsMs);
    this.calm();
    await this.befall.until(pace.faultsMs + REST_MS);
    for (const { gateway, hostId, worker } of this.running()) {
      judge.checkServed(gateway, hostId, worker, pace.pauseMs + SILENCE_MS);
    }
    const { attempts } = this;
    return { broken: judge.broken, calls: redis.calls, faults, checks: judge.checks, attempts };
  }

  attempt(gateway: HealthGateway, hostId: string, isProbe: boolean, done: (outcome: AttemptOutcome) => void): void {
    const { random, time, judge } = this;
    const host = this.hosts.get(hostId)!;
    this.attempts++;
    if (isProbe) {
      judge.checkProbe(gateway, hostId);
    }
    const isReached = (): boolean => host.state === "up" && host.unreachableFor !== gateway;
    const isSilent = host.state === "silent" || (!isReached() && random.chance(0.3));
    const tookMs = isSilent ? SILENCE_MS : random.skewed(1, isReached() ? 200 : 50);
    time.after(tookMs, () => {
      const stands = !isSilent && isReached();
      done(stands ? (host.refusedAccount === gateway ? "own" : "stands") : "refused");
    });
  }

  refused(gateway: HealthGateway, hostId: string, isTold: boolean): void {
    if (isTold) {
      this.judge.checkRefusal(gateway, hostId);
    }
  }

  private addGateway(): void {
    const { plan, random, redis, judge } = this;
    const isMany = plan.gateways > FEW_GATEWAYS;
    const hosts = [...this.hosts.values()].filter(() => !isMany || random.chance(4 / plan.hosts));
    const settings = hosts.map((host) => host.settings);
    const gateway = new HealthGateway(`g${this.made++}`, redis, settings, this, LEASE_MS);
    this.gateways.push(gateway);
    judge.trouble(gateway, 0);
    for (const host of hosts) {
      host.gateways.push(gateway);
      this.requestLater(gateway, host);
    }
  }

  private requestLater(gateway: HealthGateway, host: DialledHost): void {
    const { random, pace, time } = this;
    const isIdle = this.phase === "faults" && random.chance(0.1);
    const waitMs = isIdle ? random.between(2_000, 20_000) : random.between(10, pace.pauseMs);
    time.after(waitMs, () => {
      if (gateway.state !== "dead") {
        gateway.run(() => this.request(gateway, host));
        this.requestLater(gateway, host);
      }
    });
  }

  private request(gateway: HealthGateway, host: DialledHost): void {
    const { random, judge } = this;
    const { id } = host.settings;
    const worker = gateway.workers.get(id)!;
    worker.request();
    if (worker.connection === "stands") {
      if (host.blocks === "everybody" || host.blocks === gateway) {
        judge.checkPolicy(gateway, id, worker, worker.policyRefusal());
      } else {
        worker.accepted();
      }
      if (random.chance(0.1)) {
        worker.drop();
      }
    } else if (this.phase === "faults" && random.chance(0.05)) {
      worker.abandon();
    }
  }

  private changeLater(host: DialledHost): void {
    const { random, pace, time } = this;
    time.after(random.between(1_000, pace.hostEveryMs), () => {
      if (this.phase === "faults" && host.gateways.length > 0) {
        time.after(this.change(host), () => this.changeLater(host));
      } else if (this.phase === "faults") {
        this.changeLater(host);
      }
    });
  }

  /** @returns until when it lasts */
  private change(host: DialledHost): number {
    const { random, time } = this;
    const gateway = random.pick(host.gateways);
    const kind = random.pick(["refusing", "silent", "silent", "unreachable", "account", "blocks", "crowd"] as const);
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
    const forMs = random.skewed(300, 40_000);
    switch (kind) {
      case "refusing":
      case "silent":
        host.state = kind;
        for (const each of host.gateways) {
          time.after(random.skewed(0, 500), () => each.run(() => each.workers.get(host.settings.id)!.drop()));
        }
        break;
      case "unreachable":
        host.unreachableFor = gateway;
        gateway.run(() => gateway.workers.get(host.settings.id)!.drop());
        break;
      case "account":
        host.refusedAccount = gateway;
        break;
      case "blocks":
        host.blocks = random.chance(0.5) ? "everybody" : gateway;
        break;
      case "crowd":
        gateway.run(() => gateway.workers.get(host.settings.id)!.crowd(random.between(1, CONCURRENCY)));
        return 0;
    }
    time.after(forMs, () => heal(host));
    return forMs;
  }

  private strike(): void {
    if (this.phase !== "faults") {
      return;
    }
    const { random, time, redis, judge, model, befall } = this;
    const gateway = random.pick(this.gateways);
    const ofGateway = ["kill", "stop", "cut", "worker", "worker", "reconnect"] as const;
    const ofRedis = ["pause", "restart", "flush", "flush", "restore", "slow", "clock"] as const;
    const kind = random.chance(0.7) ? random.pick(ofGateway) : random.pick(ofRedis);
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
    const forMs = random.between(50, 15_000);
    switch (kind) {
      case "kill":
        gateway.kill();
        time.after(random.between(0, 5_000), () => this.addGateway());
        break;
      case "stop":
        befall.stop(gateway, forMs);
        break;
      case "cut":
        befall.cut(gateway, forMs);
        break;
      case "worker":
      case "reconnect": {
        const hostId = [...gateway.workers.keys()][0];
        if (hostId !== undefined) {
          gateway.run(() => (kind === "worker" ? gateway.restartWorker(hostId) : this.reconnect(gateway, hostId)));
        }
        break;
      }
      case "pause":
        this.outage("paused", forMs);
        break;
      case "restart":
        this.outage("down", forMs, () => model.flush());
        break;
      case "restore": {
        const copy = model.copy();
        time.after(random.between(100, 6_000), () => this.outage("down", forMs, () => model.restore(copy)));
        break;
      }
      case "flush":
        model.flush();
        judge.forgotten();
        break;
      case "slow":
        befall.slow(random.between(50, 400), forMs);
        break;
      case "clock":
        redis.offsetMs += random.between(-3_000, 3_000);
        judge.forgotten();
        break;
    }
    time.after(random.between(1_000, 25_000), () => this.strike());
  }

  private reconnect(gateway: HealthGateway, hostId: string): void {
    this.judge.reconnected(hostId);
    gateway.reconnect(hostId);
  }

  private outage(state: "paused" | "down", forMs: number, meanwhile: () => void = () => {}): void {
    const { redis, judge, befall } = this;
    if (redis.state !== "up" || this.phase !== "faults") {
      return;
    }
    judge.troubleAll(forMs);
    if (state === "down") {
      judge.forgotten();
    }
    befall.outage(state, forMs, meanwhile);
  }

  /** Nothing befalls anybody from here on, and every host is up. */
  private calm(): void {
    this.phase = "calm";
    for (const host of this.hosts.values()) {
      heal(host);
    }
    this.befall.end(this.gateways);
  }

  private watch(): void {
    const { redis, time, judge, lostMs } = this;
    for (const gateway of this.gateways) {
      if (redis.state === "up" && !gateway.link.isCut) {
        lostMs.delete(gateway);
      } else if (!lostMs.has(gateway)) {
        lostMs.set(gateway, time.nowMs);
      }
    }
    for (const { gateway, hostId, worker } of this.running()) {
      judge.checkLimit(gateway, hostId, worker);
      const sinceMs = lostMs.get(gateway);
      if (sinceMs !== undefined) {
        judge.checkWaiting(gateway, hostId, worker, sinceMs);
      }
    }
    time.after(WATCH_MS, () => this.watch());
  }

  private *running() {
    for (const gateway of this.gateways) {
      if (gateway.state === "running") {
        for (const [hostId, worker] of gateway.workers) {
          yield { gateway, hostId, worker };
        }
      }
    }
  }
}

function heal(host: DialledHost): void {
  host.state = "up";
  host.unreachableFor = undefined;
  host.refusedAccount = undefined;
  host.blocks = "nobody";
}
