/**
 * One host's connections and the queues before them. Receives tasks from the actor, hands them to members as these have room,
 * and never has more than `concurrency` connections, those that open or close included.
 *
 * Order: AUTH on connections of its own; RCPT, VRFY and EXPN before refreshes before relays; but whoever has waited
 * longer than a second goes first, so nobody starves.
 */
import type { HostSettings } from "../src/config/settings.js";
import type { Failure } from "../src/errors.js";
import { Timer } from "../src/timer-wheel.js";
import { Circuit, WorkingLimit } from "./circuit.js";
import { Dialer } from "./dialer.js";
import { ImapMember, type Member, type MemberOwner, SmtpMember } from "./member.js";
import { TaskQueue } from "./task-queue.js";
import type { AddressQuestion, LoginQuestion, RelayRequest, Task, TaskKind } from "./tasks.js";
import type { SessionPurpose } from "./wire/smtp.js";
import type { World } from "./world.js";

/** Whoever waited so long goes before those with more right. */
const AGED_MS = 1_000;
/** Logins in this time make the pool keep connections ready for more (RFC 4954: a successful AUTH uses its connection up). */
const LOGIN_MEMORY_MS = 10_000;

export interface PoolOwner {
  log(
    level: "debug" | "info" | "warn" | "error",
    event: string,
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ): void;
}

export class Pool implements MemberOwner {
  readonly members = new Set<Member>();
  opened = 0;
  connectFailures = 0;
  private readonly logins = new TaskQueue<LoginQuestion>();
  private readonly lookups = new TaskQueue<AddressQuestion>();
  private readonly refreshes = new TaskQueue<AddressQuestion>();
  private readonly relays = new TaskQueue<RelayRequest>();
  /** Rested longest first: the last one is lent again, the first ones may go. */
  private readonly idle: Record<SessionPurpose, Member[]> = { service: [], login: [] };
  private dialer: Dialer;
  /** Each purpose has its own: a wrong `remote.<id>.auth` must not stop users' logins. */
  private circuits: Record<SessionPurpose, Circuit>;
  private limit: WorkingLimit;
  private readonly wakeUp = new Timer(() => this.pump());
  private lastLoginMs = Number.NEGATIVE_INFINITY;
  private isClosing = false;
  /** The time to drain is over: nothing is sent any more. */
  private closedWith: Failure | undefined;
  private emptied: (() => void) | undefined;

  constructor(
    private readonly world: World,
    private settings: HostSettings,
    readonly hostname: string,
    private readonly owner: PoolOwner,
  ) {
    this.dialer = new Dialer(world, settings);
    this.circuits = this.makeCircuits();
    this.limit = new WorkingLimit(world.clock, settings.concurrency);
  }

  get queued(): number {
    return this.logins.length + this.lookups.length + this.refreshes.length + this.relays.length;
  }

  /** Requests are refused at once: the host could not be reached lately and no connection to it stands. */
  isRefusing(purpose: SessionPurpose): boolean {
    return this.circuits[purpose].state === "open" && !this.isStanding(purpose);
  }

  submit(task: Task): void {
    const purpose = task.kind === "login" ? "login" : "service";
    if (this.isRefusing(purpose)) {
      task.drop(this.unavailable(purpose));
      return;
    }
    this.queueOf(task).push(task);
    this.pump();
  }

  /** Before all others of its kind. */
  resubmit(task: Task): void {
    if (this.closedWith !== undefined) {
      task.drop(this.closedWith);
      return;
    }
    this.queueOf(task).unshift(task);
    this.pump();
  }

  /** Takes a task that nobody waits for out of its queue; false: it is at work already. */
  withdraw(task: Task): boolean {
    return this.queueOf(task).remove(task);
  }

  /** Settings for connections opened from now on; the others finish what they have and close. */
  reconfigure(settings: HostSettings): void {
    this.settings = settings;
    this.dialer = new Dialer(this.world, settings);
    this.limit = new WorkingLimit(this.world.clock, settings.concurrency);
    // What is known of the former host says nothing of this one.
    this.circuits = this.makeCircuits();
    this.retireAll();
    this.pump();
  }

  /** Serves what it has, for at most `drainMs`, then settles the rest with `failure`. Resolves when no connection is left. */
  close(drainMs: number, failure: Failure): Promise<void> {
    this.isClosing = true;
    return new Promise((resolve) => {
      const limit = new Timer(() => this.abandon(failure));
      this.emptied = () => {
        this.world.wheel.clear(limit);
        this.world.wheel.clear(this.wakeUp);
        resolve();
      };
      if (drainMs <= 0) this.abandon(failure);
      else this.world.wheel.set(limit, drainMs);
      this.retireIfDrained();
    });
  }

  // --- what members tell ---------------------------------------------------------------------------------------

  ready(member: Member): void {
    this.circuits[member.purpose].connected();
    member.state = "busy";
    this.progressed(member);
  }

  progressed(member: Member): void {
    if (member.state === "busy" && member.isFree) this.release(member);
    if (this.queued > 0) this.pump();
    if (this.isClosing) this.retireIfDrained();
  }

  ended(member: Member, failure: Failure): void {
    this.members.delete(member);
    const wasOpening = member.state === "opening";
    // Also when it was closing: whoever rested long enough closes while it stands there.
    remove(this.idle[member.purpose], member);
    member.state = "closing";
    if (wasOpening) this.openingFailed(member, failure);
    if (this.queued > 0) this.pump();
    if (this.isClosing) this.retireIfDrained();
  }

  nextRelay(member: Member): RelayRequest | undefined {
    if (this.relays.length === 0 || this.lookups.length > 0 || this.isBetterForLogin(member)) return undefined;
    const task = this.relays.head!;
    if (task.wasRetried) return undefined;
    if (this.dropIfExpired(task)) return this.nextRelay(member);
    this.relays.remove(task);
    task.start(member.number);
    return task;
  }

  notice(level: "info" | "warn", event: string, message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.owner.log(level, event, message, fields);
  }

  // --- handing out ---------------------------------------------------------------------------------------------

  /** The one place that decides who is served next, and by which connection. */
  private pump(): void {
    while (this.logins.length > 0 && this.serve(this.logins.head!, "login")) {}
    for (let task = this.nextService(); task !== undefined && this.serve(task, "service"); task = this.nextService()) {}
    this.openMore("login", this.logins.length);
    this.openMore("service", this.lookups.length + this.refreshes.length + this.relays.length);
  }

  /** True: the task left its queue. */
  private serve(task: Task, purpose: SessionPurpose): boolean {
    if (this.dropIfExpired(task)) return true;
    const member = this.memberFor(task, purpose);
    if (member === undefined) return false;
    this.withdraw(task);
    if (purpose === "login") this.lastLoginMs = this.world.clock.now();
    task.start(member.number);
    member.take(task);
    // A task that nothing could be sent for is settled already, and no reply will come that frees the connection.
    if (member.state === "busy" && member.isFree) this.release(member);
    return true;
  }

  private nextService(): Task | undefined {
    const best = this.lookups.head ?? this.refreshes.head ?? this.relays.head;
    const agedBefore = this.world.clock.now() - AGED_MS;
    let oldest: Task | undefined;
    for (const head of [this.refreshes.head, this.relays.head]) {
      if (head !== undefined && head.enqueuedMs < agedBefore && head.enqueuedMs < (oldest ?? best!).enqueuedMs)
        oldest = head;
    }
    return oldest ?? best;
  }

  private dropIfExpired(task: Task): boolean {
    if (task.deadlineMs > this.world.clock.now()) return false;
    this.withdraw(task);
    task.drop({
      code: "DEADLINE_EXCEEDED",
      message: "The deadline passed while the request waited; nothing was sent.",
    });
    return true;
  }

  private memberFor({ kind, wasRetried }: Task, purpose: SessionPurpose): Member | undefined {
    const idle = this.idle[purpose];
    if (wasRetried) {
      const fresh = idle.find((member) => member.isFresh && !member.isDone && member.hasRoomFor(kind));
      return fresh === undefined ? undefined : this.lend(fresh);
    }
    for (let member = idle.at(-1); member !== undefined; member = idle.at(-1)) {
      if (!member.isDone && member.hasRoomFor(kind)) return this.lend(member);
      remove(idle, member);
      member.quit();
    }
    if (kind === "rcpt") return this.busyMemberFor(kind);
    // Behind a terminator only when no connection may be opened instead.
    return kind === "relay" && this.room <= 0 && this.openingFor("service") === 0
      ? this.busyMemberFor(kind)
      : undefined;
  }

  private lend(member: Member): Member {
    remove(this.idle[member.purpose], member);
    member.state = "busy";
    this.world.wheel.clear(member.idleTimer);
    return member;
  }

  private busyMemberFor(kind: TaskKind): Member | undefined {
    for (const member of this.members) {
      if (member.state === "busy" && member.purpose === "service" && member.hasRoomFor(kind)) return member;
    }
    return undefined;
  }

  private release(member: Member): void {
    if (member.isDone || (this.isBetterForLogin(member) && this.room <= 0)) {
      member.quit();
      return;
    }
    member.state = "idle";
    this.idle[member.purpose].push(member);
    member.rest();
  }

  /** Logins wait and every place is taken by connections that cannot serve them: this one should make room. */
  private isBetterForLogin(member: Member): boolean {
    if (member.purpose !== "service" || this.logins.length === 0 || this.room > 0) return false;
    for (const other of this.members) if (other.purpose === "login") return false;
    return true;
  }

  private makeCircuits(): Record<SessionPurpose, Circuit> {
    const { clock, random } = this.world;
    return { service: new Circuit(clock, random), login: new Circuit(clock, random) };
  }

  // --- opening -------------------------------------------------------------------------------------------------

  /** Places free for one more connection. */
  private get room(): number {
    return this.limit.connections - this.members.size;
  }

  private openMore(purpose: SessionPurpose, waiting: number): void {
    if (waiting === 0) return;
    let wanted = waiting + (purpose === "login" ? this.loginSpares(waiting) : 0) - this.openingFor(purpose);
    const circuit = this.circuits[purpose];
    if (circuit.state === "open") {
      this.world.wheel.set(this.wakeUp, circuit.waitMs);
      return;
    }
    if (circuit.state === "half-open") wanted = Math.min(wanted, 1 - this.openingFor(purpose));
    // One of its own kind rests here only while the next task wants a connection that nobody has used.
    const other = purpose === "login" ? "service" : "login";
    if (wanted > 0 && this.room <= 0) this.evictIdle(this.idle[purpose].length > 0 ? purpose : other);
    for (; wanted > 0 && this.room > 0; wanted--) this.open(purpose);
  }

  /** Connections on their way; those that are not wanted any more are not counted. */
  private openingFor(purpose: SessionPurpose): number {
    let count = 0;
    for (const member of this.members) if (member.state === "opening" && member.purpose === purpose) count++;
    return count;
  }

  /** A place that rests on the other side is given up; the pump comes again when it is free. */
  private evictIdle(purpose: SessionPurpose): void {
    this.idle[purpose].shift()?.quit();
  }

  /** Connections to have ready ahead of the next logins. */
  private loginSpares(waiting: number): number {
    const isBusy = this.world.clock.now() - this.lastLoginMs < LOGIN_MEMORY_MS;
    return isBusy ? Math.min(waiting, Math.floor(this.settings.concurrency / 2)) : 0;
  }

  private open(purpose: SessionPurpose): void {
    this.opened++;
    const number = this.opened;
    const member: Member =
      this.settings.protocol === "imap"
        ? new ImapMember(this, this.dialer, "login", number)
        : new SmtpMember(this, this.dialer, purpose, number);
    this.members.add(member);
    member.open();
  }

  private openingFailed(member: Member, failure: Failure): void {
    this.connectFailures++;
    const { purpose } = member;
    const standing = [...this.members].filter((other) => other.state === "idle" || other.state === "busy").length;
    this.owner.log("warn", "connect-failed", failure.message, { code: failure.code, connection: member.number });
    if (standing > 0 && failure.code === "HOST_UNAVAILABLE") {
      // The host refuses more of us while it serves others: fewer connections, not no service.
      this.limit.crowded(standing + 1);
      return;
    }
    this.circuits[purpose].failed();
    if (this.isStanding(purpose) || this.openingFor(purpose) > 0) return;
    this.failQueues(purpose, failure);
  }

  private isStanding(purpose: SessionPurpose): boolean {
    for (const { state, purpose: served } of this.members) {
      if (served === purpose && (state === "idle" || state === "busy")) return true;
    }
    return false;
  }

  private failQueues(purpose: SessionPurpose, failure: Failure): void {
    const queues: TaskQueue<Task>[] = purpose === "login" ? [this.logins] : [this.lookups, this.refreshes, this.relays];
    for (const queue of queues)
      for (let task = queue.shift(); task !== undefined; task = queue.shift()) task.drop(failure);
  }

  private unavailable(purpose: SessionPurpose): Failure {
    const seconds = Math.ceil(this.circuits[purpose].waitMs / 1000);
    return {
      code: "HOST_UNAVAILABLE",
      message: `The host could not be reached lately; it is tried again in ${seconds} s. Nothing was sent.`,
    };
  }

  // --- closing -------------------------------------------------------------------------------------------------

  private retireAll(): void {
    for (const member of [...this.members]) {
      member.isRetired = true;
      if (member.state === "idle" || member.state === "opening") member.quit();
    }
  }

  private retireIfDrained(): void {
    if (this.queued > 0) return;
    this.retireAll();
    if (this.members.size === 0) this.emptied?.();
  }

  private abandon(failure: Failure): void {
    this.closedWith = failure;
    this.failQueues("login", failure);
    this.failQueues("service", failure);
    this.retireAll();
    for (const member of [...this.members]) if (member.state === "busy") member.abort(failure);
    this.retireIfDrained();
  }

  private queueOf(task: Task): TaskQueue<Task> {
    if (task.kind === "relay") return this.relays as TaskQueue<Task>;
    if (task.kind === "login") return this.logins as TaskQueue<Task>;
    return ((task as AddressQuestion).isRefresh ? this.refreshes : this.lookups) as TaskQueue<Task>;
  }
}

function remove<T>(list: T[], item: T): void {
  const at = list.lastIndexOf(item);
  if (at !== -1) list.splice(at, 1);
}
