/**
 * One tenant's requests of one rank, by priority: high, normal and bulk ones are served 8:4:1, and one that has waited for ten times as
 * many others as were there before it goes first. Serves fair-queue.ts.
 */
import type { Task } from "./task.js";
import { TaskQueue } from "./task-queue.js";

/** Of {@link PRIORITIES}, in their order. */
const SHARES = [8, 4, 1] as const;
/**
 * Whoever has waited for so many times as many as came before it goes before those with more right. Counted in requests and not in
 * time: while the host says nothing, nobody's right grows.
 */
const OVERDUE_TIMES = 10;

/** The queue between tenants that a tenant stands in. */
export interface TenantQueueOwner {
  /** A request goes to a connection now. */
  take(task: Task): void;
  /** A request has left, served or not. */
  left(queue: TenantQueue, task: Task): void;
}

/** Those of one priority. */
export class Level extends TaskQueue<Task> {
  /** Smooth weighted round robin: who has most goes next. */
  credit = 0;
  readonly share: number;

  constructor(
    readonly tenant: TenantQueue,
    rank: number,
  ) {
    super();
    this.share = SHARES[rank]!;
  }

  override remove(task: Task): boolean {
    const wasHere = super.remove(task);
    if (wasHere) {
      this.tenant.left(task);
    }
    return wasHere;
  }
}

export class TenantQueue {
  length = 0;
  weight = 1;
  /** What it may still be served in this round, in the queue's unit. */
  deficit = 0;
  /** It has been given its part of this round. */
  isVisited = false;
  /** Requests that went to a connection. */
  private servedCount = 0;
  /** Its neighbours in the round, or among those that have nothing waiting. */
  next: TenantQueue | undefined;
  previous: TenantQueue | undefined;
  /** By priority; most tenants know one only. */
  private readonly levels: (Level | undefined)[] = [undefined, undefined, undefined];
  /** Where the latest one came to. */
  private latest: Level | undefined;
  private chosen: Level | undefined;

  constructor(
    readonly name: string,
    readonly owner: TenantQueueOwner,
  ) {}

  /** @param rank of the priority */
  levelOf(rank: number): Level {
    let level = this.levels[rank];
    if (level === undefined) {
      level = new Level(this, rank);
      this.levels[rank] = level;
    }
    return level;
  }

  push(task: Task, level: Level): void {
    this.length++;
    task.dueAfter = this.servedCount + OVERDUE_TIMES * this.length;
    this.latest = level;
    level.push(task);
  }

  /** Who of them goes next. The same one until it has left, or is overtaken by one that is overdue. */
  get head(): Task | undefined {
    const { latest } = this;
    if (latest !== undefined && latest.length === this.length) {
      // All are of one priority, and first come, first served.
      return latest.head;
    }
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

  left(task: Task): void {
    this.length--;
    this.owner.left(this, task);
  }

  /** Nothing waits: what it was owed is forgotten. */
  rest(): void {
    this.deficit = 0;
    this.isVisited = false;
    this.chosen = undefined;
    for (const level of this.levels) {
      if (level !== undefined) {
        level.credit = 0;
      }
    }
  }

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
