/**
 * What docs/cluster.md promises of hosts' health, held to what befell a simulated cluster: who is told, who tries, who is believed and for
 * how long. Serves health-run.ts.
 */
import type { HealthCall } from "../../../src/cluster/health-script.js";
import type { HealthModel } from "../../cluster/kit/health-model.js";
import type { VirtualTime } from "../virtual-time.js";
import { type HealthGateway, MOST_THREAD_MS } from "./health-gateway.js";
import { CONCURRENCY, type HealthWorker } from "./health-worker.js";

/** Until links stand again, calls are made again and what was missed is read. */
export const SETTLE_MS = 12_000;
/** Word may be under way for so long where nothing is wrong, from Redis to the worker. */
const WORD_MS = 100;
/** What one gateway alone says is believed for so long. */
const FAITH_MS = 5_000;
const MOST_DOWN_MS = 90_000;
const BLOCKED_MS = 60_000;
const CLIMB_EVERY_MS = 5_000;
const TIMEOUT_MS = 100;
export const WATCH_MS = 250;

/** From a word that a host is down to the next one, or to one that it is up: one gateway finds out. */
interface Probation {
  readonly sinceMs: number;
  /** Who tries, or has tried. */
  readonly probes: Set<HealthGateway>;
}

export class HealthJudge {
  readonly broken: string[] = [];
  /** How often a promise was put to the test. */
  readonly checks = { told: 0, probes: 0, believed: 0, alone: 0, crowded: 0, blocked: 0, served: 0 };
  private readonly probations = new Map<string, Probation>();
  /** Of hosts' circuits, as gateways call them. */
  private readonly fields = new Map<string, string>();
  /** When what was told of a host, or of one thing of it, was taken back last. */
  private readonly clearedMs = new Map<string, number>();
  private readonly blocked = new Map<string, { readonly by: string; readonly atMs: number }>();
  private readonly troubledUntilMs = new Map<HealthGateway, number>();
  private allTroubledUntilMs = 0;
  /** When Redis forgot something last, its clock's jumps included. */
  private forgottenMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly time: VirtualTime,
    private readonly model: HealthModel,
    private readonly gatewaysOf: (hostId: string) => readonly HealthGateway[],
    private readonly leaseMs: number,
  ) {}

  /** What came of its try may not be told. */
  trouble(gateway: HealthGateway, forMs: number): void {
    for (const { probes } of this.probations.values()) {
      probes.delete(gateway);
    }
    const untilMs = this.time.nowMs + forMs + SETTLE_MS;
    this.troubledUntilMs.set(gateway, Math.max(untilMs, this.troubledUntilMs.get(gateway) ?? 0));
  }

  troubleAll(forMs: number): void {
    for (const { probes } of this.probations.values()) {
      probes.clear();
    }
    this.allTroubledUntilMs = Math.max(this.allTroubledUntilMs, this.time.nowMs + forMs + SETTLE_MS);
  }

  /** Redis knows nothing any more, or less: who tries now is granted the turn anew. */
  forgotten(): void {
    const { nowMs } = this.time;
    this.forgottenMs = nowMs;
    this.blocked.clear();
    for (const hostId of this.probations.keys()) {
      this.probations.set(hostId, { sinceMs: nowMs, probes: new Set() });
    }
  }

  /** An operator ordered a gateway to forget what was said of the host: it goes there before Redis knows. */
  reconnected(hostId: string): void {
    this.probations.delete(hostId);
  }

  /** The script ran. */
  applied(by: string, call: HealthCall): void {
    const { nowMs } = this.time;
    if ("fields" in call) {
      for (const field of call.verb === "drop" ? call.fields : []) {
        this.cleared(field);
      }
      return;
    }
    const { hostId, of } = partsOf(call.field);
    if (call.verb === "up") {
      this.cleared(call.field);
    } else if (call.verb === "pass") {
      this.passed(hostId, by);
    } else if (call.verb === "note") {
      if (of === "blocked") {
        this.blocked.set(hostId, { by, atMs: nowMs });
      } else {
        this.time.after(WORD_MS, () => this.checkCrowded(call.field, by, call.value, nowMs));
      }
    } else if (call.verb === "down") {
      this.fields.set(hostId, call.field);
      this.probations.set(hostId, { sinceMs: nowMs, probes: new Set() });
      if (this.model.faithOf(this.model.circuitOf(call.field)!) > 2 * WORD_MS) {
        this.time.after(WORD_MS, () => this.checkTold(call.field, by, nowMs));
      }
    }
  }

  /** A connection is begun by one whose circuit may be tried. */
  checkProbe(gateway: HealthGateway, hostId: string): void {
    const { nowMs } = this.time;
    const probation = this.probations.get(hostId);
    if (probation === undefined || probation.sinceMs > nowMs - WORD_MS || !this.isQuiet(gateway)) {
      return;
    }
    this.checks.probes++;
    const others = [...probation.probes].filter((other) => this.isQuiet(other));
    if (others.length > 0) {
      const who = others.map(({ id }) => id).join(", ");
      this.fail(`${hostId}: ${gateway.id} tries it, and so did ${who} since it was told to be down`);
    }
    probation.probes.add(gateway);
  }

  /** A request was refused for what others said. */
  checkRefusal(gateway: HealthGateway, hostId: string): void {
    const { nowMs } = this.time;
    const field = this.fields.get(hostId);
    const record = field === undefined ? undefined : this.model.circuitOf(field);
    const isAlone = record !== undefined && !record.confirmed && record.by !== gateway.id && record.by !== "-";
    if (!isAlone || !this.isQuiet(gateway) || nowMs < this.forgottenMs + MOST_DOWN_MS + SETTLE_MS) {
      return;
    }
    this.checks.believed++;
    const saidMs = this.model.nowMs - record.since;
    if (saidMs > FAITH_MS + WORD_MS) {
      this.fail(`${hostId}: ${gateway.id} refuses what ${record.by} alone said ${saidMs} ms ago`);
    }
  }

  /** The host refused a recipient for policy reasons. */
  checkPolicy(gateway: HealthGateway, hostId: string, worker: HealthWorker, isError: boolean): void {
    const told = this.blocked.get(hostId);
    const { nowMs } = this.time;
    const isOver = told === undefined || nowMs > told.atMs + BLOCKED_MS - WORD_MS || told.by === gateway.id;
    if (isOver || told.atMs > nowMs - WORD_MS || worker.acceptedMs >= told.atMs || !this.mustKnow(gateway, worker)) {
      return;
    }
    this.checks.blocked++;
    if (!isError) {
      this.fail(`${hostId}: ${gateway.id} took a refusal for an answer while ${told.by} is blocked`);
    }
  }

  /**
   * How long a worker has waited for others, to be looked at every {@link WATCH_MS}.
   *
   * @param lostMs since when the gateway has no Redis
   */
  checkWaiting(gateway: HealthGateway, hostId: string, worker: HealthWorker, lostMs: number): void {
    const sinceMs = worker.awaitingSinceMs;
    const { nowMs } = this.time;
    if (sinceMs === undefined || gateway.state !== "running" || nowMs < gateway.resumedMs + this.leaseMs) {
      return;
    }
    this.checks.alone++;
    const thereAndBackMs = TIMEOUT_MS + 2 * MOST_THREAD_MS + WATCH_MS;
    // Who was told to wait for another one's claim waits for its end.
    const mostMs = sinceMs > lostMs ? thereAndBackMs : this.leaseMs + thereAndBackMs;
    if (nowMs - Math.max(sinceMs, lostMs) > mostMs) {
      this.fail(`${hostId}: ${gateway.id} waits for others since ${Math.round(sinceMs)} ms, and Redis is lost`);
    }
  }

  /** No host bears more than the configuration lets it. */
  checkLimit(gateway: HealthGateway, hostId: string, { limit }: HealthWorker): void {
    if (limit.connections > CONCURRENCY || limit.connections < 1) {
      this.fail(`${hostId}: ${gateway.id} has a working limit of ${limit.connections}`);
    }
  }

  /** At rest, with requests: every host is up. */
  checkServed(gateway: HealthGateway, hostId: string, worker: HealthWorker, withinMs: number): void {
    this.checks.served++;
    const agoMs = Math.round(this.time.nowMs - worker.servedMs);
    if (agoMs > withinMs) {
      const { state, waitMs } = worker.circuit;
      this.fail(`${hostId} is up, and ${gateway.id} served nobody for ${agoMs} ms: ${state} for ${waitMs} ms`);
    }
  }

  fail(what: string): void {
    if (this.broken.length < 5) {
      this.broken.push(`${Math.round(this.time.nowMs)} ms: ${what}`);
    }
  }

  private checkTold(field: string, by: string, saidMs: number): void {
    const { hostId } = partsOf(field);
    if ((this.clearedMs.get(field) ?? 0) >= saidMs) {
      return;
    }
    for (const gateway of this.gatewaysOf(hostId)) {
      const worker = gateway.workers.get(hostId)!;
      if (
        gateway.id === by ||
        !this.mustKnow(gateway, worker) ||
        worker.connection === "stands" ||
        worker.stoodMs >= saidMs
      ) {
        continue;
      }
      this.checks.told++;
      if (worker.circuit.state === "closed" && worker.droppedMs < saidMs) {
        this.fail(`${hostId}: ${gateway.id} does not know what ${by} said ${WORD_MS} ms ago`);
      }
    }
  }

  private checkCrowded(field: string, by: string, value: number, saidMs: number): void {
    const { hostId } = partsOf(field);
    if ((this.clearedMs.get(field) ?? 0) >= saidMs) {
      return;
    }
    for (const gateway of this.gatewaysOf(hostId)) {
      const worker = gateway.workers.get(hostId)!;
      if (gateway.id === by || !this.mustKnow(gateway, worker)) {
        continue;
      }
      this.checks.crowded++;
      const climbed = Math.ceil(WORD_MS / CLIMB_EVERY_MS);
      if (worker.limit.connections > Math.max(1, value) + climbed) {
        this.fail(`${hostId}: ${gateway.id} opens ${worker.limit.connections}, and ${by} said that it bears ${value}`);
      }
    }
  }

  private cleared(field: string): void {
    const { hostId, of } = partsOf(field);
    this.clearedMs.set(field, this.time.nowMs);
    if (of === "service") {
      this.probations.delete(hostId);
    } else if (of === "blocked") {
      this.blocked.delete(hostId);
    }
  }

  private passed(hostId: string, by: string): void {
    const { probes } = this.probations.get(hostId) ?? {};
    for (const gateway of probes ?? []) {
      if (gateway.id === by) {
        probes!.delete(gateway);
      }
    }
  }

  /** Whether what others say has come to its worker, long enough ago. */
  private mustKnow(gateway: HealthGateway, worker: HealthWorker): boolean {
    return this.isQuiet(gateway) && worker.startedMs < this.time.nowMs - WORD_MS;
  }

  /** It runs, and nothing stands between it and Redis. */
  private isQuiet(gateway: HealthGateway): boolean {
    const untilMs = Math.max(this.allTroubledUntilMs, this.troubledUntilMs.get(gateway) ?? 0);
    return gateway.state === "running" && this.time.nowMs > untilMs;
  }
}

/** `HOST:PLACE:OF` */
function partsOf(field: string): { readonly hostId: string; readonly of: string } {
  return { hostId: field.slice(0, field.indexOf(":")), of: field.slice(field.lastIndexOf(":") + 1) };
}
