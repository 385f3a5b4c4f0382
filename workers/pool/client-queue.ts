/**
 * Who waits, by binding (bindings.ts): for a host of which each connection serves one client, or one of whose addresses serves a
 * recipient. Stands in the request queue (request-queue.ts) where the settings say so, and costs nothing elsewhere.
 */
import type { Tally } from "./tally.js";
import type { Task } from "./task.js";
import { TaskQueue } from "./task-queue.js";

/** Those of one rank, who wait for connections of their own clients. */
export interface ClientRank {
  /** Who of this client may go next. */
  firstOf(client: string): Task | undefined;
  countOf(client: string): number;
  allOf(client: string): Task[];
  /** Who goes first of those for whom none of these connections is on its way. Takes off the list what others are waiting for. */
  firstUncovered(opening: Tally): Task | undefined;
}

/** Keeps for each client who waits, in their order. */
export class ClientIndex<T extends Task> {
  private readonly tasks = new Map<string, Set<T>>();

  add(task: T): void {
    const known = this.tasks.get(task.binding);
    if (known === undefined) {
      this.tasks.set(task.binding, new Set([task]));
    } else {
      known.add(task);
    }
  }

  delete(task: T): void {
    const known = this.tasks.get(task.binding);
    if (known?.delete(task) === true && known.size === 0) {
      this.tasks.delete(task.binding);
    }
  }

  of(client: string): Iterable<T> {
    return this.tasks.get(client) ?? [];
  }

  countOf(client: string): number {
    return this.tasks.get(client)?.size ?? 0;
  }
}

/** First in, first out, and any client's first one can be found. */
export class ClientQueue extends TaskQueue<Task> implements ClientRank {
  private readonly index = new ClientIndex<Task>();

  override push(task: Task): void {
    super.push(task);
    this.index.add(task);
  }

  override remove(task: Task): boolean {
    this.index.delete(task);
    return super.remove(task);
  }

  /** Binds everybody anew; the order stays. */
  rebind(bindingOf: (task: Task) => string): void {
    for (let task = this.head; task !== undefined; task = task.next as Task | undefined) {
      const binding = bindingOf(task);
      if (binding !== task.binding) {
        this.index.delete(task);
        task.binding = binding;
        this.index.add(task);
      }
    }
  }

  firstOf(client: string): Task | undefined {
    for (const task of this.index.of(client)) {
      return task;
    }
    return undefined;
  }

  countOf(client: string): number {
    return this.index.countOf(client);
  }

  allOf(client: string): Task[] {
    return [...this.index.of(client)];
  }

  /** Looks at no more tasks than there are connections on their way, and one. */
  firstUncovered(opening: Tally): Task | undefined {
    let task = this.head;
    while (task !== undefined && opening.remove(task.binding)) {
      task = task.next as Task | undefined;
    }
    return task;
  }
}
