/**
 * One host's connections and the queues before them. Receives tasks from the actor, hands them to members as these have room,
 * and never has more than `concurrency` connections, those that open or close included.
 *
 * Order: AUTH on connections of its own; RCPT, VRFY and EXPN before refreshes before relays; but whoever has waited
 * longer than a second goes first, so nobody starves.
 */
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { Timer } from "../../src/timer-wheel.js";
import type { RelayRequest, Task, TaskKind } from "../host/tasks.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { World } from "../world.js";
import { WorkingLimit } from "./circuit.js";
import { ConnectionTable } from "./connection-table.js";
import { Dialer } from "./dialer.js";
import { LoginDemand } from "./login-demand.js";
import { type ConnectionOwner, ImapConnection, type PooledConnection, SmtpConnection } from "./pooled-connection.js";
import { otherPurpose, purposeOf, withdraw } from "./request-queue.js";
import { NOT_FOR_IMAP, Side } from "./side.js";

/** A connection serves its own line for so long before it gives its place to those in the other who waited longer. */
const LEAST_TURN_MS = 1_000;

export interface PoolOwner {
  /** A connection is ready, or failed before it was. */
  dialled(connection: number, durationMs: number, failure: Failure | undefined): void;
}

export class Pool implements ConnectionOwner {
  opened = 0;
  connectFailures = 0;
  private readonly places: ConnectionTable;
  private readonly sides: Readonly<Record<SessionPurpose, Side>>;
  private readonly demand: LoginDemand;
  private dialer: Dialer;
  private limit: WorkingLimit;
  private state: "open" | "draining" | "closed" = "open";
  /** What is told to whoever is not served any more. */
  private closedWith: Failure = { code: "MAILBOX_CLOSED", message: "The remote host was closed." };
  private closed: Promise<void> | undefined;
  private emptied: (() => void) | undefined;

  /** @param former see {@link ConnectionTable} */
  constructor(
    private readonly world: World,
    private settings: HostSettings,
    readonly hostname: string,
    private readonly owner: PoolOwner,
    readonly log: HostLog,
    former: Pool | undefined,
  ) {
    this.places = new ConnectionTable(former?.places, () => this.roomMade());
    this.dialer = new Dialer(world, settings);
    this.sides = { service: new Side(world, () => this.pump()), login: new Side(world, () => this.pump()) };
    this.limit = new WorkingLimit(world.clock, settings.concurrency);
    this.demand = new LoginDemand(world.clock);
  }

  get queued(): number {
    return this.sides.login.line.length + this.sides.service.line.length;
  }

  get members(): ReadonlySet<PooledConnection> {
    return this.places.members;
  }

  /** Requests are refused at once: the host could not be reached lately and no connection to it stands. */
  isRefusing(purpose: SessionPurpose): boolean {
    return this.sides[purpose].circuit.state === "open" && this.places.standing(purpose) === 0;
  }

  circuitState(purpose: SessionPurpose): "closed" | "open" | "half-open" {
    return this.sides[purpose].circuit.state;
  }

  submit(task: Task): void {
    const purpose = purposeOf(task);
    if (this.state === "closed") {
      return task.drop(this.closedWith);
    }
    if (this.isRefusing(purpose)) {
      return task.drop(this.sides[purpose].unavailable);
    }
    this.sides[purpose].line.push(task);
    this.pump();
  }

  /** For its one retry: before all others, on a connection that never served. */
  resubmit(task: Task): void {
    if (this.state === "closed") {
      return task.drop(this.closedWith);
    }
    this.sides[purposeOf(task)].line.retries.push(task);
    this.pump();
  }

  /** A refresh that a caller waits for now. */
  promote(task: Task): void {
    if (withdraw(task)) {
      this.submit(task);
    }
  }

  /** Takes a task that nobody waits for out of its queue; false: it is at work already. */
  withdraw(task: Task): boolean {
    return withdraw(task);
  }

  /** Settings for connections opened from now on; the others finish what they have and close. */
  reconfigure(settings: HostSettings): void {
    this.settings = settings;
    this.dialer = new Dialer(this.world, settings);
    this.limit = new WorkingLimit(this.world.clock, settings.concurrency);
    this.sides.login.forget();
    this.sides.service.forget();
    this.retireAll();
    if (settings.protocol === "imap") {
      this.sides.service.fail(NOT_FOR_IMAP);
    }
    this.pump();
  }

  /** Serves what it has, for at most `drainMs`, then settles the rest with `failure`. Resolves when no connection is left. */
  close(drainMs: number, failure: Failure): Promise<void> {
    this.closedWith = failure;
    const limit = new Timer(() => this.abandon(failure));
    this.closed ??= new Promise((resolve) => {
      this.emptied = () => {
        this.world.wheel.clear(limit);
        for (const { wakeUp } of Object.values(this.sides)) {
          this.world.wheel.clear(wakeUp);
        }
        this.places.leave();
        resolve();
      };
    });
    if (this.state === "open") {
      this.state = "draining";
    }
    if (drainMs <= 0) {
      this.abandon(failure);
    } else {
      this.world.wheel.set(limit, drainMs);
    }
    this.retireIfDrained();
    return this.closed;
  }

  // --- what members tell ---------------------------------------------------------------------------------------

  ready(member: PooledConnection): void {
    this.sides[member.purpose].circuit.connected();
    if (member.purpose === "login") {
      this.demand.opened(member.ageMs);
    }
    this.places.move(member, "busy");
    this.owner.dialled(member.number, member.ageMs, undefined);
    this.progressed(member);
  }

  progressed(member: PooledConnection): void {
    if (member.state === "busy" && member.isFree) {
      this.release(member);
    }
    if (this.queued > 0) {
      this.pump();
    }
    if (this.state !== "open") {
      this.retireIfDrained();
    }
  }

  closing(member: PooledConnection): void {
    this.noteUse(member);
    this.places.move(member, "closing");
  }

  ended(member: PooledConnection, failure: Failure): void {
    const wasOpening = member.state === "opening";
    this.noteUse(member);
    this.places.remove(member);
    member.state = "closing";
    if (wasOpening) {
      this.openingFailed(member, failure);
    }
    this.places.shareRoom();
  }

  private roomMade(): void {
    this.pump();
    if (this.state !== "open") {
      this.retireIfDrained();
    }
  }

  /** A login connection that ends with its work was used up: a password was right, or too many were wrong. */
  private noteUse(member: PooledConnection): void {
    if (member.purpose === "login" && member.state === "busy") {
      this.demand.usedUp();
    }
  }

  nextRelay(member: PooledConnection): RelayRequest | undefined {
    const { line } = this.sides.service;
    if (line.length === 0) {
      return undefined;
    }
    for (;;) {
      const task = line.next(this.world.clock.now());
      if (task?.kind !== "relay" || this.mustYield(member)) {
        return undefined;
      }
      if (this.dropIfExpired(task)) {
        continue;
      }
      withdraw(task);
      task.start(member.number);
      return task as RelayRequest;
    }
  }

  // --- handing out ---------------------------------------------------------------------------------------------

  /** The one place that decides who is served next, and by which connection. */
  private pump(): void {
    this.serveLine("login");
    this.serveLine("service");
    this.openMore();
  }

  private serveLine(purpose: SessionPurpose): void {
    const { line } = this.sides[purpose];
    for (let task = line.retries.head; task !== undefined; task = line.retries.head) {
      if (this.dropIfExpired(task)) {
        continue;
      }
      const member = this.places.freshIdle(purpose, task.kind);
      if (member === undefined) {
        break;
      }
      this.hand(task, member);
    }
    for (;;) {
      const task = line.next(this.world.clock.now());
      if (task === undefined) {
        return;
      }
      if (this.dropIfExpired(task)) {
        continue;
      }
      const member = this.memberFor(task.kind, purpose);
      if (member === undefined) {
        return;
      }
      this.hand(task, member);
    }
  }

  private hand(task: Task, member: PooledConnection): void {
    withdraw(task);
    if (member.state === "idle") {
      this.world.wheel.clear(member.idleTimer);
      this.places.move(member, "busy");
    }
    task.start(member.number);
    member.wasUsed = true;
    member.take(task);
    // A task that nothing could be sent for is settled already, and no reply will come that frees the connection.
    if (member.state === "busy" && member.isFree) {
      this.release(member);
    }
  }

  private dropIfExpired(task: Task): boolean {
    if (task.deadlineMs === Number.POSITIVE_INFINITY || task.deadlineMs > this.world.clock.now()) {
      return false;
    }
    withdraw(task);
    task.drop({
      code: "DEADLINE_EXCEEDED",
      message: "The deadline passed while the request waited; nothing was sent.",
    });
    return true;
  }

  private memberFor(kind: TaskKind, purpose: SessionPurpose): PooledConnection | undefined {
    const { places } = this;
    for (let member = places.newestIdle(purpose); member !== undefined; member = places.newestIdle(purpose)) {
      if (!member.isDone && member.hasRoomFor(kind)) {
        return member;
      }
      member.quit();
    }
    if (kind === "rcpt") {
      return this.busyMemberFor(kind);
    }
    // Behind a terminator only when no connection may be opened instead.
    if (kind !== "relay" || this.room > 0 || places.count("service", "opening") > 0) {
      return undefined;
    }
    return this.busyMemberFor(kind);
  }

  private busyMemberFor(kind: TaskKind): PooledConnection | undefined {
    const member = this.places.busyWithRoom(kind);
    return member === undefined || this.mustYield(member) ? undefined : member;
  }

  private release(member: PooledConnection): void {
    if (member.isDone || this.mustYield(member)) {
      member.quit();
      return;
    }
    this.places.move(member, "idle");
    member.rest();
  }

  // --- opening -------------------------------------------------------------------------------------------------

  /** ConnectionTable free for one more connection. */
  private get room(): number {
    return this.limit.connections - this.places.taken;
  }

  /** Every place is taken, and others have more right to this one: logins when they have none, a retry, who waited too long. */
  private mustYield(member: PooledConnection): boolean {
    if (this.room > 0) {
      return false;
    }
    const { purpose } = member;
    const { line } = this.sides[purpose];
    const { closing } = this.places;
    if (line.retries.length > closing + this.places.count(purpose, "opening")) {
      return member.wasUsed;
    }
    const other = otherPurpose(purpose);
    const rival = this.sides[other].line;
    if (rival.length <= this.places.count(other, "opening") + closing) {
      return false;
    }
    if (this.sides[other].circuit.state === "open") {
      return false;
    }
    if (line.length === 0) {
      return true;
    }
    // Two lines that both wait for long shall not take the place from each other for each request.
    if (!member.wasUsed) {
      return false;
    }
    const nowMs = this.world.clock.now();
    if (rival.isOverdue(nowMs, line)) {
      return member.ageMs >= LEAST_TURN_MS;
    }
    return other === "login" && this.places.held("login") === 0 && !line.isOverdue(nowMs, rival);
  }

  private openMore(): void {
    let login = this.wanted("login");
    let service = this.wanted("service");
    while (login + service > 0 && this.room > 0) {
      const isServiceFirst = login === 0 || (service > 0 && this.isServiceOverdue);
      if (isServiceFirst) {
        service--;
      } else {
        login--;
      }
      this.open(isServiceFirst ? "service" : "login");
    }
    if (service > 0) {
      this.makeRoom("service", service);
    }
    if (login > 0) {
      this.makeRoom("login", login);
    }
    if (login + service === 0) {
      this.openSpares();
    }
  }

  private get isServiceOverdue(): boolean {
    return this.sides.service.line.isOverdue(this.world.clock.now(), this.sides.login.line);
  }

  /** How many more connections this purpose should have now. */
  private wanted(purpose: SessionPurpose): number {
    const side = this.sides[purpose];
    const { line, circuit, wakeUp } = side;
    if (line.length === 0) {
      return 0;
    }
    const opening = this.places.count(purpose, "opening");
    switch (circuit.state) {
      case "closed":
        return Math.max(0, line.length - opening);
      case "half-open":
        return Math.max(0, 1 - opening);
      default:
        if (this.places.held(purpose) === 0) {
          side.fail(side.unavailable);
        } else {
          this.world.wheel.set(wakeUp, circuit.waitMs);
        }
        return 0;
    }
  }

  /** A place that rests on the other side is given up, or on this side when a retry needs a fresh one; the pump comes again when it is free. */
  private makeRoom(purpose: SessionPurpose, wanted: number): void {
    if (this.places.closing >= wanted) {
      return;
    }
    const resting = this.places.oldestIdle(otherPurpose(purpose)) ?? this.places.oldestIdle(purpose);
    resting?.quit();
  }

  /** Connections ready ahead of the next logins, from places that nobody needs now, and never more than half of them. */
  private openSpares(): void {
    const { line, circuit } = this.sides.login;
    const { places, demand } = this;
    if (!demand.isAny || this.state !== "open" || circuit.state !== "closed") {
      return;
    }
    const most = Math.floor(this.limit.connections / 2);
    let missing = demand.spares + line.length - places.count("login", "idle") - places.count("login", "opening");
    for (; missing > 0 && this.room > 0 && places.held("login") < most; missing--) {
      this.open("login");
    }
  }

  private open(purpose: SessionPurpose): void {
    this.opened++;
    const number = this.opened;
    const member: PooledConnection =
      this.settings.protocol === "imap"
        ? new ImapConnection(this, this.dialer, "login", number)
        : new SmtpConnection(this, this.dialer, purpose, number);
    this.places.add(member);
    member.open();
  }

  private openingFailed(member: PooledConnection, failure: Failure): void {
    this.connectFailures++;
    this.owner.dialled(member.number, member.ageMs, failure);
    const { purpose } = member;
    const standing = this.places.standing("service") + this.places.standing("login");
    const { code, cause, reply } = failure;
    const fields = { code, connection: member.number, standing, cause, reply };
    this.log.write("warn", "connect-failed", failure.message, fields);
    if (standing > 0 && failure.code === "HOST_UNAVAILABLE") {
      // The host refuses more of us while it serves others: fewer connections, not no service.
      this.limit.crowded(standing + 1, this.world.clock.now() - member.ageMs);
      return;
    }
    this.sides[purpose].circuit.failed();
    if (this.places.held(purpose) === 0) {
      this.sides[purpose].fail(failure);
    }
  }

  // --- closing -------------------------------------------------------------------------------------------------

  private retireAll(): void {
    for (const member of [...this.places.members]) {
      member.retire();
      if (member.state === "idle" || member.state === "opening") {
        member.quit();
      }
    }
  }

  private retireIfDrained(): void {
    if (this.queued > 0) {
      return;
    }
    this.retireAll();
    if (this.places.isDeserted) {
      this.emptied?.();
    }
  }

  private abandon(failure: Failure): void {
    this.state = "closed";
    this.sides.login.fail(failure);
    this.sides.service.fail(failure);
    this.retireAll();
    for (const member of [...this.places.members]) {
      if (member.state === "busy") {
        member.abort(failure);
      }
    }
    this.retireIfDrained();
  }
}
