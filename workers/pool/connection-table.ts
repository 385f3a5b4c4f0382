/** The places of one host's connections: which member rests, works, opens or closes. The pool asks here; {@link ConnectionTable.move} is the only transition. */

import type { TaskKind } from "../host/tasks.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { ConnectionState, PooledConnection } from "./pooled-connection.js";

type Counts = Record<ConnectionState, number>;

export class ConnectionTable {
  readonly members = new Set<PooledConnection>();
  /** Rested longest first: the last one is lent again, the first ones may go. */
  private readonly idle: Record<SessionPurpose, PooledConnection[]> = { service: [], login: [] };
  private readonly counts: Record<SessionPurpose, Counts> = {
    service: { opening: 0, idle: 0, busy: 0, closing: 0 },
    login: { opening: 0, idle: 0, busy: 0, closing: 0 },
  };

  private joined: PooledConnection | undefined;
  private successor: ConnectionTable | undefined;

  /**
   * @param former those of the host as it was: removed and there again at once, it still serves what it has, maybe on new connections
   * @param roomMade called when a place is free again, be it one of theirs
   */
  constructor(
    private former: ConnectionTable | undefined,
    private readonly roomMade: () => void,
  ) {
    if (former !== undefined) {
      former.successor = this;
    }
  }

  /** Takes one in that begins to open. */
  add(member: PooledConnection): void {
    this.members.add(member);
    this.counts[member.purpose][member.state]++;
  }

  move(member: PooledConnection, state: ConnectionState): void {
    const counts = this.counts[member.purpose];
    if (member.state === "idle") {
      this.leaveIdle(member);
    }
    counts[member.state]--;
    member.state = state;
    counts[state]++;
    if (state === "idle") {
      this.idle[member.purpose].push(member);
    }
  }

  /** Its socket is gone. */
  remove(member: PooledConnection): void {
    if (!this.members.delete(member)) {
      return;
    }
    if (member.state === "idle") {
      this.leaveIdle(member);
    }
    this.counts[member.purpose][member.state]--;
  }

  /** Tells all who share the host's places of a free one. Who was removed first goes first: their time is short. */
  shareRoom(): void {
    for (let next: ConnectionTable | undefined = this.oldest; next !== undefined; ) {
      const { successor }: ConnectionTable = next;
      next.roomMade();
      next = successor;
    }
  }

  /** Nothing will be opened here any more. */
  leave(): void {
    const { successor } = this;
    this.successor = undefined;
    if (successor === undefined) {
      return;
    }
    successor.former = undefined;
    successor.roomMade();
  }

  /** Nobody is here, and those before are done: they are counted through these. */
  get isDeserted(): boolean {
    return this.members.size === 0 && this.former === undefined;
  }

  /** Connections that the host sees. */
  get taken(): number {
    if (this.former === undefined && this.successor === undefined) {
      return this.members.size;
    }
    let taken = 0;
    for (let next: ConnectionTable | undefined = this.oldest; next !== undefined; next = next.successor) {
      taken += next.members.size;
    }
    return taken;
  }

  private get oldest(): ConnectionTable {
    return this.former?.oldest ?? this;
  }

  count(purpose: SessionPurpose, state: ConnectionState): number {
    return this.counts[purpose][state];
  }

  /** ConnectionTable that will soon be free. */
  get closing(): number {
    return this.counts.service.closing + this.counts.login.closing;
  }

  /** Connections that this purpose has or will have. */
  held(purpose: SessionPurpose): number {
    const { opening, idle, busy } = this.counts[purpose];
    return opening + idle + busy;
  }

  /** Connections that stand. */
  standing(purpose: SessionPurpose): number {
    const { idle, busy } = this.counts[purpose];
    return idle + busy;
  }

  /** The one that rested for the shortest time. */
  newestIdle(purpose: SessionPurpose): PooledConnection | undefined {
    return this.idle[purpose].at(-1);
  }

  oldestIdle(purpose: SessionPurpose): PooledConnection | undefined {
    return this.idle[purpose][0];
  }

  /** One that rests and never served. The host may have ended it while its socket is still there. */
  freshIdle(purpose: SessionPurpose, kind: TaskKind): PooledConnection | undefined {
    return this.idle[purpose].find((member) => !member.wasUsed && member.hasRoomFor(kind));
  }

  /** A busy one that takes one more task of this kind: the one that took the last, often. */
  busyWithRoom(kind: TaskKind): PooledConnection | undefined {
    if (this.joined !== undefined && canJoin(this.joined, kind)) {
      return this.joined;
    }
    this.joined = undefined;
    for (const member of this.members) {
      if (!canJoin(member, kind)) {
        continue;
      }
      this.joined = member;
      break;
    }
    return this.joined;
  }

  private leaveIdle(member: PooledConnection): void {
    const idle = this.idle[member.purpose];
    if (idle.at(-1) === member) {
      idle.pop();
    } else {
      idle.splice(idle.indexOf(member), 1);
    }
  }
}

function canJoin(member: PooledConnection, kind: TaskKind): boolean {
  return member.state === "busy" && member.purpose === "service" && member.hasRoomFor(kind);
}
