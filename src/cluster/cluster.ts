/**
 * This gateway's part in its cluster: runs the decisions of leases.ts against Redis and the clock. Kept by src/runtime/fleet.ts, which
 * hands the grants on to the workers.
 */
import { randomBytes } from "node:crypto";
import type { ClusterSettings, HostClusterSettings, HostSettings } from "../config/settings.js";
import type { HealthHint, HealthNews } from "../messages/health.js";
import type { HostRecord } from "../messages/host-log.js";
import { noDurations, observe } from "../messages/host-stats.js";
import {
  leaseId,
  type PlaceDemand,
  type PlaceGrant,
  processNow,
  RATE_PARTS,
  type SharedThing,
  splitLeaseId,
} from "../messages/places.js";
import type { ClusterStats, PlaceStats } from "../stats.js";
import { systemClock } from "../timer-wheel.js";
import { AnswerVault } from "./answer-vault.js";
import { type HeldLeases, Leases } from "./leases.js";
import { decodePlaceReply, encodePlaceCall, PLACE_SCRIPT, type PlaceCall, placesKey } from "./place-script.js";
import { RedisLink, RedisScript } from "./redis.js";
import { type ForgetFilter, SharedAnswers } from "./shared-answers.js";
import { SharedHealth } from "./shared-health.js";

const SHARED_THINGS: readonly SharedThing[] = ["connections", "rate"];
/** Timers of Node's end at 2^31 - 1 ms. */
const LONGEST_TIMER_MS = 60_000;

/** What a cluster needs of the gateway. */
export interface ClusterOwner {
  /** For the worker of a host; lost where none runs, see {@link Cluster.workerStarted}. */
  grant(leaseId: string, grant: PlaceGrant): void;
  /** What other gateways say of a host, for its worker. */
  hint(hostId: string, hint: HealthHint): void;
  /** Another gateway forgot answers of a host. */
  forgotten(hostId: string, filter: ForgetFilter): void;
  log(...record: HostRecord): void;
}

export class Cluster {
  /** Where the cluster has a secret. */
  readonly answers: SharedAnswers | undefined;
  /** Never the same again: what a former process of this gateway held is not ours. */
  private readonly gateway = randomBytes(12).toString("base64url");
  private readonly leases: Leases;
  /** Where a host shares what is known of it. */
  private health: SharedHealth | undefined;
  private readonly script = new RedisScript(PLACE_SCRIPT);
  /** What the log said last of Redis. */
  private told: "starting" | "held" | "lost" = "starting";
  /** Until the first attempt to connect has come to its end, hosts only gather. */
  private state: "starting" | "running" | "closed" = "starting";
  private readonly hosts = new Map<string, HostSettings>();
  private timer: NodeJS.Timeout | undefined;
  /** What Redis, or its client, said last when a call failed. */
  private failure = "";
  private losses = 0;
  /** When Redis was lost last, and how many calls had failed before. */
  private lost = { sinceMs: 0, failedBefore: 0 };
  private readonly calls: ClusterStats["calls"] = { answered: 0, failed: 0, durations: noDurations() };

  private constructor(
    private readonly settings: ClusterSettings,
    private readonly link: RedisLink,
    private readonly owner: ClusterOwner,
    private held: HeldLeases | undefined,
  ) {
    const { leaseMs, onLoss } = settings;
    const { gateway } = this;
    this.leases = new Leases(
      { gateway: held?.gateway ?? gateway, leaseMs, onLoss, random: Math.random },
      {
        call: (call) => void this.run(call),
        grant: (leaseId, grant) => owner.grant(leaseId, grant),
        link: (state) => this.tellLink(state),
      },
    );
    this.answers = this.shareAnswers(gateway);
    link.onListening = () => this.listening();
    link.onSettled = () => this.linkSettled();
    this.timer = setTimeout(() => this.start(), settings.timeoutMs);
    this.timer.unref();
  }

  /**
   * Begins to connect, and returns.
   *
   * @param held what this gateway holds in the same cluster under its former settings
   * @throws RelaypostError CONFIG_VALUE when Redis' client is not installed
   */
  static async open(settings: ClusterSettings, owner: ClusterOwner, held?: HeldLeases): Promise<Cluster> {
    return new Cluster(settings, await RedisLink.open(settings.redis, settings.timeoutMs), owner, held);
  }

  /** A host of the configuration, or its new settings. */
  setHost(host: HostSettings): void {
    this.answers?.addHost(host.id);
    if (host.cluster === undefined) {
      this.unshare(host.id);
      return;
    }
    this.hosts.set(host.id, host);
    if (host.cluster.health === true) {
      this.health ??= this.shareHealth();
      this.health.setHost(host);
    } else {
      this.health?.removeHost(host.id);
    }
    if (this.state === "running") {
      this.add(host, host.cluster);
    }
  }

  /** No connection to the host is left, and none will be opened. */
  removeHost(hostId: string): void {
    this.unshare(hostId);
    this.answers?.removeHost(hostId);
  }

  /** A worker that knows the host runs, with no connection yet. */
  workerStarted(hostId: string): void {
    for (const of of SHARED_THINGS) {
      this.leases.workerStarted(leaseId(hostId, of));
    }
    this.health?.workerStarted(hostId);
  }

  /** The host's worker ended, and its connections with it. */
  workerEnded(hostId: string): void {
    for (const of of SHARED_THINGS) {
      this.demanded(leaseId(hostId, of), { serial: 0, held: 0, want: 0 });
    }
    this.health?.workerEnded(hostId);
  }

  /** What a host's worker found out of its health. */
  found(hostId: string, news: HealthNews): void {
    this.health?.found(hostId, news);
  }

  /** What anybody said of the host's health holds for nobody any more. */
  dropHealth(hostId: string): void {
    this.health?.drop(hostId);
  }

  demanded(id: string, demand: PlaceDemand): void {
    this.leases.demanded(id, demand, processNow());
    this.arm();
  }

  stats(): ClusterStats {
    const { told } = this;
    const counts = this.answers?.counts;
    return {
      state: told,
      losses: this.losses,
      ...(told === "lost" ? { loss: this.lossNow() } : {}),
      calls: structuredClone(this.calls),
      ...(counts === undefined ? {} : { answers: { ...counts } }),
      ...(this.health === undefined ? {} : { health: this.health.stats() }),
    };
  }

  private lossNow(): NonNullable<ClusterStats["loss"]> {
    const { lost, calls, failure, settings } = this;
    return {
      since: lost.sinceMs,
      failedCalls: calls.failed - lost.failedBefore,
      reason: failure,
      onLoss: settings.onLoss,
    };
  }

  /** `undefined` for a host that shares nothing. */
  placeStats(hostId: string): PlaceStats | undefined {
    return this.leases.hosts.get(leaseId(hostId, "connections"))?.stats(processNow());
  }

  /** Gives everything back, as far as Redis can be told. */
  async close(): Promise<void> {
    if (this.state === "closed") {
      return;
    }
    this.end();
    this.takeOver();
    const call = this.leases.leave(processNow());
    if (call.claims.length > 0) {
      await this.send(call).catch(ignore);
    }
    this.link.close();
  }

  /** Ends without a word to Redis: connections stand, and another cluster of this gateway goes on with their places. */
  handOver(): HeldLeases {
    this.end();
    const held = this.held ?? this.leases.handOver();
    this.link.close();
    return held;
  }

  private end(): void {
    this.state = "closed";
    clearTimeout(this.timer);
    this.answers?.close();
    this.health?.close();
  }

  /** Not before it can ask: a call without a connection would count as Redis lost. */
  private takeOver(): void {
    const { held, leases, hosts } = this;
    this.held = undefined;
    if (held === undefined) {
      return;
    }
    leases.takeOver(held);
    for (const id of held.hosts.keys()) {
      if (!hosts.has(splitLeaseId(id).hostId)) {
        leases.remove(id);
      }
    }
  }

  private unshare(hostId: string): void {
    this.hosts.delete(hostId);
    this.health?.removeHost(hostId);
    for (const of of SHARED_THINGS) {
      this.leases.remove(leaseId(hostId, of));
    }
  }

  private shareHealth(): SharedHealth {
    const { gateway, link, owner } = this;
    const { name, leaseMs } = this.settings;
    const hint = (hostId: string, word: HealthHint): void => owner.hint(hostId, word);
    return new SharedHealth({ name, gateway, leaseMs, link, clock: systemClock, hint });
  }

  private shareAnswers(gateway: string): SharedAnswers | undefined {
    const { secret, name } = this.settings;
    if (secret === undefined) {
      return undefined;
    }
    const { link, owner } = this;
    const forgotten = (hostId: string, filter: ForgetFilter): void => owner.forgotten(hostId, filter);
    return new SharedAnswers({
      name,
      gateway,
      vault: new AnswerVault(secret, name),
      link,
      clock: systemClock,
      forgotten,
    });
  }

  /** From now on this is heard: what others say, and what they forget. */
  private listening(): void {
    this.answers?.listening(this.hosts.values());
    this.health?.listening();
  }

  private start(): void {
    if (this.state !== "starting") {
      return;
    }
    this.state = "running";
    clearTimeout(this.timer);
    this.takeOver();
    for (const host of this.hosts.values()) {
      this.setHost(host);
    }
    this.arm();
  }

  private add({ id, concurrency }: HostSettings, cluster: HostClusterSettings): void {
    const nowMs = processNow();
    if (cluster.concurrency === undefined) {
      this.leases.remove(id);
    } else {
      this.leases.add({ id, total: cluster.concurrency, concurrency }, nowMs);
    }
    const rateId = leaseId(id, "rate");
    if (cluster.rate === undefined) {
      this.leases.remove(rateId);
    } else {
      this.leases.add({ id: rateId, total: RATE_PARTS, concurrency: RATE_PARTS }, nowMs);
    }
    this.arm();
  }

  private linkSettled(): void {
    this.start();
    if (this.leases.hosts.size === 0) {
      // No lease finds out whether Redis answers: the connection says it for answers and health, since a call without a reply ends it.
      this.failure = this.link.lastFailure;
      this.tellLink(this.link.isReady ? "held" : "lost");
    }
    if (this.link.isReady && this.state === "running") {
      this.leases.reachable(processNow());
      this.arm();
    }
  }

  private async run(call: PlaceCall): Promise<void> {
    const sentMs = processNow();
    try {
      const replies = decodePlaceReply(await this.send(call), call.claims.length);
      if (replies === undefined) {
        throw new Error("Redis answered with what the place script never says");
      }
      this.calls.answered++;
      observe(this.calls.durations, processNow() - sentMs);
      this.leases.answered(call, replies, processNow());
    } catch (error) {
      this.calls.failed++;
      this.failure = error instanceof Error ? error.message : String(error);
      this.leases.failed(call, processNow());
    }
    this.arm();
  }

  private send(call: PlaceCall): Promise<unknown> {
    return this.link.run(this.script, [placesKey(this.settings.name)], encodePlaceCall(call));
  }

  private arm(): void {
    if (this.state !== "running") {
      return;
    }
    clearTimeout(this.timer);
    const nowMs = processNow();
    const dueMs = this.leases.dueMs(nowMs);
    if (dueMs === Number.POSITIVE_INFINITY) {
      return;
    }
    const waitMs = Math.min(Math.max(0, Math.ceil(dueMs - nowMs)), LONGEST_TIMER_MS);
    this.timer = setTimeout(() => this.tick(), waitMs);
    this.timer.unref();
  }

  private tick(): void {
    this.leases.tick(processNow());
    this.arm();
  }

  private tellLink(state: "held" | "lost"): void {
    if (this.state === "closed" || this.told === state) {
      return;
    }
    this.told = state;
    const { onLoss } = this.settings;
    if (state === "held") {
      this.owner.log("info", "cluster-found", "Redis answers: the limits of the cluster hold.", {});
    } else {
      this.losses++;
      // The call that found it out is the first one that failed.
      this.lost = { sinceMs: Date.now(), failedBefore: this.calls.failed - 1 };
      const until =
        this.leases.hosts.size === 0
          ? "this gateway shares nothing with others"
          : "connections are opened as cluster.on-loss says";
      const message = `Redis is lost: until it answers again, ${until}.`;
      this.owner.log("warn", "cluster-lost", message, { onLoss, reason: this.failure });
    }
  }
}

function ignore(): void {}
