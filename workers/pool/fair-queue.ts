/**
 * Requests of one rank, fair between tenants: deficit round robin (Shreedhar and Varghese, 1995) over octets for messages, and over
 * requests for lookups. Takes the place of the plain queue in request-queue.ts once a request with a tenant or a priority has come;
 * requests without a tenant are one tenant. Of tenants that have nothing waiting some are kept, so that one whose requests come one by
 * one is not made anew for each.
 */
import { PRIORITIES, priorityOf, tagOf, tenantOf } from "../../src/messages/tenant.js";
import { Arrivals } from "./arrivals.js";
import type { Task } from "./task.js";
import { type Level, TenantQueue, type TenantQueueOwner } from "./tenant-queue.js";
import { TenantRing } from "./tenant-ring.js";
import type { Tenants } from "./tenants.js";

/** What a tenant of weight 1 is given in each round: octets of messages, or lookups. */
const QUANTUM_OCTETS = 8 * 1024;
const QUANTUM_LOOKUPS = 1;
/** What a message costs beside its content: MAIL, RCPT, DATA and their replies. */
const ENVELOPE_OCTETS = 1024;
/** Of a content whose length nobody knows. */
const UNKNOWN_OCTETS = 64 * 1024;
/** Tenants that are kept although nothing of theirs waits. */
const MOST_RESTING = 1_000;

export class FairQueue implements TenantQueueOwner {
  length = 0;
  /** By the tag of their requests. */
  private readonly levels = new Map<string, Level>();
  /** All tenants that have something waiting. */
  private readonly round = new TenantRing();
  /** The others, who rested for the longest time first. */
  private readonly resting = new TenantRing();
  private readonly arrivals = new Arrivals();

  constructor(private readonly tenants: Tenants) {}

  /** How many tenants have something waiting. */
  get tenantCount(): number {
    return this.round.size;
  }

  /** How many are known. */
  get knownCount(): number {
    return this.round.size + this.resting.size;
  }

  push(task: Task): void {
    const level = this.levels.get(task.tag) ?? this.know(task.tag);
    const { tenant } = level;
    if (tenant.length === 0) {
      this.resting.remove(tenant);
      tenant.weight = this.tenants.weightOf(tenant.name);
      // Last in the round: whoever comes anew for each request has no more of it than the others.
      this.round.add(tenant);
    }
    task.cost = costOf(task);
    tenant.push(task, level);
    this.length++;
    this.arrivals.add(task);
  }

  /** Who goes next. Asked again before that one has left, it is the same one. `undefined`: nobody may go for now. */
  get head(): Task | undefined {
    // Round by round, but a round that serves nobody is one too many: those that would follow it are added up.
    for (let left = this.round.size; left >= 0; left--) {
      const task = this.atTurn();
      if (task !== undefined) {
        return task;
      }
    }
    return this.skipRounds() ? this.head : undefined;
  }

  /** It goes to a connection now: its tenant has had so much of the round. */
  take(task: Task): void {
    const { tenant } = task.queue as Level;
    tenant.deficit -= task.cost;
    tenant.served();
    this.tenants.began(tenant.name);
  }

  /** Takes anyone out. */
  shift(): Task | undefined {
    const task = this.round.first?.head;
    if (task !== undefined) {
      (task.queue as Level).remove(task);
    }
    return task;
  }

  /** When the one that waits longest came. */
  get oldestMs(): number {
    return this.arrivals.oldestMs;
  }

  left(tenant: TenantQueue, task: Task): void {
    this.length--;
    this.arrivals.remove(task);
    if (tenant.length > 0) {
      return;
    }
    tenant.rest();
    this.round.remove(tenant);
    this.resting.add(tenant);
    if (this.resting.size > MOST_RESTING) {
      this.forget(this.resting.first!);
    }
  }

  /** The one whose turn it is, where its tenant may be served. Otherwise the turn goes on. */
  private atTurn(): Task | undefined {
    const turn = this.round.first;
    if (turn === undefined) {
      return undefined;
    }
    if (this.tenants.mayBegin(turn.name)) {
      const task = turn.head!;
      const { cost } = task;
      if (turn.deficit < cost && !turn.isVisited) {
        turn.isVisited = true;
        turn.deficit += quantumOf(task) * turn.weight;
      }
      if (turn.deficit >= cost) {
        return task;
      }
    }
    turn.isVisited = false;
    this.round.turn();
    return undefined;
  }

  /** Gives everybody what as many rounds would as pass until the next one is served. False: nobody may be served now. */
  private skipRounds(): boolean {
    let rounds = Number.POSITIVE_INFINITY;
    const eligible: [queue: TenantQueue, quantum: number][] = [];
    for (const queue of this.round) {
      if (!this.tenants.mayBegin(queue.name)) {
        continue;
      }
      const task = queue.head!;
      const quantum = quantumOf(task) * queue.weight;
      eligible.push([queue, quantum]);
      rounds = Math.min(rounds, Math.ceil((task.cost - queue.deficit) / quantum));
    }
    if (eligible.length === 0) {
      this.tenants.holdBack([...this.round].map(({ name }) => name));
      return false;
    }
    for (const [queue, quantum] of eligible) {
      queue.deficit += quantum * Math.max(0, rounds - 1);
    }
    return true;
  }

  /** A tenant, or a priority of one, that is not known: its requests will stand there. */
  private know(tag: string): Level {
    const name = tenantOf(tag);
    let tenant = this.known(name);
    if (tenant === undefined) {
      tenant = new TenantQueue(name, this);
      this.resting.add(tenant);
    }
    const level = tenant.levelOf(priorityOf(tag));
    this.levels.set(tag, level);
    return level;
  }

  private known(name: string): TenantQueue | undefined {
    for (const rank of PRIORITIES.keys()) {
      const level = this.levels.get(tagOf(name, rank));
      if (level !== undefined) {
        return level.tenant;
      }
    }
    return undefined;
  }

  private forget(tenant: TenantQueue): void {
    this.resting.remove(tenant);
    for (const rank of PRIORITIES.keys()) {
      this.levels.delete(tagOf(tenant.name, rank));
    }
  }
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
