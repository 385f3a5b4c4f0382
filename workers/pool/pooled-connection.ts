/** A pool's connection: one session with its place in the pool, its age, and what is left of the limits on its use. */
import type { Failure } from "../../src/errors.js";
import type { Answer } from "../../src/messages/contract.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { Timer } from "../../src/timer-wheel.js";
import type { LoginOwner } from "../wire/imap/login-owner.js";
import { ImapSession } from "../wire/imap/session.js";
import type { Progress } from "../wire/progress.js";
import type { Session } from "../wire/session.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { SmtpOwner } from "../wire/smtp/owner.js";
import { SmtpSession } from "../wire/smtp/session.js";
import type { Attempt, Dialer } from "./dialer.js";
import type { PoolLogin, PoolRelay, Task, TaskKind } from "./task.js";

/** Where a connection stands in its pool. `busy` has room for more, as far as is known; `full` has none until something was read. */
export type ConnectionState = "opening" | "idle" | "busy" | "full" | "closing" | "closed";

/** How long the host may say nothing, and who hears that it did (hang-watch.ts). */
export interface Patience {
  /** How long a lookup of this kind may go on without a word of the host. */
  limitMs(kind: TaskKind): number;
  /** It is still opening after the time that lookups may take. */
  openingIsSlow(connection: PooledConnection, limitMs: number): void;
  /** Its lookups had no word of the host for as long as they may, since `sinceMs`: it is ended next. */
  unanswered(sinceMs: number, limitMs: number): void;
}

/** What a connection tells its pool. */
export interface ConnectionOwner {
  readonly hostname: string;
  /** The host's. */
  readonly log: HostLog;
  ready(connection: PooledConnection): void;
  /** Replies were read, a task may be done. */
  progressed(connection: PooledConnection): void;
  /** It begins to close. */
  closing(connection: PooledConnection): void;
  ended(connection: PooledConnection, failure: Failure): void;
  nextRelay(connection: PooledConnection): PoolRelay | undefined;
  readonly hang: Patience;
}

export abstract class PooledConnection {
  /** Changed by its {@link ./connection-table.ConnectionTable} and by nothing else. */
  state: ConnectionState = "opening";
  private isRetired = false;
  /** Tasks given to it and not settled. */
  private atWork = 0;
  /** Tasks given to it, refused ones too (`limits.requests`), and what the host said no to (`limits.errors`). */
  private requests = 0;
  private refusals = 0;
  /** A task was given to it. */
  wasUsed = false;
  /** When it last got something to read, or began to wait for it. */
  heardMs: number;
  /** Fires when it was idle, or has lived, long enough; while lookups are at work or wait for it, when nothing was heard for too long. */
  private readonly timer = new Timer(() => this.timePassed());
  private limitMs = 0;
  private readonly openedMs: number;

  constructor(
    protected readonly pool: ConnectionOwner,
    protected readonly dialer: Dialer,
    readonly purpose: SessionPurpose,
    /** Counted from 1 for each host. */
    readonly number: number,
  ) {
    this.openedMs = dialer.world.clock.now();
    this.heardMs = this.openedMs;
    this.expect("rcpt");
  }

  abstract open(): void;
  /** Nothing is at work. */
  abstract get isFree(): boolean;
  /** Ends it at once; what is at work on it is settled with `failure`. */
  abstract abort(failure: Failure): void;
  /** Whether the dialogue at hand has room for a task of this kind. */
  protected abstract canBegin(kind: TaskKind): boolean;
  protected abstract begin(task: Task): void;
  protected abstract leave(): void;
  /** The reply that is due has not come. */
  protected abstract timeOut(): void;

  hasRoomFor(kind: TaskKind): boolean {
    return this.hasBudget && this.canBegin(kind);
  }

  /** Returns whether there is room for one more of its kind. */
  take(task: Task): boolean {
    if (task.kind === "relay") {
      this.dialer.world.wheel.clear(this.timer);
    } else if (this.atWork === 0) {
      this.heardMs = this.dialer.world.clock.now();
      this.expect(task.kind);
    }
    this.count();
    this.begin(task);
    return this.hasRoomFor(task.kind);
  }

  /** One that is at work takes one more task, of whichever kind. */
  get hasRoom(): boolean {
    return this.hasRoomFor("rcpt") || this.hasRoomFor("relay");
  }

  /** It takes no more tasks. */
  retire(): void {
    this.isRetired = true;
  }

  /** At a limit: to be closed rather than used again. */
  get isDone(): boolean {
    const { errors, requests, lifetimeMs } = this.dialer.settings.limits;
    return this.isRetired || this.requests >= requests || this.refusals >= errors || this.ageMs >= lifetimeMs;
  }

  /** Each task at work may be refused: there are never more of them than refusals are left. */
  protected get hasBudget(): boolean {
    return !this.isDone && this.atWork < this.dialer.settings.limits.errors - this.refusals;
  }

  protected count(): void {
    this.requests++;
    this.atWork++;
  }

  // --- what both kinds of session tell -------------------------------------------------------------------------

  refused(): void {
    this.refusals++;
  }

  settled(): void {
    this.atWork--;
  }

  unsent(): void {
    this.requests--;
    this.atWork--;
  }

  /** It rests now: until it is used, or has rested or lived long enough. */
  rest(): void {
    const { idleMs, lifetimeMs } = this.dialer.settings.limits;
    this.dialer.world.wheel.set(this.timer, Math.min(idleMs, lifetimeMs - this.ageMs));
  }

  /** Time passes for it from now on; {@link heard} begins it anew. */
  private expect(kind: TaskKind): void {
    this.limitMs = this.pool.hang.limitMs(kind);
    this.dialer.world.wheel.set(this.timer, this.limitMs);
  }

  /** It got something to read. */
  heard(): void {
    this.heardMs = this.dialer.world.clock.now();
  }

  private timePassed(): void {
    const { wheel, clock } = this.dialer.world;
    const { limitMs, heardMs } = this;
    if (this.state === "idle") {
      this.quit();
    } else if (this.state === "opening") {
      // Armed again first: lookups may come to wait for it later.
      wheel.set(this.timer, limitMs);
      this.pool.hang.openingIsSlow(this, limitMs);
    } else if (this.isWorking && clock.now() - heardMs < limitMs) {
      wheel.set(this.timer, heardMs + limitMs - clock.now());
    } else if (this.isWorking) {
      this.pool.hang.unanswered(heardMs, limitMs);
      this.timeOut();
    }
  }

  /** Closes in good order. */
  quit(): void {
    if (this.state === "closing" || this.state === "closed") {
      return;
    }
    const wasOpening = this.state === "opening";
    this.pool.closing(this);
    this.dialer.world.wheel.clear(this.timer);
    if (wasOpening) {
      this.abort({ code: "REMOTE_CLOSED", message: "The connection is not wanted any more." });
    } else {
      this.leave();
    }
  }

  /** Tasks are at work on it, or replies to them awaited. */
  get isWorking(): boolean {
    return this.state === "busy" || this.state === "full";
  }

  /** Since it began to open. */
  get ageMs(): number {
    return this.dialer.world.clock.now() - this.openedMs;
  }

  /** What both kinds do when their session is gone. */
  protected gone(attempt: Attempt<Session>, failure: Failure): void {
    if (this.state === "opening" && attempt.failed(failure)) {
      return;
    }
    this.over(failure);
  }

  /** Its socket is gone, or was never there. */
  protected over(failure: Failure): void {
    this.dialer.world.wheel.clear(this.timer);
    this.pool.ended(this, failure);
  }
}

export class SmtpConnection extends PooledConnection implements SmtpOwner {
  private readonly attempt = this.dialer.attempt(
    (wire) =>
      new SmtpSession(wire, {
        settings: this.dialer.settings,
        hostname: this.pool.hostname,
        purpose: this.purpose,
        peer: this.dialer.peer,
        owner: this,
        log: this.pool.log,
        randomBytes: this.dialer.world.randomBytes,
      }),
    (failure) => this.over(failure),
  );

  open(): void {
    this.attempt.begin();
  }

  protected canBegin(kind: TaskKind): boolean {
    return this.session.hasRoomFor(kind);
  }

  get isFree(): boolean {
    return this.session.isIdle;
  }

  protected begin(task: Task): void {
    if (task.kind === "relay") {
      this.session.relay(task);
    } else if (task.kind === "login") {
      this.session.login(task);
    } else {
      this.session.lookup(task);
    }
  }

  abort(failure: Failure): void {
    if (this.attempt.session === undefined) {
      this.attempt.abandon(failure);
    } else {
      this.session.fail(failure);
    }
  }

  ready(): void {
    this.attempt.succeeded();
    this.pool.ready(this);
  }

  progressed(): void {
    this.pool.progressed(this);
  }

  nextRelay(): PoolRelay | undefined {
    const task = this.hasBudget ? this.pool.nextRelay(this) : undefined;
    if (task !== undefined) {
      this.count();
    }
    return task;
  }

  ended(failure: Failure): void {
    this.gone(this.attempt, failure);
  }

  protected leave(): void {
    this.session.quit();
  }

  protected timeOut(): void {
    this.session.timedOut();
  }

  private get session(): SmtpSession {
    return this.attempt.session!;
  }
}

/** An IMAP connection: it tries one login at a time. */
export class ImapConnection extends PooledConnection implements LoginOwner {
  private login: PoolLogin | undefined;
  private isReady = false;
  private readonly attempt = this.dialer.attempt(
    (wire) => new ImapSession(wire, this.dialer.settings, this.dialer.world.randomBytes, this, this.pool.log),
    (failure) => this.over(failure),
  );

  open(): void {
    this.attempt.begin();
  }

  protected canBegin(kind: TaskKind): boolean {
    return kind === "login" && this.isFree && this.attempt.session!.isReady;
  }

  get isFree(): boolean {
    return this.isReady && this.login === undefined;
  }

  protected begin(task: Task): void {
    this.login = task as PoolLogin;
    this.isReady = false;
    this.attempt.session!.login(this.login.credentials);
  }

  abort(failure: Failure): void {
    const login = this.takeLogin();
    if (login !== undefined) {
      this.settled();
      login.failed(failure);
    }
    if (this.attempt.session === undefined) {
      this.attempt.abandon(failure);
    } else {
      this.attempt.session.quit();
    }
  }

  ready(): void {
    this.isReady = true;
    if (this.state === "opening") {
      this.attempt.succeeded();
      this.pool.ready(this);
    } else {
      this.pool.progressed(this);
    }
  }

  loginAnswered(answer: Answer | Failure, mayContinue: boolean): void {
    const isFailure = "code" in answer;
    if (isFailure ? answer.reply !== undefined : !answer.found) {
      this.refused();
    }
    // A login that was not possible at all was not sent.
    if (isFailure && answer.reply === undefined && mayContinue) {
      this.unsent();
    } else {
      this.settled();
    }
    const login = this.takeLogin()!;
    if (isFailure) {
      login.failed(answer);
    } else {
      login.answered(answer);
    }
  }

  loginLost(failure: Failure, progress: Progress): void {
    const login = this.takeLogin();
    if (login !== undefined) {
      this.settled();
      login.lost(failure, progress);
    }
  }

  ended(failure: Failure): void {
    this.gone(this.attempt, failure);
  }

  protected leave(): void {
    this.attempt.session?.quit();
  }

  protected timeOut(): void {
    this.attempt.session?.timedOut();
  }

  private takeLogin(): PoolLogin | undefined {
    const { login } = this;
    this.login = undefined;
    return login;
  }
}
