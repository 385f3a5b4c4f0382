/**
 * Requests of one rank, fair between tenants: deficit round robin (Shreedhar and Varghese, 1995) over octets for messages, and over
 * requests for lookups. Takes the place of the plain queue in request-queue.ts once a request with a tenant or a priority has come;
 * requests without a tenant are one tenant. Nothing is kept here of a tenant that has nothing waiting.
 */
import { tenantOf } from "../../src/messages/tenant.js";
import { Arrivals } from "./arrivals.js";
import type { Task } from "./task.js";
import { type Level, TenantQueue } from "./tenant-queue.js";
import type { Tenants } from "./tenants.js";

/** What a tenant of weight 1 is given in each round: octets of messages, or lookups. */
const QUANTUM_OCTETS = 8 * 1024;
const QUANTUM_LOOKUPS = 1;
/** What a message costs beside its content: MAIL, RCPT, DATA and their replies. */
const ENVELOPE_OCTETS = 1024;
/** Of a content whose length nobody knows. */
const UNKNOWN_OCTETS = 64 * 1024;

export class FairQueue {
  length = 0;
  private readonly queues = new Map<string, TenantQueue>();
  /** Whose turn it is; a ring of all tenants that have something waiting. */
  private turn: TenantQueue | undefined;
  private readonly arrivals = new Arrivals();

  constructor(private readonly tenants: Tenants) {}

  /** How many tenants have something waiting. */
  get tenantCount(): number {
    return this.queues.size;
  }

  push(task: Task): void {
    const name = tenantOf(task.tag);
    const queue = this.queues.get(name) ?? this.join(name);
    queue.push(task);
    this.length++;
    this.arrivals.add(task);
  }

  /** Who goes next. Asked again before that one has left, it is the same one. `undefined`: nobody may go for now. */
  get head(): Task | undefined {
    const nowMs = this.tenants.now;
    // Round by round, but a round that serves nobody is one too many: those that would follow it are added up.
    for (let left = this.queues.size; left >= 0; left--) {
      const task = this.atTurn(nowMs);
      if (task !== undefined) {
        return task;
      }
    }
    return this.skipRounds(nowMs) ? this.head : undefined;
  }

  /** It goes to a connection now: its tenant has had so much of the round. */
  take(task: Task): void {
    const queue = this.queues.get(tenantOf(task.tag))!;
    queue.deficit -= costOf(task);
    queue.served();
    this.tenants.began(queue.name, this.tenants.now);
  }

  /** Takes anyone out. */
  shift(): Task | undefined {
    const task = this.turn?.head;
    if (task !== undefined) {
      (task.queue as Level).remove(task);
    }
    return task;
  }

  /** When the one that waits longest came. */
  get oldestMs(): number {
    return this.arrivals.oldestMs;
  }

  /** The one whose turn it is, where its tenant may be served. Otherwise the turn goes on. */
  private atTurn(nowMs: number): Task | undefined {
    const { turn } = this;
    if (turn === undefined) {
      return undefined;
    }
    if (this.tenants.mayBegin(turn.name, nowMs)) {
      const task = turn.head!;
      const cost = costOf(task);
      if (turn.deficit < cost && !turn.isVisited) {
        turn.isVisited = true;
        turn.deficit += quantumOf(task) * turn.weight;
      }
      if (turn.deficit >= cost) {
        return task;
      }
    }
    turn.isVisited = false;
    this.turn = turn.next;
    return undefined;
  }

  /** Gives everybody what as many rounds would as pass until the next one is served. False: nobody may be served now. */
  private skipRounds(nowMs: number): boolean {
    let rounds = Number.POSITIVE_INFINITY;
    const eligible: [queue: TenantQueue, quantum: number][] = [];
    for (const queue of this.queues.values()) {
      if (!this.tenants.mayBegin(queue.name, nowMs)) {
        continue;
      }
      const task = queue.head!;
      const quantum = quantumOf(task) * queue.weight;
      eligible.push([queue, quantum]);
      rounds = Math.min(rounds, Math.ceil((costOf(task) - queue.deficit) / quantum));
    }
    if (eligible.length === 0) {
      this.tenants.holdBack(this.queues.keys(), nowMs);
      return false;
    }
    for (const [queue, quantum] of eligible) {
      queue.deficit += quantum * Math.max(0, rounds - 1);
    }
    return true;
  }

  private join(name: string): TenantQueue {
    const queue = new TenantQueue(name, this.tenants.weightOf(name), this, this.left);
    this.queues.set(name, queue);
    const { turn } = this;
    if (turn === undefined) {
      queue.next = queue;
      queue.previous = queue;
      this.turn = queue;
    } else {
      // Last in the round: whoever comes anew for each request has no more of it than the others.
      queue.next = turn;
      queue.previous = turn.previous!;
      turn.previous!.next = queue;
      turn.previous = queue;
    }
    return queue;
  }

  private readonly left = (queue: TenantQueue, task: Task): void => {
    this.length--;
    this.arrivals.remove(task);
    if (queue.length > 0) {
      return;
    }
    this.queues.delete(queue.name);
    const { next, previous } = queue;
    previous!.next = next;
    next!.previous = previous;
    if (this.turn === queue) {
      this.turn = next === queue ? undefined : next;
    }
  };
}

function quantumOf(task: Task): number {
  return task.kind === "relay" ? QUANTUM_OCTETS : QUANTUM_LOOKUPS;
}

/** What a request takes of its tenant's share. */
export function costOf(task: Task): number {
  if (task.kind !== "relay") {
    return 1;
  }
  const { content, sizeOctets } = task.job;
  const octets = content?.length ?? (sizeOctets >= 0 ? sizeOctets : UNKNOWN_OCTETS);
  return ENVELOPE_OCTETS + octets;
}
