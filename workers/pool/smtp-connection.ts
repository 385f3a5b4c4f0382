/** A pool's connection to an SMTP or LMTP host: the owner of one session, which it gives tasks of every kind. */
import type { Failure } from "../../src/errors.js";
import type { WireSight } from "../wire/session.js";
import type { SmtpOwner } from "../wire/smtp/owner.js";
import { SmtpSession } from "../wire/smtp/session.js";
import { PooledConnection } from "./pooled-connection.js";
import type { PoolRelay, Task, TaskKind } from "./task.js";

export class SmtpConnection extends PooledConnection implements SmtpOwner {
  private readonly attempt = this.dialer.attempt(
    this.number,
    (wire) =>
      new SmtpSession(wire, {
        settings: this.dialer.settings,
        hostname: this.pool.hostname,
        purpose: this.purpose,
        peer: this.dialer.smtpPeer,
        owner: this,
        log: this.pool.log,
        replyRules: this.dialer.replyRules,
        randomBytes: this.dialer.world.randomBytes,
      }),
    (failure) => this.over(failure),
    this.boundTo,
  );

  open(): void {
    this.attempt.begin();
  }

  protected get wireSight(): WireSight | undefined {
    return this.attempt.sight;
  }

  protected get client(): string {
    return this.dialer.lending === "own" ? this.boundTo : this.session.client;
  }

  protected canBegin(kind: TaskKind, client: string): boolean {
    return this.session.hasRoomFor(kind, client);
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

  protected leave(isHurried: boolean): void {
    this.session.quit(isHurried);
  }

  hurry(): void {
    this.attempt.session?.hurry();
  }

  protected timeOut(): void {
    this.session.timedOut();
  }

  private get session(): SmtpSession {
    return this.attempt.session!;
  }
}
