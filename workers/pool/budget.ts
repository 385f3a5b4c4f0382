/**
 * How many connections a host may have, and how many it has. The pool takes a connection slot before it opens a connection and
 * gives it back when the socket is gone. Three things bound the slots: `remote.<id>.concurrency` with what the host bears of it
 * (working-limit.ts), the slots that the same host holds as it was before a reload, and a grant where the slots are leased from
 * elsewhere (a cluster of gateways).
 */
import type { Clock } from "../../src/timer-wheel.js";
import { WorkingLimit } from "./working-limit.js";

/** What a host's several addresses bear. */
export interface EndpointRoom {
  /** How many more connections those may have that the next one would go to. */
  readonly room: number;
  /** Most connections that they bear. */
  readonly bearable: number;
}

interface SlotGrant {
  readonly slots: number;
  /** From then on there are none. */
  readonly untilMs: number;
}

const UNBOUNDED: SlotGrant = { slots: Number.POSITIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };

export class ConnectionBudget {
  /** Where the host has several addresses. */
  endpoints: EndpointRoom | undefined;
  /** Told when the host refused one more connection: how many it is thought to bear, and for how long at most. */
  onCrowded: ((connections: number, forMs: number) => void) | undefined;
  private limit: WorkingLimit;
  /** What was granted from elsewhere; without an end where nobody grants any. */
  private granted: SlotGrant;
  private taken = 0;
  private successor: ConnectionBudget | undefined;

  /**
   * @param predecessor that of the host as it was: removed and there again at once, it still serves what it has, maybe on new connections
   * @param roomMade called when a slot may be free, be it one of theirs, or when a predecessor lacks one
   * @param slotsLacking how many more could be used now
   */
  constructor(
    private readonly clock: Clock,
    concurrency: number,
    private predecessor: ConnectionBudget | undefined,
    private readonly roomMade: () => void,
    private readonly slotsLacking: () => number,
  ) {
    this.limit = new WorkingLimit(clock, concurrency);
    this.granted = predecessor?.granted ?? UNBOUNDED;
    if (predecessor !== undefined) {
      predecessor.successor = this;
    }
  }

  /** Most connections to have now. */
  get most(): number {
    return Math.min(this.limit.connections, this.grantedSlots);
  }

  /** Slots free for one more connection. Less than none where more was taken than may be now. */
  get room(): number {
    const { spare, endpoints } = this;
    return endpoints === undefined || spare <= 0 ? spare : Math.min(spare, endpoints.room);
  }

  /** The same, whatever the host's addresses bear. */
  get spare(): number {
    return this.most - this.used;
  }

  /** The grant has come to its end, whether or not anybody has come to say so: a process that was held back goes on with what it reads first. */
  get isGrantOver(): boolean {
    const { untilMs } = this.granted;
    return untilMs !== Number.POSITIVE_INFINITY && this.clock.now() >= untilMs;
  }

  /** Slots that are held beyond the grant: they are to be given back. */
  get excess(): number {
    return Math.max(0, this.used - this.grantedSlots);
  }

  /** Slots that the predecessors lack while none is free: they go first. */
  get owed(): number {
    let owed = 0;
    if (this.predecessor !== undefined && this.room <= 0) {
      for (let next: ConnectionBudget | undefined = this.predecessor; next !== undefined; next = next.predecessor) {
        owed += next.slotsLacking();
      }
    }
    return owed;
  }

  /** What the host bears, whatever is granted. */
  get bearable(): number {
    const { endpoints } = this;
    return endpoints === undefined ? this.limit.connections : Math.min(this.limit.connections, endpoints.bearable);
  }

  /** Connections that the host sees, those of its predecessors included. */
  get used(): number {
    if (this.predecessor === undefined && this.successor === undefined) {
      return this.taken;
    }
    let used = 0;
    for (let next: ConnectionBudget | undefined = this.oldest; next !== undefined; next = next.successor) {
      used += next.taken;
    }
    return used;
  }

  /** A connection begins to open. */
  take(): void {
    this.taken++;
  }

  /** Its socket is gone. {@link shareRoom} tells those who wait for a slot. */
  giveBack(): void {
    this.taken--;
  }

  /** The host was removed and is there again: its slots are wanted by what it is now. */
  get isSucceeded(): boolean {
    return this.successor !== undefined;
  }

  /** No slot is held here, and the predecessors are done: they are counted through this one. */
  get isDeserted(): boolean {
    return this.taken === 0 && this.predecessor === undefined;
  }

  /** From now on so many slots may be held, and none from `untilMs` on: those of the predecessors count. Who holds more has to give them back. */
  grant(slots: number, untilMs: number): void {
    const granted = { slots, untilMs };
    for (let next: ConnectionBudget | undefined = this.oldest; next !== undefined; next = next.successor) {
      next.granted = granted;
    }
    this.shareRoom();
  }

  /** See {@link WorkingLimit.crowded}. */
  crowded(standing: number, sinceMs: number): void {
    if (this.limit.crowded(standing, sinceMs)) {
      this.onCrowded?.(this.limit.connections, this.limit.climbMs);
    }
  }

  /** The host refused others one more connection; what stands here stays. */
  toldCrowded(connections: number, ageMs: number): void {
    this.limit.told(connections, ageMs, this.used);
  }

  /** Other settings: what is known of the former host says nothing of the next. */
  restart(concurrency: number): void {
    this.limit = new WorkingLimit(this.clock, concurrency);
  }

  /** Tells all who share the host's slots that one may be free. Who was removed first goes first: their time is short. */
  shareRoom(): void {
    for (let next: ConnectionBudget | undefined = this.oldest; next !== undefined; ) {
      const { successor }: ConnectionBudget = next;
      next.roomMade();
      next = successor;
    }
  }

  /** No slot is free and none of its own can be freed: the successors look whether one of theirs rests. */
  askForRoom(): void {
    for (let next = this.successor; next !== undefined; ) {
      const { successor }: ConnectionBudget = next;
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
    successor.predecessor = undefined;
    successor.roomMade();
  }

  private get grantedSlots(): number {
    return this.isGrantOver ? 0 : this.granted.slots;
  }

  private get oldest(): ConnectionBudget {
    return this.predecessor?.oldest ?? this;
  }
}
