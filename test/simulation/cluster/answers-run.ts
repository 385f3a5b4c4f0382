/**
 * A simulated cluster that shares answers, from a seed: gateways, a host whose answers change, a Redis that is the model of the script,
 * and what may befall them. Each answer that a gateway gives is held to what the host said, and to what was forgotten.
 */
import { AnswerVault } from "../../../src/cluster/answer-vault.js";
import type { HostSettings } from "../../../src/config/settings.js";
import { AnswersModel, parseAnswerCall } from "../../cluster/kit/answers-model.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { Random } from "../random.js";
import { VirtualTime } from "../virtual-time.js";
import { AnswersGateway, NoAnswer } from "./answers-gateway.js";
import { AnswersJudge } from "./answers-judge.js";
import type { ClusterPlan } from "./cluster-run.js";
import { ClusterFaults } from "./faults.js";
import { SimRedis } from "./sim-redis.js";

const TTL = { positiveTtlMs: 8_000, negativeTtlMs: 3_000 };
const LOOKUP_MS = 3_000;
const ADDRESSES = 4;
const FAULTS_MS = 40_000;
/** Until links stand again after the last fault, and word of what was missed has come. */
export const SETTLE_MS = 12_000;
/** From the first call of one that missed word of what was forgotten until it has dropped what it knew. */
const CATCH_UP_MS = 2_000;
/** Until those who waited for a claim of nobody have asked for themselves. */
const SURVEY_MS = 10_000;
/** Beyond so many gateways each has a few of the hosts, and not all. */
const FEW_GATEWAYS = 20;

export interface AnswersOutcome {
  /** The first promises that were broken. */
  readonly broken: readonly string[];
  readonly lookups: number;
  /** Answers by who gave them. */
  readonly sources: Readonly<Record<string, number>>;
  readonly calls: number;
  readonly forgets: number;
  readonly faults: Readonly<Record<string, number>>;
}

export class AnswersRun {
  private readonly time = new VirtualTime();
  private readonly random: Random;
  private readonly redis: SimRedis;
  private readonly model: AnswersModel;
  private readonly judge: AnswersJudge;
  private readonly befall: ClusterFaults<AnswersGateway>;
  private readonly vault = new AnswerVault("the secret of a simulated cluster, long enough", "sim");
  private readonly hosts: HostSettings[];
  private readonly gateways: AnswersGateway[] = [];
  private readonly faults: Record<string, number> = {};
  private readonly sources: Record<string, number> = {};
  private phase: "faults" | "calm" | "survey" = "faults";
  private made = 0;
  private lookups = 0;
  /** Lookups of gateways that live, and have no outcome. */
  private readonly pending = new Set<{ readonly gateway: AnswersGateway; readonly what: string }>();

  constructor(private readonly plan: ClusterPlan) {
    this.random = new Random(plan.seed);
    const model = new AnswersModel((_, message) => this.redis.publish(message));
    this.model = model;
    this.redis = new SimRedis(
      this.time,
      this.random,
      (keys, args, nowMs) => {
        model.nowMs = nowMs;
        return model.apply(keys[1]!, keys[0]!, parseAnswerCall(args));
      },
      (words, nowMs) => {
        model.nowMs = nowMs;
        return model.read(words);
      },
    );
    this.judge = new AnswersJudge(this.time, TTL);
    this.befall = new ClusterFaults(this.time, this.redis, this.judge);
    const { cache, timeouts } = smtpSettings();
    this.hosts = Array.from({ length: plan.hosts }, (_, index) =>
      smtpSettings({
        id: `h${index}`,
        cache: { ...cache, ...TTL, entries: 100 },
        timeouts: { ...timeouts, lookupMs: LOOKUP_MS },
        cluster: { cache: true },
      }),
    );
  }

  async play(): Promise<AnswersOutcome> {
    const { plan, time, random, judge } = this;
    for (let index = 0; index < plan.gateways; index++) {
      time.after(random.between(0, 1_000), () => this.addGateway());
    }
    time.after(random.between(2_000, 6_000), () => this.strike());
    time.after(random.between(1_000, 3_000), () => this.forgetSomething());
    await this.befall.until(FAULTS_MS);
    this.calm();
    await this.befall.until(FAULTS_MS + SETTLE_MS - CATCH_UP_MS);
    this.callAll();
    await this.befall.until(FAULTS_MS + SETTLE_MS);
    this.phase = "survey";
    const asked = this.survey();
    await this.befall.until(FAULTS_MS + SETTLE_MS + SURVEY_MS);
    judge.checkSurvey(asked);
    for (const { gateway, what } of this.pending) {
      if (gateway.state === "running") {
        judge.fail(`${gateway.id} waits for ever: ${what}`);
      }
    }
    const { lookups, sources, faults, redis } = this;
    return { broken: judge.broken, lookups, sources, calls: redis.calls, forgets: judge.forgets.length, faults };
  }

  private addGateway(): void {
    const { plan, random } = this;
    const isMany = plan.gateways > FEW_GATEWAYS;
    const hosts = this.hosts.filter(() => !isMany || random.chance(4 / this.hosts.length));
    const gateway = new AnswersGateway(`g${this.made++}`, this.redis, hosts, this.vault, {
      ask: (asker, hostId, address, done) => this.answer(asker, hostId, address, done),
    });
    this.gateways.push(gateway);
    this.judge.add(gateway);
    if (hosts.length > 0) {
      this.ask(gateway);
    }
  }

  /** The host: says what is so when the question comes, and sometimes nothing. */
  private answer(
    gateway: AnswersGateway,
    hostId: string,
    address: string,
    done: Parameters<ConstructorParameters<typeof AnswersGateway>[4]["ask"]>[3],
  ): void {
    const { random, time, judge } = this;
    const isLost = this.phase !== "survey" && random.chance(0.03);
    time.after(random.skewed(1, isLost ? LOOKUP_MS : 400), () => {
      const answer = isLost ? undefined : judge.say(hostId, address, random.chance(0.7));
      time.after(random.skewed(0.1, 5), () =>
        gateway.run(() => {
          judge.heard(answer);
          done(answer);
        }),
      );
    });
  }

  private ask(gateway: AnswersGateway): void {
    if (this.phase !== "faults" && this.phase !== "calm") {
      return;
    }
    const { random } = this;
    if (gateway.state === "dead") {
      return;
    }
    gateway.run(() => {
      const hostId = random.pick(gateway.hosts).id;
      void this.lookup(gateway, hostId, `a${random.below(ADDRESSES)}@example.org`);
    });
    this.time.after(random.between(10, this.plan.gateways > FEW_GATEWAYS ? 6_000 : 600), () => this.ask(gateway));
  }

  private async lookup(gateway: AnswersGateway, hostId: string, address: string): Promise<void> {
    const { judge, time } = this;
    const sinceMs = time.nowMs;
    const entry = { gateway, what: `${hostId} ${address} since ${Math.round(sinceMs)} ms` };
    this.pending.add(entry);
    this.lookups++;
    try {
      const answer = await gateway.lookup(hostId, address);
      this.sources[answer.source] = (this.sources[answer.source] ?? 0) + 1;
      judge.checkAnswer(gateway, hostId, address, sinceMs, answer);
    } catch (error) {
      if (!(error instanceof NoAnswer)) {
        throw error;
      }
    } finally {
      this.pending.delete(entry);
    }
  }

  private forgetSomething(): void {
    if (this.phase !== "faults") {
      return;
    }
    const { random } = this;
    const gateway = random.pick(this.gateways);
    if (gateway.state === "running" && gateway.hosts.length > 0) {
      const hostId = random.pick(gateway.hosts).id;
      const address = random.chance(0.3) ? undefined : `a${random.below(ADDRESSES)}@example.org`;
      const done = this.judge.forget(gateway, hostId, address);
      void gateway.forget(hostId, address === undefined ? {} : { recipient: address }).then(done);
    }
    this.time.after(random.between(300, 4_000), () => this.forgetSomething());
  }

  private strike(): void {
    if (this.phase !== "faults") {
      return;
    }
    const { random, time, redis, judge, befall } = this;
    const gateway = random.pick(this.gateways);
    const kind = random.pick(["kill", "stop", "cut", "pause", "restart", "flush", "restore", "slow", "clock"] as const);
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
    const forMs = random.between(50, 8_000);
    switch (kind) {
      case "kill":
        gateway.kill();
        judge.killed(gateway);
        time.after(random.between(0, 5_000), () => this.addGateway());
        break;
      case "stop":
        befall.stop(gateway, forMs);
        break;
      case "cut":
        befall.cut(gateway, forMs);
        break;
      case "pause":
        this.outage("paused", forMs);
        break;
      case "restart":
        this.outage("down", forMs, () => this.model.flush());
        break;
      case "restore": {
        const copy = this.model.copy();
        const copiedMs = time.nowMs;
        time.after(random.between(100, 6_000), () => {
          this.outage("down", forMs, () => {
            this.model.restore(copy);
            judge.restored(copiedMs);
          });
        });
        break;
      }
      case "flush":
        judge.troubleAll(0);
        this.model.flush();
        break;
      case "slow":
        befall.slow(random.between(50, 400), forMs);
        break;
      case "clock": {
        const byMs = random.between(-3_000, 3_000);
        redis.offsetMs += byMs;
        judge.clockJumped(byMs);
        break;
      }
    }
    time.after(random.between(200, 5_000), () => this.strike());
  }

  private outage(state: "paused" | "down", forMs: number, meanwhile: () => void = () => {}): void {
    const { redis, judge, befall } = this;
    judge.troubleAll(forMs);
    if (redis.state !== "up" || this.phase !== "faults") {
      return;
    }
    befall.outage(state, forMs, meanwhile);
  }

  private calm(): void {
    this.phase = "calm";
    this.judge.calm();
    this.befall.end(this.gateways);
  }

  /** Who was cut off for so short that no connection broke hears with its next call only that something was forgotten meanwhile. */
  private callAll(): void {
    for (const gateway of this.gateways) {
      for (const { id } of gateway.hosts) {
        gateway.run(() => void this.lookup(gateway, id, `of.${gateway.id}@example.org`));
      }
    }
  }

  /** Everybody asks the same, which nobody knows: at once, or nearly so. */
  private survey(): ReadonlyMap<string, string> {
    const { random, time } = this;
    const asked = new Map<string, string>();
    for (const gateway of this.gateways) {
      if (gateway.state !== "running") {
        continue;
      }
      for (const { id } of gateway.hosts) {
        for (const address of ["new0@example.org", "new1@example.org"]) {
          asked.set(`${id} ${address}`, gateway.id);
          time.after(random.chance(0.5) ? 0 : random.between(0, 1_000), () => void this.lookup(gateway, id, address));
        }
      }
    }
    return asked;
  }
}
