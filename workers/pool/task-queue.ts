/** First in, first out, and anyone may leave: a request that is given up is gone from its queue at once. */

/** Of what any connection may serve, and of one that may serve anything (bindings.ts). */
export const NO_BINDING = "";

/** What can stand in a {@link TaskQueue}, in one at a time. */
export class Queued {
  /** After how many others it is overdue, where that counts (tenant-queue.ts). @internal */
  dueAfter = 0;
  /** What it takes of its tenant's share, where that counts (fair-queue.ts). @internal */
  cost = 0;
  /** Which connections may serve it, where not all may (bindings.ts). @internal */
  binding = NO_BINDING;
  /** @internal */
  queue: unknown;
  /** @internal */
  next: this | undefined;
  /** @internal */
  previous: this | undefined;
  /** Who came before and after it, where that counts (arrivals.ts). @internal */
  earlier: this | undefined;
  /** @internal */
  later: this | undefined;
}

export class TaskQueue<T extends Queued> {
  head: T | undefined;
  length = 0;
  private tail: T | undefined;

  push(task: T): void {
    task.queue = this;
    task.previous = this.tail;
    if (this.tail === undefined) {
      this.head = task;
    } else {
      this.tail.next = task;
    }
    this.tail = task;
    this.length++;
  }

  shift(): T | undefined {
    const task = this.head;
    if (task !== undefined) {
      this.remove(task);
    }
    return task;
  }

  /** False: it does not stand here. */
  remove(task: T): boolean {
    if (task.queue !== this) {
      return false;
    }
    if (task.previous === undefined) {
      this.head = task.next;
    } else {
      task.previous.next = task.next;
    }
    if (task.next === undefined) {
      this.tail = task.previous;
    } else {
      task.next.previous = task.previous;
    }
    task.queue = undefined;
    task.next = undefined;
    task.previous = undefined;
    this.length--;
    return true;
  }
}
