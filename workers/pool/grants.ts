/**
 * What a pool shares with others and is granted by whoever does the sharing, as a cluster of gateways does: connection slots, and parts
 * of a rate. Told by workers/host/shared-places.ts and shared-rate.ts.
 */
import type { RateSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { ConnectionBudget } from "./budget.js";
import type { Pace } from "./pace.js";
import type { SlotAllocator, SlotsWanted } from "./slot-allocator.js";
import type { Workload } from "./workload.js";

export class PoolGrants {
  constructor(
    private readonly budget: ConnectionBudget,
    private readonly slots: SlotAllocator,
    private readonly pace: Pace,
    private readonly loads: readonly Workload[],
    private readonly pump: () => void,
  ) {}

  /**
   * Connection slots are granted from elsewhere from now on ({@link grant}).
   *
   * @param slotsWanted how many could be used now for what is at work and waits, and how many are held, idle and closing ones
   * included; called when either has changed. `undefined`: there is no bound beside `concurrency` any more
   */
  shareSlots(slotsWanted: SlotsWanted | undefined): void {
    this.slots.slotsWanted = slotsWanted;
    this.grant(slotsWanted === undefined ? Number.POSITIVE_INFINITY : 0, Number.POSITIVE_INFINITY, undefined);
  }

  /**
   * So many connection slots are this host's from now on, whoever else grants them (a cluster's lease); until the first call
   * there is no bound beside `concurrency`. With fewer than are held, idle connections are closed at once and busy ones behind
   * the tasks that they have; a task that needs a connection waits.
   *
   * @param untilMs from then on there is none
   * @param refusal no more slots will be granted for now: what a task is told that needs one where no connection is left
   */
  grant(slots: number, untilMs: number, refusal: Failure | undefined): void {
    for (const load of this.loads) {
      load.refusal = refusal;
    }
    this.budget.grant(slots, untilMs);
  }

  /**
   * A rate is shared from now on, and {@link grantRate} says which part of it is this host's; `undefined`: none is any more.
   *
   * @param partsWanted called when more parts of the rate are wanted than there were
   */
  shareRate(rate: RateSettings | undefined, partsWanted: (parts: number) => void): void {
    this.pace.share(rate, partsWanted);
    this.refuseFor(undefined);
    this.pump();
  }

  /**
   * @param untilMs from then on there is no part
   * @param refusal there will be none for now: what a task is told that would wait for one
   */
  grantRate(part: number, untilMs: number, refusal: Failure | undefined): void {
    this.pace.grant(part, untilMs);
    this.refuseFor(refusal);
    this.pump();
  }

  /** How many parts of the shared rate could be used. */
  get rateWanted(): number {
    return this.pace.takeWanted();
  }

  private refuseFor(refusal: Failure | undefined): void {
    for (const load of this.loads) {
      load.rateRefusal = refusal;
      if (refusal !== undefined) {
        load.fail(refusal);
      }
    }
  }
}
