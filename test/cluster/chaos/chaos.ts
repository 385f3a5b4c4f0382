/**
 * Several gateways in processes of their own, each behind a proxy to a real Redis, and a host that counts: everything befalls them that
 * docs/cluster.md speaks of, and its promises are held to what the host saw.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { OnLoss } from "../../../src/config/settings.js";
import { RATE_PARTS } from "../../../src/messages/places.js";
import { RateJudge } from "../../simulation/cluster/rate-judge.js";
import { Random } from "../../simulation/random.js";
import { command } from "../kit/deployments.js";
import type { GatewayTally } from "../kit/gateway-process.js";
import { GatewayProcess } from "../kit/gateways.js";
import { CuttingProxy } from "../kit/proxy.js";
import { RedisServer } from "../kit/redis-server.js";
import { StrictHost } from "../kit/strict-host.js";
import { ChaosAnswers, TTL_MS } from "./answers.js";
import { loseHost, type OutageReport } from "./outage.js";

const TOTAL = 12;
const GATEWAYS = 4;
const CONCURRENCY = 10;
/** The share that a gateway may have been told last: for a lease and more after one was killed there were fewer. */
const MOST_SHARE = TOTAL / (GATEWAYS - 1);
const LEASE_MS = 2_000;
/** How long the host thinks about a message: the machine is not what is tried here. */
const THINK_MS = 20;
/** What a gateway needs to start on a busy machine. */
const START_MS = 4_000;
/** Of the host whose rate is shared. */
const RATE = { perSecond: 40, burst: 10 };
/** What a busy machine may hold up of the messages: then more come in less time. */
const HELD_UP_MS = 1_000;

/** How long a process that was stopped may take to close what it may no longer have. */
const CLOSING_MS = 1_000;
/** What a host that went down for some seconds may be left alone for, after it is back. */
const LEFT_ALONE_MS = 4_000;

/** A gateway, and since when nothing has befallen it. */
interface Seat {
  readonly name: string;
  readonly proxy: CuttingProxy;
  process: GatewayProcess;
  state: "well" | "cut" | "stopped";
  /** It counts as troubled until then: its share, or what it had when it was stopped, is within the bound. */
  troubledUntilMs: number;
  /** Nothing has befallen anybody long enough since it started: else it may know of no other, and take its share for all. */
  knowsOthers: boolean;
}

const WELL = { state: "well", troubledUntilMs: 0, knowsOthers: false } as const;

export interface ChaosReport {
  readonly onLoss: OnLoss;
  readonly faults: Readonly<Record<string, number>>;
  readonly most: number;
  readonly mostBound: number;
  readonly delivered: number;
  readonly rejected: number;
  readonly uncertain: number;
  /** How long it took until the host saw all places in use, after the last fault; and after a gateway was killed. */
  readonly healedMs: number;
  readonly reusedMs: number;
  /** Messages to the host whose rate is shared; how close the fullest time came to what the rate allows. */
  readonly rated: number;
  readonly mostRated: number;
  /** Lookups that were answered, and by other gateways' answers; how often the host was asked in the survey. */
  readonly answered: number;
  readonly shared: number;
  readonly surveyed: number;
  /** The host was down: who dialled it before all knew, and after that; how long it took until all places were in use again. */
  readonly outage: Omit<OutageReport, "broken">;
  readonly backMs: number;
  readonly broken: readonly string[];
}

export class ClusterChaos {
  private readonly random: Random;
  private readonly seats: Seat[] = [];
  private readonly faults: Record<string, number> = {};
  private readonly broken: string[] = [];
  private readonly outcomes = { delivered: 0, rejected: 0, uncertain: 0 };
  private readonly rejected: string[] = [];
  private readonly delivered: string[] = [];
  /** Gateways whose processes are stopped, or were until now. */
  private readonly stopped = new Set<string>();
  private most = 0;
  private mostBound = 0;
  private rated = 0;
  private readonly rate = new RateJudge({
    intervalMs: 1000 / RATE.perSecond,
    burst: RATE.burst + (RATE.perSecond * HELD_UP_MS) / 1000,
  });

  private constructor(
    seed: number,
    private readonly onLoss: OnLoss,
    private readonly redis: RedisServer,
    private readonly host: StrictHost,
    private readonly ratedHost: StrictHost,
    private readonly answers: ChaosAnswers,
  ) {
    this.random = new Random(seed);
  }

  static async run(seed: number, onLoss: OnLoss, seconds: number): Promise<ChaosReport> {
    const redis = await RedisServer.start();
    const host = await StrictHost.start();
    host.thinkMs = THINK_MS;
    const ratedHost = await StrictHost.start();
    const answers = await ChaosAnswers.start();
    const chaos = new ClusterChaos(seed, onLoss, redis, host, ratedHost, answers);
    try {
      return await chaos.play(seconds);
    } finally {
      for (const { process, proxy } of chaos.seats) {
        process.resume();
        await process.kill();
        await proxy.close();
      }
      await host.close();
      await ratedHost.close();
      await answers.host.close();
      await redis.close();
    }
  }

  private async play(seconds: number): Promise<ChaosReport> {
    for (let index = 0; index < GATEWAYS; index++) {
      const proxy = await CuttingProxy.start(this.redis.port);
      const name = `g${index}.example`;
      this.seats.push({ name, proxy, process: this.launch(name, proxy), ...WELL });
      this.trouble(this.seats.at(-1)!, START_MS);
    }
    await this.until(() => this.host.connections === TOTAL, "the cluster never came to use its places");
    this.host.onChange = () => setImmediate(() => this.check());
    this.ratedHost.onMail = (name) => this.checkRate(name);
    const endMs = performance.now() + seconds * 1000;
    while (performance.now() < endMs) {
      await this.strike();
      await wait(this.random.between(200, LEASE_MS));
    }
    await this.heal();
    const healedMs = await this.until(
      () => this.host.connections === TOTAL && this.isFair(),
      "places were not shared out again within two leases",
      2 * LEASE_MS + START_MS,
    );
    const surveyed = await this.answers.survey(this.seats.map(({ process }) => process));
    const { broken: tooMany, ...outage } = await loseHost(
      this.host,
      this.seats.map(({ process }) => process),
    );
    this.broken.push(...tooMany);
    const backMs = await this.until(
      () => this.host.connections === TOTAL && this.isFair(),
      "a host that was back was not used again in time",
      LEFT_ALONE_MS + 2 * LEASE_MS + START_MS,
    );
    const reusedMs = await this.loseOne();
    this.judge();
    const { onLoss, faults, most, mostBound, outcomes, broken, rated, rate, answers } = this;
    const all = [...broken, ...answers.broken];
    const seen = { rated, mostRated: rate.most, ...answers.counts, surveyed, outage, backMs };
    return { onLoss, faults, most, mostBound, ...outcomes, healedMs, reusedMs, ...seen, broken: all };
  }

  private launch(name: string, proxy: CuttingProxy): GatewayProcess {
    const common = {
      address: "127.0.0.1",
      protocol: "lmtp" as const,
      tls: { implicit: false, starttls: "disable" as const },
    };
    const { onLoss, host, ratedHost, answers } = this;
    const config = {
      runtime: { hostname: name },
      cluster: {
        url: proxy.url,
        name: "chaos",
        lease: `${LEASE_MS}ms`,
        timeout: "600ms",
        "on-loss": onLoss,
        secret: "a secret for the chaos of gateways, long enough",
      },
      remote: {
        lmtp: { ...common, port: host.port, concurrency: CONCURRENCY, cluster: { concurrency: TOTAL } },
        rated: {
          ...common,
          port: ratedHost.port,
          concurrency: 2,
          cluster: { rate: `${RATE.perSecond}/s`, "rate-burst": RATE.burst },
        },
        asked: {
          ...common,
          port: answers.host.port,
          lookup: true,
          limits: { errors: 1_000_000, requests: 1_000_000 },
          cache: { ttl: { positive: `${TTL_MS}ms`, negative: `${TTL_MS}ms` } },
          cluster: { cache: true },
        },
      },
    };
    const asked = { host: "asked", addresses: answers.addresses };
    const gateway = GatewayProcess.start({ config, parallel: 2 * CONCURRENCY, relayed: ["lmtp", "rated"], asked });
    gateway.onTally = (tally) => this.note(tally);
    return gateway;
  }

  private note({ settled, lookups }: GatewayTally): void {
    if (lookups !== undefined) {
      this.answers.note(lookups);
    }
    for (const { line, outcome } of settled) {
      this.outcomes[outcome]++;
      if (outcome === "rejected") {
        this.rejected.push(line);
      } else if (outcome === "delivered") {
        this.delivered.push(line);
      }
    }
  }

  private async strike(): Promise<void> {
    const { random, redis } = this;
    const seat = random.pick(this.seats);
    const kind = random.pick(["kill", "stop", "cut", "pause", "restart", "flush"] as const);
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
    const forMs = random.between(100, 2 * LEASE_MS);
    switch (kind) {
      case "kill":
        seat.process.resume();
        await seat.process.kill();
        this.trouble(seat, START_MS);
        seat.knowsOthers = false;
        seat.process = this.launch(seat.name, seat.proxy);
        return;
      case "stop":
        seat.state = "stopped";
        this.stopped.add(seat.name);
        seat.process.stop();
        this.answers.stopped();
        await wait(forMs);
        seat.process.resume();
        this.answers.resumed();
        seat.state = "well";
        this.trouble(seat, LEASE_MS);
        // What it may no longer have is closed behind the message that it carries.
        await wait(CLOSING_MS);
        this.stopped.delete(seat.name);
        return;
      case "cut":
        seat.state = "cut";
        seat.proxy.cut();
        await wait(forMs);
        seat.proxy.heal();
        seat.state = "well";
        this.trouble(seat, LEASE_MS);
        return;
      case "pause":
        this.troubleAll(forMs + LEASE_MS);
        redis.pause();
        await wait(forMs);
        redis.resume();
        return;
      case "restart":
        this.troubleAll(forMs + LEASE_MS);
        await redis.kill();
        await wait(forMs);
        await redis.restart();
        this.troubleAll(LEASE_MS);
        return;
      case "flush":
        this.troubleAll(LEASE_MS);
        await command(redis.url, "FLUSHALL");
        return;
    }
  }

  private trouble(seat: Seat, forMs: number): void {
    seat.troubledUntilMs = Math.max(seat.troubledUntilMs, performance.now() + forMs + 1_000);
  }

  private troubleAll(forMs: number): void {
    for (const seat of this.seats) {
      this.trouble(seat, forMs);
    }
  }

  /** With each connection: never more than the total (`refuse`), never more than the bound that docs/cluster.md states (`share`). */
  private check(): void {
    const nowMs = performance.now();
    let seen = this.host.connections;
    let bound = TOTAL;
    for (const seat of this.seats) {
      const { name, state, troubledUntilMs } = seat;
      const isTroubled = state !== "well" || nowMs < troubledUntilMs;
      seat.knowsOthers ||= !isTroubled;
      if (this.onLoss === "share" && isTroubled) {
        bound += seat.knowsOthers ? MOST_SHARE : CONCURRENCY;
      }
      // The sockets of a process that is stopped stand, whoever has its places; it closes them when it runs again.
      if (this.stopped.has(name)) {
        seen -= this.host.byName.get(name) ?? 0;
      }
    }
    this.most = Math.max(this.most, seen);
    this.mostBound = Math.max(this.mostBound, bound);
    if (seen > bound && this.broken.length < 5) {
      const who = this.seats.map(({ name, state }) => `${name} ${state} ${this.host.byName.get(name)}`).join(", ");
      this.broken.push(`the host saw ${seen} connections, with a bound of ${bound}: ${who}`);
    }
  }

  /** The same for the rate, with each message that begins. */
  private checkRate(name: string): void {
    const nowMs = performance.now();
    let troubled = 0;
    for (const { state, troubledUntilMs, knowsOthers } of this.seats) {
      if (this.onLoss === "share" && (state !== "well" || nowMs < troubledUntilMs)) {
        troubled += knowsOthers ? RATE_PARTS / (GATEWAYS - 1) : RATE_PARTS;
      }
    }
    this.rated++;
    this.rate.allow(troubled, nowMs);
    const wrong = this.rate.came(name, nowMs);
    if (wrong !== undefined && this.broken.length < 5) {
      this.broken.push(`the rated host saw ${wrong}`);
    }
  }

  private async heal(): Promise<void> {
    for (const seat of this.seats) {
      seat.proxy.heal();
      seat.process.resume();
      seat.state = "well";
    }
    this.redis.resume();
  }

  private isFair(): boolean {
    return this.seats.every(({ name }) => this.host.byName.get(name) === TOTAL / GATEWAYS);
  }

  private async loseOne(): Promise<number> {
    const seat = this.seats.pop()!;
    await seat.process.kill();
    const tookMs = await this.until(
      () => this.host.connections === TOTAL,
      "the places of a dead gateway were not in use again within a lease and a second",
      LEASE_MS + 1_000,
    );
    await seat.proxy.close();
    return tookMs;
  }

  /** What became of each message, by the gateways and by the host. */
  private judge(): void {
    const taken = new Map([...this.host.taken, ...this.ratedHost.taken]);
    const reached = this.rejected.filter((line) => taken.has(line));
    const lost = this.delivered.filter((line) => !taken.has(line));
    const twice = [...taken].filter(([, count]) => count > 1);
    if (reached.length > 0) {
      this.broken.push(`${reached.length} messages were rejected and reached somebody, such as ${reached[0]}`);
    }
    if (lost.length > 0) {
      this.broken.push(`${lost.length} messages were delivered, and the host never took them, such as ${lost[0]}`);
    }
    if (twice.length > 0) {
      this.broken.push(`${twice.length} messages came twice, such as ${twice[0]}`);
    }
    if (this.delivered.length === 0) {
      this.broken.push("nothing was delivered");
    }
  }

  private async until(isSo: () => boolean, complaint: string, withinMs = 30_000): Promise<number> {
    const startMs = performance.now();
    while (!isSo()) {
      if (performance.now() - startMs > withinMs) {
        const names = JSON.stringify([...this.host.byName]);
        this.broken.push(`${complaint}: ${this.host.connections} connections, ${names}`);
        break;
      }
      await wait(20);
    }
    return Math.round(performance.now() - startMs);
  }
}
