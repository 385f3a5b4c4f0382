/** Who waits for a connection of one purpose, and who is next. The pool has one queue for logins and one for everything else. */
import type { Task } from "./task.js";
import { TaskQueue } from "./task-queue.js";
import { AGED_MS } from "./turns.js";

/** Those of one rank. */
export interface RankQueue {
  readonly head: Task | undefined;
  readonly length: number;
  push(task: Task): void;
  shift(): Task | undefined;
}

export class RequestQueue {
  /** For their one automatic retry: only a connection that never served may take them. */
  readonly retries = new TaskQueue<Task>();
  /** The first queue goes first: questions of callers, refreshes, messages. */
  private readonly queues: readonly RankQueue[];

  /** @param questions where others go first than whoever came first */
  constructor(questions: RankQueue = new TaskQueue<Task>()) {
    this.queues = [questions, new TaskQueue<Task>(), new TaskQueue<Task>()];
  }

  get length(): number {
    const [questions, refreshes, messages] = this.queues;
    return this.retries.length + questions!.length + refreshes!.length + messages!.length;
  }

  /** A caller waits for the answer to a lookup or a login. */
  get hasQuestion(): boolean {
    return this.queues[0]!.length > 0 || (this.retries.head !== undefined && this.retries.head.kind !== "relay");
  }

  push(task: Task): void {
    this.queues[rankOf(task)]!.push(task);
  }

  isRetry(task: Task): boolean {
    return task.queue === this.retries;
  }

  /** Who is to be served next; retries are served apart. Whoever's deadline has passed is settled on the way. */
  next(nowMs: number): Task | undefined {
    for (;;) {
      const task = this.first(nowMs);
      if (task === undefined || !hasExpired(task, nowMs)) {
        return task;
      }
      expire(task);
    }
  }

  /** Whose retry is next. */
  nextRetry(nowMs: number): Task | undefined {
    for (;;) {
      const task = this.retries.head;
      if (task === undefined || !hasExpired(task, nowMs)) {
        return task;
      }
      expire(task);
    }
  }

  shift(): Task | undefined {
    let task = this.retries.shift();
    for (const queue of this.queues) {
      task ??= queue.shift();
    }
    return task;
  }

  private first(nowMs: number): Task | undefined {
    let first: Task | undefined;
    for (const { head } of this.queues) {
      if (head === undefined) {
        continue;
      }
      if (first === undefined || (nowMs - head.enqueuedMs > AGED_MS && head.enqueuedMs < first.enqueuedMs)) {
        first = head;
      }
    }
    return first;
  }

  /** When the one that waits longest came; `Infinity` where nobody waits. */
  get oldestMs(): number {
    let oldestMs = this.retries.head?.enqueuedMs ?? Number.POSITIVE_INFINITY;
    for (const { head } of this.queues) {
      if (head !== undefined && head.enqueuedMs < oldestMs) {
        oldestMs = head.enqueuedMs;
      }
    }
    return oldestMs;
  }
}

function hasExpired({ deadlineMs }: Task, nowMs: number): boolean {
  return deadlineMs <= nowMs;
}

function expire(task: Task): void {
  withdraw(task);
  task.drop({
    code: "DEADLINE_EXCEEDED",
    message: "The deadline passed while the request waited; nothing was sent.",
  });
}

function rankOf(task: Task): number {
  if (task.kind === "relay") {
    return 2;
  }
  return task.isRefresh ? 1 : 0;
}

/** Takes a task out of whichever queue it stands in; false: it stands in none. */
export function withdraw(task: Task): boolean {
  return task.queue instanceof TaskQueue && task.queue.remove(task);
}
