/** Tenants in a ring: those that take turns, and those that have nothing waiting and are kept for when they have. Serves fair-queue.ts. */
import type { TenantQueue } from "./tenant-queue.js";

/** A list through the queues themselves: one that comes or leaves allocates nothing. */
export class TenantRing {
  size = 0;
  /** Who is first: the one whose turn it is. */
  first: TenantQueue | undefined;

  /** Makes it the last one. */
  add(queue: TenantQueue): void {
    const { first } = this;
    if (first === undefined) {
      queue.next = queue;
      queue.previous = queue;
      this.first = queue;
    } else {
      queue.next = first;
      queue.previous = first.previous!;
      first.previous!.next = queue;
      first.previous = queue;
    }
    this.size++;
  }

  remove(queue: TenantQueue): void {
    const { next, previous } = queue;
    previous!.next = next;
    next!.previous = previous;
    if (this.first === queue) {
      this.first = next === queue ? undefined : next;
    }
    queue.next = undefined;
    queue.previous = undefined;
    this.size--;
  }

  /** The first one becomes the last one. */
  turn(): void {
    this.first = this.first?.next;
  }

  *[Symbol.iterator](): Generator<TenantQueue> {
    let queue = this.first;
    for (let left = this.size; left > 0; left--) {
      yield queue!;
      queue = queue!.next;
    }
  }
}
