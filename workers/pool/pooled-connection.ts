/** A pool's connection: one session with its place in the pool, its age and its limits. */
import type { Failure } from "../../src/errors.js";
import type { Answer } from "../../src/messages/contract.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { Timer } from "../../src/timer-wheel.js";
import type { AddressLookup, LoginLookup, RelayRequest, Task, TaskKind } from "../host/tasks.js";
import { ImapSession, type LoginOwner } from "../wire/imap/session.js";
import type { Session } from "../wire/session.js";
import { type SessionPurpose, type SmtpOwner, SmtpSession } from "../wire/smtp/session.js";
import type { Attempt, Dialer } from "./dialer.js";

/** Where a connection stands in its pool. */
export type ConnectionState = "opening" | "idle" | "busy" | "closing";

/** What a member tells its pool. */
export interface ConnectionOwner {
  readonly hostname: string;
  /** The host's. */
  readonly log: HostLog;
  ready(member: PooledConnection): void;
  /** Replies were read, a task may be done. */
  progressed(member: PooledConnection): void;
  /** It begins to close. */
  closing(member: PooledConnection): void;
  ended(member: PooledConnection, failure: Failure): void;
  nextRelay(member: PooledConnection): RelayRequest | undefined;
}

export abstract class PooledConnection {
  state: ConnectionState = "opening";
  /** It takes no more tasks, since the settings changed or the pool closes. */
  isRetired = false;
  /** A task was given to it. */
  wasUsed = false;
  /** Fires when it was idle, or has lived, long enough. */
  readonly idleTimer = new Timer(() => this.quit());
  private readonly openedMs: number;

  constructor(
    protected readonly pool: ConnectionOwner,
    protected readonly dialer: Dialer,
    readonly purpose: SessionPurpose,
    /** Counted from 1 for each host. */
    readonly number: number,
  ) {
    this.openedMs = dialer.world.clock.now();
  }

  abstract open(): void;
  abstract hasRoomFor(kind: TaskKind): boolean;
  /** Nothing is at work. */
  abstract get isFree(): boolean;
  abstract take(task: Task): void;
  /** Ends it at once; what is at work on it is settled with `failure`. */
  abstract abort(failure: Failure): void;
  protected abstract get isSpent(): boolean;
  protected abstract leave(): void;

  /** At a limit: to be closed rather than used again. */
  get isDone(): boolean {
    return this.isRetired || this.isSpent || this.ageMs >= this.dialer.settings.limits.lifetimeMs;
  }

  /** It rests now: until it is used, or has rested or lived long enough. */
  rest(): void {
    const { idleMs, lifetimeMs } = this.dialer.settings.limits;
    this.dialer.world.wheel.set(this.idleTimer, Math.min(idleMs, lifetimeMs - this.ageMs));
  }

  /** Closes in good order. */
  quit(): void {
    if (this.state === "closing") {
      return;
    }
    const wasOpening = this.state === "opening";
    this.pool.closing(this);
    this.dialer.world.wheel.clear(this.idleTimer);
    if (wasOpening) {
      this.abort({ code: "REMOTE_CLOSED", message: "The connection is not wanted any more." });
    } else {
      this.leave();
    }
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
    this.dialer.world.wheel.clear(this.idleTimer);
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
        randomBytes: this.dialer.world.randomBytes,
      }),
    (failure) => this.pool.ended(this, failure),
  );

  open(): void {
    this.attempt.begin();
  }

  hasRoomFor(kind: TaskKind): boolean {
    return !this.isDone && this.session.hasRoomFor(kind);
  }

  get isFree(): boolean {
    return this.session.isIdle;
  }

  take(task: Task): void {
    if (task.kind === "relay") {
      this.session.relay(task as RelayRequest);
    } else if (task.kind === "login") {
      this.session.login(task as LoginLookup);
    } else {
      this.session.lookup(task as AddressLookup);
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

  nextRelay(): RelayRequest | undefined {
    return this.isDone ? undefined : this.pool.nextRelay(this);
  }

  ended(failure: Failure): void {
    this.gone(this.attempt, failure);
  }

  notice(level: "info" | "warn", event: string, message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.pool.log.write(level, event, message, fields);
  }

  protected get isSpent(): boolean {
    return this.session.isSpent;
  }

  protected leave(): void {
    this.session.quit();
  }

  private get session(): SmtpSession {
    return this.attempt.session!;
  }
}

/** An IMAP connection: it tries one login at a time. */
export class ImapConnection extends PooledConnection implements LoginOwner {
  private requests = 0;
  private errors = 0;
  private login: LoginLookup | undefined;
  private isReady = false;
  private readonly attempt = this.dialer.attempt(
    (wire) => new ImapSession(wire, this.dialer.settings, this.dialer.world.randomBytes, this),
    (failure) => this.pool.ended(this, failure),
  );

  open(): void {
    this.attempt.begin();
  }

  hasRoomFor(kind: TaskKind): boolean {
    return kind === "login" && this.isFree && this.attempt.session!.isReady && !this.isDone;
  }

  get isFree(): boolean {
    return this.isReady && this.login === undefined;
  }

  take(task: Task): void {
    this.requests++;
    this.login = task as LoginLookup;
    this.isReady = false;
    this.attempt.session!.login(this.login.credentials);
  }

  abort(failure: Failure): void {
    this.settle(failure, false);
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
    if (!("code" in answer)) {
      if (!answer.found) {
        this.errors++;
      }
      this.settle(answer, false);
      return;
    }
    // What the peer said no to, it counts; a login that was not possible at all was not sent.
    if (answer.reply !== undefined) {
      this.errors++;
    } else if (mayContinue) {
      this.requests--;
    }
    this.settle(answer, !mayContinue && this.requests > 1 && !this.attempt.session!.hasWrittenCredentials);
  }

  ended(failure: Failure): void {
    this.gone(this.attempt, failure);
  }

  notice(event: string, message: string): void {
    this.pool.log.write("warn", event, message);
  }

  protected get isSpent(): boolean {
    const { limits } = this.dialer.settings;
    return this.requests >= limits.requests || this.errors >= limits.errors;
  }

  protected leave(): void {
    this.attempt.session?.quit();
  }

  private settle(answer: Answer | Failure, isRetrySafe: boolean): void {
    const { login } = this;
    this.login = undefined;
    if (login === undefined) {
      return;
    }
    if ("code" in answer) {
      login.failed(answer, isRetrySafe);
    } else {
      login.answered(answer);
    }
  }
}
