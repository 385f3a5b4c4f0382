/**
 * When this gateway asks Redis for places, and what it does with the answer: the decisions, without I/O. Ticks, demands of workers
 * and results of calls come in from cluster.ts; calls of the place script and grants for workers go out.
 *
 * ```
 * unknown ─► held ⇄ lost        lost: a call failed; each host goes on as `cluster.on-loss` says, and one call at a time finds out
 * ```
 */
import type { OnLoss } from "../config/settings.js";
import type { PlaceDemand, PlaceGrant } from "../messages/places.js";
import { HostLease, type LeasedHost } from "./host-lease.js";
import type { PlaceCall, PlaceReply } from "./place-script.js";

/** Renewals in a lease: one may be lost, and one late, before a lease ends. */
const RENEWALS = 3;
/** How often in a lease a gateway asks again where it got less than it could use: less often the more gateways there are. */
const HUNGRY_CALLS = 12;
const FEW_GATEWAYS = 16;
/** Part of a lease by which a gateway lets it go early: clocks drift, and connections take time to close. */
const MARGIN = 0.1;
/** Workers say what they need so long before each renewal. */
const POLL_MS = 50;
const FIRST_RETRY_MS = 250;

export type LinkState = "unknown" | "held" | "lost";

export interface LeasesOptions {
  /** Nobody else has it, also not this gateway after its next start. */
  readonly gateway: string;
  readonly leaseMs: number;
  readonly onLoss: OnLoss;
  readonly random: () => number;
}

/** Where decisions go. */
export interface LeasesOutput {
  /** Run the script; {@link Leases.answered} or {@link Leases.failed} follows. */
  call(call: PlaceCall): void;
  grant(hostId: string, grant: PlaceGrant): void;
  /** The state of the link changed. */
  link(state: "held" | "lost"): void;
}

/** What another {@link Leases} of this gateway goes on with. */
export interface HeldLeases {
  readonly gateway: string;
  readonly serial: number;
  readonly hosts: ReadonlyMap<string, HostLease>;
}

export class Leases {
  state: LinkState = "unknown";
  readonly hosts = new Map<string, HostLease>();
  private serial = 0;
  private inFlight: { readonly call: PlaceCall; readonly sentMs: number } | undefined;
  /** Hosts that need an answer before the next renewal. */
  private readonly asking = new Set<HostLease>();
  private renewAtMs = Number.NEGATIVE_INFINITY;
  private hungryAtMs = Number.POSITIVE_INFINITY;
  private isPolled = false;
  private retries = 0;

  constructor(
    private readonly options: LeasesOptions,
    private readonly out: LeasesOutput,
  ) {}

  /** Begins to hold places at a host, or goes on under other settings. */
  add(host: LeasedHost, nowMs: number): void {
    const known = this.hosts.get(host.id);
    if (known !== undefined) {
      known.host = host;
    } else {
      this.hosts.set(host.id, new HostLease(host));
    }
    this.ask(this.hosts.get(host.id)!, nowMs);
  }

  /** The host is gone, and no connection to it is left. What it held ends with its lease. */
  remove(hostId: string): void {
    const host = this.hosts.get(hostId);
    if (host === undefined) {
      return;
    }
    this.hosts.delete(hostId);
    this.asking.delete(host);
  }

  /** A worker that knows the host runs, or another one runs in its place. */
  workerStarted(hostId: string): void {
    const host = this.hosts.get(hostId);
    const grant = host?.restarted();
    if (grant !== undefined) {
      this.out.grant(hostId, grant);
    }
  }

  demanded(hostId: string, demand: PlaceDemand, nowMs: number): void {
    const host = this.hosts.get(hostId);
    if (host === undefined) {
      return;
    }
    host.demanded(demand);
    if (this.state === "lost") {
      return;
    }
    if (host.mustAsk(nowMs) || host.mustGiveBack(nowMs)) {
      this.ask(host, nowMs);
    } else if (this.hungryAtMs === Number.POSITIVE_INFINITY && host.isHungry(nowMs)) {
      this.setHungry(nowMs);
    }
  }

  /** Does what is due. To be called when {@link dueMs} has come. */
  tick(nowMs: number): void {
    if (this.state === "lost") {
      this.fallBack(nowMs);
    }
    if (this.inFlight !== undefined) {
      return;
    }
    if (nowMs >= this.renewAtMs) {
      this.send([...this.hosts.values()], nowMs);
    } else if (!this.isPolled && nowMs >= this.renewAtMs - POLL_MS) {
      this.poll();
    } else if (nowMs >= this.hungryAtMs) {
      this.askAgain(nowMs);
    }
  }

  /** When {@link tick} has something to do, unless a result or a demand comes first. */
  dueMs(nowMs: number): number {
    let dueMs = Number.POSITIVE_INFINITY;
    if (this.inFlight === undefined) {
      dueMs = Math.min(this.hungryAtMs, this.isPolled ? this.renewAtMs : this.renewAtMs - POLL_MS);
    }
    if (this.state === "lost") {
      for (const { untilMs } of this.hosts.values()) {
        if (untilMs > nowMs) {
          dueMs = Math.min(dueMs, untilMs);
        }
      }
    }
    return dueMs;
  }

  answered(call: PlaceCall, replies: readonly PlaceReply[], nowMs: number): void {
    const sent = this.takeBack(call);
    if (sent === undefined) {
      return;
    }
    const wasLost = this.state !== "held";
    this.become("held");
    this.retries = 0;
    const { leaseMs } = this.options;
    const untilMs = sent.sentMs + leaseMs * (1 - MARGIN);
    call.claims.forEach(({ hostId }, index) => {
      const host = this.hosts.get(hostId);
      if (host !== undefined) {
        this.out.grant(hostId, host.renewed(replies[index]!, sent.sentMs, untilMs));
      }
    });
    if (wasLost) {
      this.renewIn(leaseMs / RENEWALS, nowMs);
    }
    if (this.hungryAtMs === Number.POSITIVE_INFINITY) {
      this.setHungry(nowMs);
    }
    if (this.asking.size > 0) {
      this.send([...this.asking], nowMs);
    }
  }

  /** Redis did not answer in time, or not with what the script says. */
  failed(call: PlaceCall, nowMs: number): void {
    if (this.takeBack(call) === undefined) {
      return;
    }
    this.become("lost");
    this.asking.clear();
    this.hungryAtMs = Number.POSITIVE_INFINITY;
    const { leaseMs, random } = this.options;
    const backOffMs = Math.min(FIRST_RETRY_MS * 2 ** this.retries++, leaseMs / RENEWALS);
    this.renewIn(backOffMs * (0.5 + random() / 2), nowMs);
    this.fallBack(nowMs);
  }

  /** A connection to Redis stands again: finds out at once whether it answers. */
  reachable(nowMs: number): void {
    if (this.state === "lost" && this.inFlight === undefined) {
      this.send([...this.hosts.values()], nowMs);
    }
  }

  /** Asks no more, and gives nothing back. */
  handOver(): HeldLeases {
    const hosts = new Map(this.hosts);
    this.hosts.clear();
    this.asking.clear();
    return { gateway: this.options.gateway, serial: this.serial, hosts };
  }

  /** Goes on with what is held, under its gateway's name. */
  takeOver({ serial, hosts }: HeldLeases): void {
    this.serial = serial;
    for (const [id, host] of hosts) {
      this.hosts.set(id, host);
    }
  }

  /** The last call: gives everything back at once. */
  leave(nowMs: number): PlaceCall {
    const call = this.makeCall([...this.hosts.values()], nowMs, true);
    this.hosts.clear();
    this.asking.clear();
    return call;
  }

  private ask(host: HostLease, nowMs: number): void {
    this.asking.add(host);
    if (this.inFlight === undefined && this.state !== "lost") {
      this.send([...this.asking], nowMs);
    }
  }

  private send(hosts: readonly HostLease[], nowMs: number): void {
    for (const host of hosts) {
      this.asking.delete(host);
    }
    if (hosts.length === 0) {
      this.renewIn(this.options.leaseMs / RENEWALS, nowMs);
      return;
    }
    const call = this.makeCall(hosts, nowMs, false);
    this.inFlight = { call, sentMs: nowMs };
    if (hosts.length === this.hosts.size) {
      this.renewIn(this.options.leaseMs / RENEWALS, nowMs);
    }
    this.out.call(call);
  }

  /** When to ask again for those who got less than they could use. */
  private setHungry(nowMs: number): void {
    let seen = 0;
    for (const host of this.hosts.values()) {
      if (host.isHungry(nowMs)) {
        seen = Math.max(seen, host.reply.seen);
      }
    }
    const { leaseMs } = this.options;
    const waitMs = (leaseMs / HUNGRY_CALLS) * Math.max(1, seen / FEW_GATEWAYS);
    this.hungryAtMs = seen === 0 || waitMs >= leaseMs / RENEWALS ? Number.POSITIVE_INFINITY : nowMs + waitMs;
  }

  private askAgain(nowMs: number): void {
    this.hungryAtMs = Number.POSITIVE_INFINITY;
    const hungry = [...this.hosts.values()].filter((host) => host.isHungry(nowMs));
    if (hungry.length > 0) {
      this.send(hungry, nowMs);
    }
  }

  private makeCall(hosts: readonly HostLease[], nowMs: number, isLeaving: boolean): PlaceCall {
    const { gateway, leaseMs, onLoss } = this.options;
    return {
      gateway,
      serial: ++this.serial,
      leaseMs,
      isStrict: onLoss === "refuse",
      isLeaving,
      claims: hosts.map((host) => host.claim(nowMs)),
    };
  }

  private takeBack(call: PlaceCall): { readonly sentMs: number } | undefined {
    const { inFlight } = this;
    if (inFlight?.call !== call) {
      return undefined;
    }
    this.inFlight = undefined;
    return inFlight;
  }

  private renewIn(ms: number, nowMs: number): void {
    this.renewAtMs = nowMs + ms;
    this.isPolled = false;
  }

  private poll(): void {
    this.isPolled = true;
    for (const { host, grant } of this.hosts.values()) {
      if (grant !== undefined) {
        this.out.grant(host.id, grant);
      }
    }
  }

  private fallBack(nowMs: number): void {
    for (const lease of this.hosts.values()) {
      const grant = lease.fallBack(this.options.onLoss, nowMs);
      if (grant !== undefined) {
        this.out.grant(lease.host.id, grant);
      }
    }
  }

  private become(state: "held" | "lost"): void {
    if (this.state === state) {
      return;
    }
    this.state = state;
    this.out.link(state);
  }
}
