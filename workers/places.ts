/** The places of one host's connections: which member rests, works, opens or closes. The pool asks here; {@link Places.move} is the only transition. */
import type { Member, MemberState } from "./member.js";
import type { TaskKind } from "./tasks.js";
import type { SessionPurpose } from "./wire/smtp.js";

type Counts = Record<MemberState, number>;

export class Places {
  readonly members = new Set<Member>();
  /** Rested longest first: the last one is lent again, the first ones may go. */
  private readonly idle: Record<SessionPurpose, Member[]> = { service: [], login: [] };
  private readonly counts: Record<SessionPurpose, Counts> = {
    service: { opening: 0, idle: 0, busy: 0, closing: 0 },
    login: { opening: 0, idle: 0, busy: 0, closing: 0 },
  };

  private joined: Member | undefined;
  private roomMade: (() => void) | undefined;

  /**
   * @param former those of the host as it was: removed and there again at once, it has connections that still end
   * @param roomMade called when one of them is gone
   */
  constructor(
    private former: Places | undefined,
    roomMade: () => void,
  ) {
    if (former !== undefined) former.roomMade = roomMade;
  }

  /** Takes one in that begins to open. */
  add(member: Member): void {
    this.members.add(member);
    this.counts[member.purpose][member.state]++;
  }

  move(member: Member, state: MemberState): void {
    const counts = this.counts[member.purpose];
    if (member.state === "idle") this.leaveIdle(member);
    counts[member.state]--;
    member.state = state;
    counts[state]++;
    if (state === "idle") this.idle[member.purpose].push(member);
  }

  /** Its socket is gone. */
  remove(member: Member): void {
    if (!this.members.delete(member)) return;
    if (member.state === "idle") this.leaveIdle(member);
    this.counts[member.purpose][member.state]--;
    this.roomMade?.();
  }

  /** Connections that the host sees. */
  get taken(): number {
    const { former } = this;
    if (former === undefined) return this.members.size;
    // Empty once, it stays so.
    if (former.taken === 0) this.former = undefined;
    return this.members.size + former.taken;
  }

  get size(): number {
    return this.members.size;
  }

  count(purpose: SessionPurpose, state: MemberState): number {
    return this.counts[purpose][state];
  }

  /** Places that will soon be free. */
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
  newestIdle(purpose: SessionPurpose): Member | undefined {
    return this.idle[purpose].at(-1);
  }

  oldestIdle(purpose: SessionPurpose): Member | undefined {
    return this.idle[purpose][0];
  }

  /** One that rests and never served. */
  freshIdle(purpose: SessionPurpose): Member | undefined {
    return this.idle[purpose].find((member) => !member.wasUsed);
  }

  /** A busy one that takes one more task of this kind: the one that took the last, often. */
  busyWithRoom(kind: TaskKind): Member | undefined {
    if (this.joined !== undefined && canJoin(this.joined, kind)) return this.joined;
    this.joined = undefined;
    for (const member of this.members) {
      if (!canJoin(member, kind)) continue;
      this.joined = member;
      break;
    }
    return this.joined;
  }

  private leaveIdle(member: Member): void {
    const idle = this.idle[member.purpose];
    if (idle.at(-1) === member) idle.pop();
    else idle.splice(idle.indexOf(member), 1);
  }
}

function canJoin(member: Member, kind: TaskKind): boolean {
  return member.state === "busy" && member.purpose === "service" && member.hasRoomFor(kind);
}
