/** Who waits for a connection of one purpose, and who is next. The pool has one queue for logins and one for everything else. */
import type { Failure } from "../../src/errors.js";
import { NO_TAG } from "../../src/messages/tenant.js";
import type { Binder } from "./bindings.js";
import { ClientQueue, type ClientRank } from "./client-queue.js";
import { FairQueue } from "./fair-queue.js";
import type { Tally } from "./tally.js";
import type { Task } from "./task.js";
import { NO_BINDING, TaskQueue } from "./task-queue.js";
import { Level } from "./tenant-queue.js";
import type { Tenants } from "./tenants.js";
import { AGED_MS } from "./turns.js";

/** Those of one rank. */
export interface RankQueue {
  readonly head: Task | undefined;
  readonly length: number;
  push(task: Task): void;
  shift(): Task | undefined;
}

/** Where others go first than whoever came first. */
type Turns = RankQueue &
  ClientRank & {
    bindClients(isBound: boolean): void;
    /** One that stands there goes to a connection now. */
    take(task: Task): void;
  };

export class RequestQueue {
  /** For their one automatic retry: only a connection that has only just opened may take them. */
  retries = new TaskQueue<Task>();
  /** The first queue goes first: questions of callers, refreshes, messages that go on, messages. */
  private queues: readonly RankQueue[];
  /** Retries and the queues, where connections belong to their clients; else none. */
  private ranks: readonly ClientRank[] = [];

  constructor(
    private readonly tenants: Tenants,
    private readonly turns?: Turns,
  ) {
    this.queues = [turns ?? new TaskQueue(), new TaskQueue(), new TaskQueue(), new TaskQueue()];
  }

  /** Whether connections are bound from now on, and to whom. Whoever waits goes on waiting. */
  bindClients(binder: Binder | undefined): void {
    const isBound = binder !== undefined;
    if (isBound === this.ranks.length > 0) {
      if (isBound) {
        this.rebind(binder);
      }
      return;
    }
    const former = [this.retries, ...this.queues.filter((queue) => queue !== this.turns)];
    const queues = former.map(() => (isBound ? new ClientQueue() : new TaskQueue<Task>()));
    for (const [at, queue] of former.entries()) {
      for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
        task.binding = binder?.bindingOf(task) ?? NO_BINDING;
        queues[at]!.push(task);
      }
    }
    const [retries, ...others] = queues;
    this.retries = retries!;
    this.queues = this.turns === undefined ? others : [this.turns, ...others];
    this.turns?.bindClients(isBound);
    this.ranks = isBound ? ([retries, ...this.queues] as (TaskQueue<Task> & ClientRank)[]) : [];
  }

  /** Binds whoever waits anew; logins belong to their clients, whatever happens. */
  rebind(binder: Binder): void {
    for (const rank of this.ranks) {
      if (rank instanceof ClientQueue) {
        rank.rebind((task) => binder.bindingOf(task));
      }
    }
  }

  get length(): number {
    // Asked several times for each request: no iterator.
    const { queues } = this;
    return this.retries.length + queues[0]!.length + queues[1]!.length + queues[2]!.length + queues[3]!.length;
  }

  /** A caller waits for the answer to a lookup or a login. */
  get hasQuestion(): boolean {
    return this.queues[0]!.length > 0 || (this.retries.head !== undefined && this.retries.head.kind !== "relay");
  }

  push(task: Task): void {
    const rank = rankOf(task);
    if (task.tag !== NO_TAG) {
      this.beFair(rank);
    }
    this.queues[rank]!.push(task);
  }

  /** It goes to a connection now. */
  take(task: Task): void {
    if (task.queue instanceof Level) {
      task.queue.tenant.owner.take(task);
    } else {
      this.turns?.take(task);
    }
    withdraw(task);
  }

  /** From now on tenants and priorities count in a rank. Logins take turns of their own, and clients have connections of their own. */
  private beFair(rank: number): void {
    const former = this.queues[rank]!;
    if (former instanceof FairQueue || former === this.turns || this.ranks.length > 0) {
      return;
    }
    const fair = new FairQueue(this.tenants);
    for (let task = former.shift(); task !== undefined; task = former.shift()) {
      fair.push(task);
    }
    this.queues = this.queues.map((queue) => (queue === former ? fair : queue));
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

  /** Who of this client is to be served next by a connection of its own; `isFresh`: it never served. */
  nextOf(client: string, isFresh: boolean, nowMs: number): Task | undefined {
    for (const rank of this.ranks) {
      const task = rank === (this.retries as unknown) && !isFresh ? undefined : rank.firstOf(client);
      if (task !== undefined && !hasExpired(task, nowMs)) {
        return task;
      }
    }
    return undefined;
  }

  /** How many of these connections on their way, each for one client, somebody waits for. */
  countAwaited(opening: Tally): number {
    let awaited = 0;
    for (const [client, count] of opening) {
      awaited += Math.min(count, this.countOf(client));
    }
    return awaited;
  }

  /** Who comes first of those for whom none of these connections is on its way. */
  firstUncovered(opening: Tally, nowMs: number): Task | undefined {
    const left = opening.copy();
    let first: Task | undefined;
    for (const rank of this.ranks) {
      const task = rank.firstUncovered(left);
      if (task !== undefined && (first === undefined || goesBefore(task, first, nowMs))) {
        first = task;
      }
    }
    return first;
  }

  /** How many of this client wait. */
  countOf(client: string): number {
    return this.ranks.reduce((sum, rank) => sum + rank.countOf(client), 0);
  }

  /** Settles everyone of this client who waits. */
  failOf(client: string, failure: Failure): void {
    for (const task of this.ranks.flatMap((rank) => rank.allOf(client))) {
      withdraw(task);
      task.drop(failure);
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
      if (first === undefined || goesBefore(head, first, nowMs)) {
        first = head;
      }
    }
    return first;
  }

  /** When the one that waits longest came; `Infinity` where nobody waits. */
  get oldestMs(): number {
    let oldestMs = this.retries.head?.enqueuedMs ?? Number.POSITIVE_INFINITY;
    for (const queue of this.queues) {
      const queueMs = queue instanceof FairQueue ? queue.oldestMs : queue.head?.enqueuedMs;
      if (queueMs !== undefined && queueMs < oldestMs) {
        oldestMs = queueMs;
      }
    }
    return oldestMs;
  }
}

/** Whether it has waited for so long that it goes before one with more right. */
function goesBefore(task: Task, first: Task, nowMs: number): boolean {
  return nowMs - task.enqueuedMs > AGED_MS && task.enqueuedMs < first.enqueuedMs;
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
    return task.isContinued ? 2 : 3;
  }
  return task.isRefresh ? 1 : 0;
}

/** Takes a task out of whichever queue it stands in; false: it stands in none. */
export function withdraw(task: Task): boolean {
  return task.queue instanceof TaskQueue && task.queue.remove(task);
}
