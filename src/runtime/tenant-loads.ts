/**
 * What the tenants have of one host, on the gateway's thread: how many of their requests are not settled, which bounds each tenant's
 * part of the queue, and what the busiest of them have asked for. Serves router.ts and mailbox.ts; made with the first tenant.
 */
import type { Priority, RequestOptions } from "../api.js";
import { encodeTag, PRIORITIES } from "../messages/tenant.js";
import type { TenantStats } from "../stats.js";

/** Tenants that are told of. */
const MOST_TOLD = 100;
/**
 * Tenants that are kept although nothing of theirs is pending. One that comes when there are so many takes the place, and the count, of
 * one of the least busy.
 */
const MOST_KEPT = 2000;
/** Of so many at a time the least busy one is found. */
const MOST_COMPARED = 8;

/** What a slot keeps of whose its request is, so that a tenant is looked up once for each request. */
export interface TenantTag {
  /** As it crosses to the worker, see ../messages/tenant.ts. */
  readonly text: string;
  readonly load: TenantLoad;
}

/** One tenant at one host. */
export class TenantLoad {
  requests = 0;
  turnedAway = 0;
  /** Requests that are not settled. */
  pending = 0;
  isKnown = false;
  /** By priority, made when one is first asked for. */
  private readonly tags: (TenantTag | undefined)[] = [undefined, undefined, undefined];

  constructor(readonly name: string) {}

  tagOf(priority: Priority): TenantTag {
    const rank = PRIORITIES.indexOf(priority);
    let tag = this.tags[rank];
    if (tag === undefined) {
      tag = { text: encodeTag(this.name, priority), load: this };
      this.tags[rank] = tag;
    }
    return tag;
  }
}

export class TenantLoads {
  /** By name: at most {@link MOST_KEPT}, and those beyond that who have something pending. */
  private readonly known = new Map<string, TenantLoad>();

  /** Whose a request with these options is. One that is not known is not kept for that. */
  tagOf({ tenant = "", priority = "normal" }: RequestOptions): TenantTag {
    return (this.known.get(tenant) ?? new TenantLoad(tenant)).tagOf(priority);
  }

  began({ load }: TenantTag): void {
    if (!load.isKnown) {
      this.add(load);
    }
    load.pending++;
    load.requests++;
  }

  ended({ load }: TenantTag): void {
    load.pending--;
    if (load.pending === 0 && this.known.size > MOST_KEPT) {
      this.forget(this.leastBusy(load));
    }
  }

  /** The busiest, those first who asked for most. */
  stats(): TenantStats[] {
    return [...this.known.values()]
      .sort((one, other) => other.requests - one.requests)
      .slice(0, MOST_TOLD)
      .map(({ name, requests, turnedAway, pending }) => ({ name, requests, turnedAway, pending }));
  }

  /** Much as Space-Saving does (Metwally and others, 2005): whoever asks for much is found, however many names there are. */
  private add(load: TenantLoad): void {
    const least = this.known.size >= MOST_KEPT ? this.leastBusy() : undefined;
    if (least !== undefined) {
      load.requests = least.requests;
      this.forget(least);
    }
    load.isKnown = true;
    this.known.set(load.name, load);
  }

  private forget(load: TenantLoad): void {
    load.isKnown = false;
    this.known.delete(load.name);
  }

  /**
   * Of those that were not looked at for the longest time, if they have nothing pending; the others of them go to the end.
   *
   * @param least one that it is in any case, unless another is less busy
   */
  private leastBusy(least: TenantLoad): TenantLoad;
  private leastBusy(): TenantLoad | undefined;
  private leastBusy(least?: TenantLoad): TenantLoad | undefined {
    let left = MOST_COMPARED;
    for (const [name, load] of this.known) {
      if (left-- === 0) {
        break;
      }
      this.known.delete(name);
      this.known.set(name, load);
      if (load.pending === 0 && (least === undefined || load.requests < least.requests)) {
        least = load;
      }
    }
    return least;
  }
}
