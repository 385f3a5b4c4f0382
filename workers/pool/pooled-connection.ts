/** A pool's connection: one session with its place in the pool, its age, and what is left of the limits on its use. */
import type { Failure } from "../../src/errors.js";
import { NO_CLIENT } from "../../src/messages/client.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { ConnectionSight } from "../../src/messages/operating.js";
import { Timer } from "../../src/timer-wheel.js";
import type { Session, WireSight } from "../wire/session.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { Attempt } from "./attempt.js";
import type { Dialer } from "./dialer.js";
import type { PoolLogin, PoolRelay, Task, TaskKind } from "./task.js";
import { NO_BINDING } from "./task-queue.js";

/** Where a connection stands in its pool. `busy` has room for more, as far as is known; `full` has none until something was read. */
export type ConnectionState = "opening" | "idle" | "busy" | "full" | "closing" | "closed";

/** What a connection has been through. The peer may have ended one that `rested` or was `used` before its next task comes. */
export type ConnectionPast = "fresh" | "rested" | "used";

/** How long the host may say nothing, and who hears that it did (hang-watch.ts). */
export interface Patience {
  /** How long a lookup of this kind may go on without a word of the host. */
  limitMs(kind: TaskKind): number;
  /** It is still opening after the time that lookups may take. */
  openingIsSlow(connection: PooledConnection, limitMs: number): void;
  /** Its lookups had no word of the host for half as long as they may. */
  suspect(connection: PooledConnection): void;
  /** How much longer the login on it may go on without a word, where the host speaks on other connections. */
  lateMs(connection: PooledConnection): number;
  /** Its lookups had no word of the host for as long as they may, since `sinceMs`: it is ended next. */
  unanswered(sinceMs: number, limitMs: number): void;
}

/** What a connection tells its pool. */
export interface ConnectionOwner {
  readonly hostname: string | undefined;
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
  /** Somebody waits for a connection, and none may be opened before another is gone. */
  readonly isRoomWanted: boolean;
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
  /** No task was given to it, at once or after a rest; or one was. */
  past: ConnectionPast = "fresh";
  /** Which requests it may serve, where not all (bindings.ts). Set before it begins to open. */
  binding = NO_BINDING;
  /** The login that it tries now. */
  login: PoolLogin | undefined;
  /** When it last got something to read, or began to wait for it. */
  heardMs: number;
  /** Fires when it was idle, or has lived, long enough; while lookups are at work or wait for it, when nothing was heard for too long. */
  private readonly timer = new Timer(() => this.timePassed());
  private limitMs: number;
  private readonly openedMs: number;

  constructor(
    protected readonly pool: ConnectionOwner,
    protected readonly dialer: Dialer,
    readonly purpose: SessionPurpose,
    /** Counted from 1 for each host. */
    readonly number: number,
    /** Whose it is, where connections belong to their clients; else nobody's. */
    readonly boundTo: string,
  ) {
    this.openedMs = dialer.world.clock.now();
    this.heardMs = this.openedMs;
    this.limitMs = pool.hang.limitMs("rcpt");
  }

  open(): void {
    this.dialer.world.wheel.set(this.timer, this.limitMs);
    this.connect();
  }

  protected abstract connect(): void;
  /** Nothing is at work. */
  abstract get isFree(): boolean;
  /** Ends it at once; what is at work on it is settled with `failure`. */
  abstract abort(failure: Failure): void;
  /** Whom the host has been told of. */
  protected abstract get client(): string;
  /** Whether the host can be told of another client. */
  protected abstract get canBeTold(): boolean;
  /** Whether the dialogue at hand has room for a task of this kind and client. */
  protected abstract canBegin(kind: TaskKind, client: string): boolean;
  protected abstract begin(task: Task): void;
  /** Nothing was there for it to do when it stood. */
  protected abstract hasRested(): void;
  /** Closes in good order; `isHurried`: without waiting for the host's goodbye. */
  protected abstract leave(isHurried: boolean): void;
  /** It is being closed, and somebody waits for its slot. */
  abstract hurry(): void;
  /** The reply that is due has not come. */
  protected abstract timeOut(): void;
  protected abstract get wireSight(): WireSight | undefined;
  /** While it opens: what it waits for is the host's. */
  protected get isAtHost(): boolean {
    return true;
  }

  hasRoomFor({ kind, client, binding }: Task): boolean {
    return binding === this.binding && this.hasBudget && this.canServe(client) && this.canBegin(kind, client);
  }

  /** Whether it may serve this client when nothing is at work: the host need not be told, or can be told anew. */
  canServe(client: string): boolean {
    return this.canJoin(client) || (this.dialer.lending === "told" && client !== NO_CLIENT && this.canBeTold);
  }

  /** Whether a task of this client may follow another one at once: the host need not be told. */
  canJoin(client: string): boolean {
    return this.dialer.lending === "any" || client === this.client;
  }

  /** It stands, and nobody wants it yet. */
  waitForWork(): void {
    this.past = "rested";
    this.hasRested();
  }

  /** Returns whether there is room for one more of its kind. */
  take(task: Task): boolean {
    this.past = "used";
    if (task.kind === "relay") {
      this.dialer.world.wheel.clear(this.timer);
    } else if (this.atWork === 0) {
      this.heardMs = this.dialer.world.clock.now();
      this.limitMs = this.pool.hang.limitMs(task.kind);
      this.dialer.world.wheel.set(this.timer, this.limitMs / 2);
    }
    this.count();
    this.begin(task);
    return this.hasRoomFor(task);
  }

  /** One that is at work takes one more task, of whichever kind. */
  get hasRoom(): boolean {
    const { client } = this;
    return this.hasBudget && (this.canBegin("rcpt", client) || this.canBegin("relay", client));
  }

  /** For an operator. */
  sight(): ConnectionSight {
    const { number, purpose, ageMs, requests } = this;
    const state = this.state === "full" ? "busy" : this.state === "closed" ? "closing" : this.state;
    const { address = null, tls = null } = this.wireSight ?? {};
    return { number, state, purpose, ageMs: Math.round(ageMs), requests, address, tls };
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

  /** The host refused what a task began with, and would count its next command as one more request. False: nothing is left for that. */
  protected refusedOnce(): boolean {
    const { errors, requests } = this.dialer.settings.limits;
    if (this.requests >= requests || this.refusals + 1 >= errors) {
      return false;
    }
    this.requests++;
    this.refusals++;
    return true;
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
      if (this.isAtHost) {
        this.pool.hang.openingIsSlow(this, limitMs);
      }
    } else if (this.isWorking) {
      this.replyIsDue(clock.now() - heardMs);
    }
  }

  /** Half of the time that lookups may take without a word is given, then the host is doubted, then they are given up. */
  private replyIsDue(silentMs: number): void {
    const { limitMs, heardMs } = this;
    const { wheel } = this.dialer.world;
    if (silentMs >= limitMs) {
      const lateMs = this.pool.hang.lateMs(this);
      if (lateMs > 0) {
        wheel.set(this.timer, lateMs);
        return;
      }
      this.pool.hang.unanswered(heardMs, limitMs);
      this.timeOut();
    } else if (silentMs >= limitMs / 2) {
      wheel.set(this.timer, limitMs - silentMs);
      this.pool.hang.suspect(this);
    } else {
      wheel.set(this.timer, limitMs / 2 - silentMs);
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
      this.leave(this.pool.isRoomWanted);
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
    if (this.state === "opening" && attempt.sessionFailed(failure)) {
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
