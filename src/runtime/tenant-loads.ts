/**
 * What the tenants have of one host, on the gateway's thread: how many of their requests are not settled, which bounds each tenant's
 * part of the queue, and what the busiest of them have asked for. Serves router.ts and mailbox.ts; made with the first tenant.
 */
import type { TenantStats } from "../stats.js";

/** Tenants that are told of. */
const MOST_TOLD = 100;
/** Tenants whose requests are counted: one that comes when there are so many takes the place, and the count, of one of the least busy. */
const MOST_COUNTED = 2000;
/** Of so many at a time the least busy one is found. */
const MOST_COMPARED = 8;

interface Counts {
  requests: number;
  turnedAway: number;
}

export class TenantLoads {
  /** By name; nobody who has nothing is in it. */
  private readonly pending = new Map<string, number>();
  private readonly counted = new Map<string, Counts>();

  /** Requests that are not settled. */
  pendingOf(tenant: string): number {
    return this.pending.get(tenant) ?? 0;
  }

  began(tenant: string): void {
    this.pending.set(tenant, this.pendingOf(tenant) + 1);
    this.countsOf(tenant).requests++;
  }

  ended(tenant: string): void {
    const left = this.pendingOf(tenant) - 1;
    if (left > 0) {
      this.pending.set(tenant, left);
    } else {
      this.pending.delete(tenant);
    }
  }

  /** Its part of the queue is full. */
  turnedAway(tenant: string): void {
    this.countsOf(tenant).turnedAway++;
  }

  /** The busiest, those first who asked for most. */
  stats(): TenantStats[] {
    return [...this.counted]
      .sort(([, one], [, other]) => other.requests - one.requests)
      .slice(0, MOST_TOLD)
      .map(([name, counts]) => ({ name, ...counts, pending: this.pendingOf(name) }));
  }

  /** Much as Space-Saving does (Metwally and others, 2005): whoever asks for much is found, however many names there are. */
  private countsOf(tenant: string): Counts {
    const known = this.counted.get(tenant);
    if (known !== undefined) {
      return known;
    }
    let counts: Counts = { requests: 0, turnedAway: 0 };
    if (this.counted.size >= MOST_COUNTED) {
      const least = this.leastBusy();
      counts = { requests: this.counted.get(least)!.requests, turnedAway: 0 };
      this.counted.delete(least);
    }
    this.counted.set(tenant, counts);
    return counts;
  }

  /** Of those that were not looked at for the longest time; the others of them go to the end. */
  private leastBusy(): string {
    let [least, requests] = ["", Number.POSITIVE_INFINITY];
    let left = MOST_COMPARED;
    for (const [name, counts] of this.counted) {
      if (left-- === 0) {
        break;
      }
      this.counted.delete(name);
      this.counted.set(name, counts);
      if (counts.requests < requests) {
        [least, requests] = [name, counts.requests];
      }
    }
    return least;
  }
}
