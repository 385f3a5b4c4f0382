/**
 * A host's part of the places that several gateways share (`remote.<id>.cluster.concurrency`): what its pool may have for now, and what
 * it could use. Made by the actor, between the gateway's thread, which grants, and the pool. Knows nothing of who else there is.
 */
import type { Failure } from "../../src/errors.js";
import type { PlaceDemand, PlaceGrant } from "../../src/messages/places.js";
import { Timer, type TimerWheel } from "../../src/timer-wheel.js";

const REFUSED: Failure = {
  code: "HOST_UNAVAILABLE",
  message:
    'Redis is lost, and with cluster.on-loss = "refuse" no connection is opened without a place of the cluster. Nothing was sent.',
};

export interface PlaceLeaseOwner {
  /** So many connections may be had, until then. `refusal`: there will be none, for what waits is not to wait for them. */
  hold(places: number, refusal: Failure | undefined, untilMs: number): void;
  /** For whoever grants. */
  want(demand: PlaceDemand): void;
}

export class PlaceLease {
  private serial = 0;
  private places = 0;
  private held = 0;
  private wanted = 0;
  private toldHeld = 0;
  private toldWanted = 0;
  private successor: PlaceLease | undefined;
  /** What the same host could use as it was before a reload. */
  private formerWanted = 0;
  private readonly end = new Timer(() => this.hold(0, undefined, Number.POSITIVE_INFINITY));

  /** @param predecessor that of the host as it was: it is told through this one */
  constructor(
    private readonly wheel: TimerWheel,
    private readonly owner: PlaceLeaseOwner,
    predecessor: PlaceLease | undefined,
  ) {
    if (predecessor !== undefined) {
      predecessor.successor = this;
      this.formerWanted = predecessor.want;
      this.places = predecessor.places;
      if (predecessor.end.dueMs !== Number.POSITIVE_INFINITY) {
        this.wheel.set(this.end, predecessor.end.dueMs - wheel.now());
      }
      predecessor.stop();
    }
  }

  /** What the predecessor may have, this one may have now. */
  begin(): void {
    this.hold(this.places, undefined, this.end.dueMs);
  }

  /** `untilMs` is on the worker's clock. */
  grant({ serial, places, untilMs, basis }: PlaceGrant): void {
    this.serial = serial;
    if (untilMs === Number.POSITIVE_INFINITY) {
      this.wheel.clear(this.end);
    } else {
      this.wheel.set(this.end, Math.max(0, untilMs - this.wheel.now()));
    }
    const isOver = untilMs <= this.wheel.now();
    this.hold(isOver ? 0 : places, basis === "refused" ? REFUSED : undefined, untilMs);
    this.tell();
  }

  /** The pool could use so many connections, and the host sees so many. */
  demand(wanted: number, held: number): void {
    this.wanted = wanted;
    this.held = held;
    if (this.successor !== undefined) {
      this.successor.formerDemand(wanted + this.formerWanted, held);
      return;
    }
    // What is needed beyond the places, and what is given back, others wait for; all else has time until it is asked for.
    const isNeed = this.want > this.places && this.want > this.toldWanted;
    const isGivenBack = this.toldHeld > this.places && held < this.toldHeld;
    if (isNeed || isGivenBack) {
      this.tell();
    }
  }

  /** Nothing is opened here any more, and nobody has to be told. */
  stop(): void {
    this.wheel.clear(this.end);
  }

  private formerDemand(wanted: number, held: number): void {
    this.formerWanted = wanted;
    this.demand(this.wanted, held);
  }

  private get want(): number {
    return this.wanted + this.formerWanted;
  }

  private hold(places: number, refusal: Failure | undefined, untilMs: number): void {
    this.places = places;
    this.owner.hold(places, refusal, untilMs);
  }

  private tell(): void {
    this.toldHeld = this.held;
    this.toldWanted = this.want;
    this.owner.want({ serial: this.serial, held: this.held, want: this.want });
  }
}
