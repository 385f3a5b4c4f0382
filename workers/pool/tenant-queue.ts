/**
 * One tenant's requests of one rank, by priority: high, normal and bulk ones are served 8:4:1, and one that has waited for ten times as
 * many others as were there before it goes first. Serves fair-queue.ts.
 */
import { priorityOf } from "../../src/messages/tenant.js";
import type { Task } from "./task.js";
import { TaskQueue } from "./task-queue.js";

/** Of {@link PRIORITIES}, in their order. */
const SHARES = [8, 4, 1] as const;
/**
 * Whoever has waited for so many times as many as came before it goes before those with more right. Counted in requests and not in
 * time: while the host says nothing, nobody's right grows.
 */
const OVERDUE_TIMES = 10;

/** Those of one priority. */
export class Level extends TaskQueue<Task> {
  /** Smooth weighted round robin: who has most goes next. */
  credit = 0;

  constructor(
    readonly share: number,
    /** The fair queue that it is part of. */
    readonly owner: unknown,
    private readonly left: (task: Task) => void,
  ) {
    super();
  }

  override remove(task: Task): boolean {
    const wasHere = super.remove(task);
    if (wasHere) {
      this.left(task);
    }
    return wasHere;
  }
}

export class TenantQueue {
  length = 0;
  /** What it may still be served in this round, in the queue's unit. */
  deficit = 0;
  /** It has been given its part of this round. */
  isVisited = false;
  /** Requests that went to a connection. */
  private servedCount = 0;
  /** Its neighbours in the round. */
  next: TenantQueue | undefined;
  previous: TenantQueue | undefined;
  /** By priority; most tenants know one only. */
  private readonly levels: (Level | undefined)[] = [undefined, undefined, undefined];
  private chosen: Level | undefined;

  /** @param left called when a request has left, served or not */
  constructor(
    readonly name: string,
    readonly weight: number,
    private readonly owner: unknown,
    private readonly left: (queue: TenantQueue, task: Task) => void,
  ) {}

  push(task: Task): void {
    const priority = priorityOf(task.tag);
    let level = this.levels[priority];
    if (level === undefined) {
      level = new Level(SHARES[priority]!, this.owner, this.leave);
      this.levels[priority] = level;
    }
    this.length++;
    task.dueAfter = this.servedCount + OVERDUE_TIMES * this.length;
    level.push(task);
  }

  /** Who of them goes next. The same one until it has left, or is overtaken by one that is overdue. */
  get head(): Task | undefined {
    for (const level of this.levels) {
      if (level?.head !== undefined && this.servedCount >= level.head.dueAfter) {
        return level.head;
      }
    }
    if (this.chosen === undefined || this.chosen.length === 0) {
      this.chosen = this.choose();
    }
    return this.chosen?.head;
  }

  /** One goes to its connection. */
  served(): void {
    this.servedCount++;
    this.chosen = undefined;
  }

  private readonly leave = (task: Task): void => {
    this.length--;
    this.left(this, task);
  };

  private choose(): Level | undefined {
    let best: Level | undefined;
    let sum = 0;
    for (const level of this.levels) {
      if (level === undefined || level.length === 0) {
        continue;
      }
      level.credit += level.share;
      sum += level.share;
      if (best === undefined || level.credit > best.credit) {
        best = level;
      }
    }
    if (best !== undefined) {
      best.credit -= sum;
    }
    return best;
  }
}
