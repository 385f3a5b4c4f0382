/** Who waits for a connection of one purpose, and who is next. The pool has one line for logins and one for everything else. */

import type { LookupRequest, Task } from "../host/tasks.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import { TaskQueue } from "./task-queue.js";

/** Whoever waited so long goes before those with more right. */
const AGED_MS = 1_000;

export class RequestQueue {
  /** For their one automatic retry: only a connection that never served may take them. */
  readonly retries = new TaskQueue<Task>();
  /** First in, first out; the first queue goes first: questions of callers, refreshes, messages. */
  private readonly queues: readonly TaskQueue<Task>[] = [new TaskQueue(), new TaskQueue(), new TaskQueue()];

  get length(): number {
    const [questions, refreshes, messages] = this.queues;
    return this.retries.length + questions!.length + refreshes!.length + messages!.length;
  }

  push(task: Task): void {
    const rank = task.kind === "relay" ? 2 : (task as LookupRequest).isRefresh ? 1 : 0;
    this.queues[rank]!.push(task);
  }

  /** Who is to be served next; retries are served apart. */
  next(nowMs: number): Task | undefined {
    let best: Task | undefined;
    for (const { head } of this.queues) {
      if (head === undefined) {
        continue;
      }
      if (best === undefined || (isAged(head, nowMs) && head.enqueuedMs < best.enqueuedMs)) {
        best = head;
      }
    }
    return best;
  }

  /** Whether somebody waited here for so long that they go before whoever waits in the other line. */
  isOverdue(nowMs: number, other: RequestQueue): boolean {
    const oldest = this.oldest();
    if (oldest === undefined || !isAged(oldest, nowMs)) {
      return false;
    }
    const rival = other.oldest();
    return rival === undefined || oldest.enqueuedMs < rival.enqueuedMs;
  }

  shift(): Task | undefined {
    let task = this.retries.shift();
    for (const queue of this.queues) {
      task ??= queue.shift();
    }
    return task;
  }

  private oldest(): Task | undefined {
    let oldest = this.retries.head;
    for (const { head } of this.queues) {
      if (head !== undefined && (oldest === undefined || head.enqueuedMs < oldest.enqueuedMs)) {
        oldest = head;
      }
    }
    return oldest;
  }
}

/** Takes a task out of whichever queue it stands in; false: it stands in none. */
export function withdraw(task: Task): boolean {
  return task.queue instanceof TaskQueue && task.queue.remove(task);
}

export function purposeOf(task: Task): SessionPurpose {
  return task.kind === "login" ? "login" : "service";
}

export function otherPurpose(purpose: SessionPurpose): SessionPurpose {
  return purpose === "login" ? "service" : "login";
}

function isAged(task: Task, nowMs: number): boolean {
  return nowMs - task.enqueuedMs > AGED_MS;
}
