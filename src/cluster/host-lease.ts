/**
 * What this gateway may believe of its places at one host: the lease that Redis granted, what the worker was told of it, and what
 * the worker has. Kept by leases.ts; without I/O.
 */
import type { OnLoss } from "../config/settings.js";
import type { PlaceDemand, PlaceGrant } from "../messages/places.js";
import type { PlaceStats } from "../stats.js";
import type { PlaceClaim, PlaceReply } from "./place-script.js";

/** The settings that matter here. */
export interface LeasedHost {
  readonly id: string;
  /** `remote.<id>.cluster.concurrency` */
  readonly total: number;
  /** `remote.<id>.concurrency` */
  readonly concurrency: number;
}

const NO_LEASE: Readonly<PlaceReply> = { target: 0, granted: 0, used: 0, seen: 0, wanted: 0 };

export class HostLease {
  held = 0;
  want = 0;
  /** What Redis said last. */
  reply = NO_LEASE;
  /** The lease is not believed in from then on. */
  untilMs = Number.NEGATIVE_INFINITY;
  /** When the last call was sent that was answered. */
  private renewedMs: number | undefined;
  /** The want that the last call told. */
  private askedWant = 0;
  /** How often a connection more needed a place more. */
  waits = 0;
  private serial = 0;
  /** Grants that the worker may go by: the last one, and those before it until it says that it knows a later one. */
  private told: PlaceGrant[] = [];

  constructor(public host: LeasedHost) {}

  /** What the worker goes by, or will. */
  get grant(): PlaceGrant | undefined {
    return this.told.at(-1);
  }

  /** Connections that the worker may have without another word. */
  cap(nowMs: number): number {
    let cap = 0;
    for (const { places, untilMs } of this.told) {
      if (nowMs < untilMs) {
        cap = Math.max(cap, places);
      }
    }
    return cap;
  }

  /** What Redis must not count it below. */
  claimed(nowMs: number): number {
    return Math.max(this.held, this.cap(nowMs));
  }

  /** It could use more than it may have, as far as anybody was told. */
  isHungry(nowMs: number): boolean {
    return this.want > this.cap(nowMs);
  }

  stats(nowMs: number): PlaceStats {
    const { host, grant, held, want, reply, waits } = this;
    const granted = grant !== undefined && nowMs < grant.untilMs ? grant.places : 0;
    return {
      total: host.total,
      granted: Math.min(granted, host.concurrency),
      basis: grant?.basis ?? "none",
      held,
      wanted: want,
      overdrawn: Math.max(0, held - granted),
      gateways: reply.seen,
      used: reply.used,
      wantedByAll: reply.wanted,
      waits,
    };
  }

  /** It needs more than Redis was asked for. */
  mustAsk(nowMs: number): boolean {
    return this.isHungry(nowMs) && this.want > this.askedWant;
  }

  /** It is recorded with more than it can use any more, and others wait for that. */
  mustGiveBack(nowMs: number): boolean {
    return this.reply.wanted > this.host.total && this.claimed(nowMs) < this.reply.granted && nowMs < this.untilMs;
  }

  claim(nowMs: number): PlaceClaim {
    this.askedWant = this.want;
    // Where no worker runs nobody says which one it goes by.
    this.told = this.told.filter((grant) => grant === this.grant || nowMs < grant.untilMs);
    return {
      hostId: this.host.id,
      total: this.host.total,
      want: this.want,
      claim: this.claimed(nowMs),
      leased: nowMs < this.untilMs ? this.cap(nowMs) : 0,
      seen: this.reply.seen,
      elapsedMs: this.renewedMs === undefined ? -1 : nowMs - this.renewedMs,
    };
  }

  demanded({ serial, held, want }: PlaceDemand): void {
    if (want > this.want && want > (this.grant?.places ?? 0)) {
      this.waits++;
    }
    this.held = held;
    this.want = want;
    while (this.told.length > 1 && this.told[0]!.serial < serial) {
      this.told.shift();
    }
  }

  /** Redis granted; `untilMs` counts from when it was asked. */
  renewed(reply: PlaceReply, sentMs: number, untilMs: number): PlaceGrant {
    this.reply = reply;
    this.renewedMs = sentMs;
    this.untilMs = untilMs;
    return this.tell(reply.target, untilMs, "lease");
  }

  /** Redis is lost. What holds now; `undefined` when the worker knows it already. */
  fallBack(onLoss: OnLoss, nowMs: number): PlaceGrant | undefined {
    const leased = nowMs < this.untilMs ? this.reply.target : 0;
    const places = this.placesWithout(onLoss);
    // What was granted holds to its end.
    if (leased > 0 && leased >= places) {
      return undefined;
    }
    const basis = onLoss === "refuse" ? "refused" : onLoss;
    const { grant } = this;
    if (grant !== undefined && grant.basis === basis && grant.places === places) {
      return undefined;
    }
    return this.tell(places, Number.POSITIVE_INFINITY, basis);
  }

  /** Another worker takes over, with no connection yet: it is told what held for the one before. */
  restarted(): PlaceGrant | undefined {
    const { grant } = this;
    this.held = 0;
    this.want = 0;
    this.told = [];
    return grant === undefined ? undefined : this.tell(grant.places, grant.untilMs, grant.basis);
  }

  private placesWithout(onLoss: OnLoss): number {
    if (onLoss === "refuse") {
      return 0;
    }
    if (onLoss === "local") {
      return this.host.concurrency;
    }
    return this.reply.seen === 0 ? 1 : Math.max(1, Math.floor(this.host.total / this.reply.seen));
  }

  private tell(places: number, untilMs: number, basis: PlaceGrant["basis"]): PlaceGrant {
    const grant: PlaceGrant = { serial: ++this.serial, places, untilMs, basis };
    this.told.push(grant);
    return grant;
  }
}
