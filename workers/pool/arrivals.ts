/** Who waits in a fair queue, in the order of their coming: only to know for how long the first of them has waited. Serves fair-queue.ts. */
import type { Task } from "./task.js";

/** A list through the tasks themselves, so that nothing of one that has left, its content least of all, is kept. */
export class Arrivals {
  private first: Task | undefined;
  private last: Task | undefined;

  add(task: Task): void {
    task.earlier = this.last;
    if (this.last === undefined) {
      this.first = task;
    } else {
      this.last.later = task;
    }
    this.last = task;
  }

  remove(task: Task): void {
    const { earlier, later } = task;
    if (earlier === undefined) {
      this.first = later;
    } else {
      earlier.later = later;
    }
    if (later === undefined) {
      this.last = earlier;
    } else {
      later.earlier = earlier;
    }
    task.earlier = undefined;
    task.later = undefined;
  }

  /** When the one that waits longest came; `Infinity` where nobody waits. */
  get oldestMs(): number {
    return this.first?.enqueuedMs ?? Number.POSITIVE_INFINITY;
  }
}
