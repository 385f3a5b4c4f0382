/** One gateway of a simulated cluster: the real decisions about its places, and workers as plain as they can be that keep to them. */
import type { LeasedHost } from "../../../src/cluster/host-lease.js";
import { Leases } from "../../../src/cluster/leases.js";
import type { PlaceCall, PlaceReply } from "../../../src/cluster/place-script.js";
import type { OnLoss, RateSettings } from "../../../src/config/settings.js";
import { leaseId, type PlaceDemand, type PlaceGrant, RATE_PARTS, splitLeaseId } from "../../../src/messages/places.js";
import type { Clock } from "../../../src/timer-wheel.js";
import type { Random } from "../random.js";
import type { VirtualTime } from "../virtual-time.js";
import { SimRate } from "./sim-rate.js";

/** A host whose connections, and perhaps whose rate, are shared. */
export interface SimHost extends LeasedHost {
  readonly rate: RateSettings | undefined;
}

/** What stands between a gateway and Redis. */
export interface SimLink {
  run(gateway: SimGateway, call: PlaceCall, done: (replies: readonly PlaceReply[] | undefined) => void): void;
  /** A connection was opened to the host. */
  opened(host: LeasedHost): void;
  /** A request began that counts for the rate. */
  begun(gateway: SimGateway, hostId: string): void;
  /** What a gateway may do of a rate has changed. */
  rateGranted(hostId: string): void;
}

/** Short enough to be over within the margin by which a gateway lets its lease go early. */
export const MOST_MESSAGE_MS = 300;

/** How late a busy thread may hear of the other. */
const MOST_DELAY_MS = 200;

/** A worker's side of one host. */
export class SimWorker {
  /** Connections that could be used now. */
  demand = 0;
  busy = 0;
  idle = 0;
  /** What it counts for in the bound of `on-loss = "share"`, and until when. */
  share = 0;
  shareUntilMs = 0;
  private grant: PlaceGrant | undefined;
  /** Since when it wanted a place and had none. */
  hungrySinceMs: number | undefined;

  constructor(
    private readonly gateway: SimGateway,
    readonly host: LeasedHost,
  ) {}

  get held(): number {
    return this.busy + this.idle;
  }

  get allowed(): number {
    const { grant } = this;
    return grant === undefined || this.gateway.nowMs >= grant.untilMs
      ? 0
      : Math.min(grant.places, this.host.concurrency);
  }

  /** It goes by what `on-loss = "share"` allows without a lease. */
  get isByShare(): boolean {
    return this.grant?.basis === "share";
  }

  take(grant: PlaceGrant): void {
    this.grant = grant;
    this.adjust();
    if (grant.untilMs !== Number.POSITIVE_INFINITY) {
      this.gateway.later(grant.untilMs, () => this.adjust());
    }
    this.tell();
  }

  load(demand: number): void {
    const had = this.demand;
    this.demand = demand;
    this.adjust();
    // As a real one: what it needs is told at once, what it does not need any more when it is asked.
    if (demand > had && demand > this.allowed) {
      this.tell();
    }
  }

  tell(): void {
    const { busy, demand, host, held } = this;
    const want = Math.min(host.concurrency, Math.max(busy, demand));
    this.gateway.demanded(host.id, { serial: this.grant?.serial ?? 0, held, want });
  }

  /** Its thread is gone, and its connections with it. */
  die(): void {
    this.busy = 0;
    this.idle = 0;
    this.grant = undefined;
  }

  /** Opens what it may and can use, closes what it may not have: idle connections at once, busy ones after their message. */
  private adjust(): void {
    const { allowed } = this;
    const couldBeBusy = Math.min(this.demand, allowed);
    while (this.busy < couldBeBusy) {
      if (this.idle > 0) {
        this.idle--;
      }
      this.busy++;
      this.gateway.opened(this.host);
    }
    while (this.idle > 0 && this.held > allowed) {
      this.idle--;
    }
    while (this.busy - this.finishing > couldBeBusy) {
      this.finishOne();
    }
    const { nowMs } = this.gateway;
    if (this.demand === 0 || this.held > 0) {
      this.hungrySinceMs = undefined;
    } else {
      this.hungrySinceMs ??= nowMs;
    }
  }

  /** Messages at work that may be the last of their connections. */
  private finishing = 0;

  private finishOne(): void {
    this.finishing++;
    this.gateway.after(this.gateway.messageMs(), () => {
      this.finishing--;
      if (this.busy <= Math.min(this.demand, this.allowed)) {
        return;
      }
      const wasAbove = this.held > this.allowed;
      this.busy--;
      if (!wasAbove) {
        this.idle++;
      }
      this.adjust();
      if (wasAbove) {
        this.tell();
      }
    });
  }
}

export class SimGateway {
  readonly workers = new Map<string, SimWorker>();
  /** By the hosts' ids, where they share a rate. */
  readonly rates = new Map<string, SimRate>();
  readonly leases: Leases;
  state: "running" | "stopped" | "dead" = "running";
  isCutOff = false;
  /** When it went on after it was stopped. */
  resumedMs = Number.NEGATIVE_INFINITY;
  /** When the last message between the threads comes: none overtakes another. */
  private toWorkerMs = 0;
  private fromWorkerMs = 0;
  private stopTick: (() => void) | undefined;
  private tickAtMs = Number.POSITIVE_INFINITY;
  /** Events that came while the process was stopped. */
  private held: (() => void)[] = [];

  constructor(
    readonly id: string,
    private readonly time: VirtualTime,
    private readonly random: Random,
    private readonly link: SimLink,
    hosts: readonly SimHost[],
    options: { readonly leaseMs: number; readonly onLoss: OnLoss },
  ) {
    const draw = (): number => random.next();
    this.leases = new Leases(
      { gateway: id, random: draw, ...options },
      {
        call: (call) => this.call(call),
        grant: (hostId, grant) => {
          this.toWorkerMs = Math.max(this.toWorkerMs, this.nowMs + random.skewed(0, MOST_DELAY_MS));
          this.later(this.toWorkerMs, () => this.take(hostId, grant));
        },
        link: () => {},
      },
    );
    for (const host of hosts) {
      this.workers.set(host.id, new SimWorker(this, host));
    }
    for (const host of hosts) {
      this.leases.add(host, this.nowMs);
      if (host.rate !== undefined) {
        this.addRate(host.id, host.rate);
      }
    }
    this.arm();
  }

  get nowMs(): number {
    return this.time.nowMs;
  }

  messageMs(): number {
    return this.random.between(5, MOST_MESSAGE_MS);
  }

  after(ms: number, run: () => void): void {
    this.time.after(ms, () => this.run(run));
  }

  later(atMs: number, run: () => void): void {
    this.after(Math.max(0, atMs - this.nowMs), run);
  }

  demanded(hostId: string, demand: { serial: number; held: number; want: number }): void {
    this.fromWorkerMs = Math.max(this.fromWorkerMs, this.nowMs + this.random.skewed(0, MOST_DELAY_MS));
    this.later(this.fromWorkerMs, () => {
      this.leases.demanded(hostId, demand, this.nowMs);
      this.arm();
    });
  }

  opened(host: LeasedHost): void {
    this.link.opened(host);
  }

  kill(): void {
    this.state = "dead";
    for (const worker of this.workers.values()) {
      worker.die();
    }
  }

  stop(): void {
    this.state = "stopped";
  }

  resume(): void {
    if (this.state !== "stopped") {
      return;
    }
    this.state = "running";
    this.resumedMs = this.nowMs;
    for (const run of this.held.splice(0)) {
      run();
    }
    this.arm();
  }

  private addRate(hostId: string, settings: RateSettings): void {
    const id = leaseId(hostId, "rate");
    const clock: Clock = { now: () => this.nowMs, after: (ms, run) => this.cancellable(ms, run) };
    const want = (demand: PlaceDemand): void => this.demanded(id, demand);
    const begun = (): void => this.link.begun(this, hostId);
    this.rates.set(hostId, new SimRate(settings, { clock, want, begun }));
    this.leases.add({ id, total: RATE_PARTS, concurrency: RATE_PARTS }, this.nowMs);
  }

  private take(id: string, grant: PlaceGrant): void {
    const { hostId, of } = splitLeaseId(id);
    if (of === "connections") {
      this.workers.get(hostId)!.take(grant);
      return;
    }
    this.link.rateGranted(hostId);
    this.rates.get(hostId)!.take(grant);
    this.link.rateGranted(hostId);
  }

  private cancellable(ms: number, run: () => void): () => void {
    let isOff = false;
    const stop = this.time.after(ms, () => this.run(() => isOff || run()));
    return () => {
      isOff = true;
      stop();
    };
  }

  private run(run: () => void): void {
    if (this.state === "running") {
      run();
    } else if (this.state === "stopped") {
      this.held.push(run);
    }
  }

  private call(call: PlaceCall): void {
    this.link.run(this, call, (replies) => {
      this.run(() => {
        if (replies === undefined) {
          this.leases.failed(call, this.nowMs);
        } else {
          this.leases.answered(call, replies, this.nowMs);
        }
        this.arm();
      });
    });
  }

  private arm(): void {
    const dueMs = this.leases.dueMs(this.nowMs);
    if (dueMs === this.tickAtMs) {
      return;
    }
    this.stopTick?.();
    this.tickAtMs = dueMs;
    if (dueMs === Number.POSITIVE_INFINITY) {
      return;
    }
    this.stopTick = this.time.after(dueMs - this.nowMs, () =>
      this.run(() => {
        this.tickAtMs = Number.POSITIVE_INFINITY;
        this.leases.tick(this.nowMs);
        this.arm();
      }),
    );
  }
}
