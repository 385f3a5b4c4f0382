/** A pool's connection to an SMTP or LMTP host: the owner of one session, which it gives tasks of every kind. */
import { type Failure, isFailure } from "../../src/errors.js";
import type { WireSight } from "../wire/session.js";
import type { SmtpOwner } from "../wire/smtp/owner.js";
import { SmtpSession } from "../wire/smtp/session.js";
import type { UsableToken } from "./account-tokens.js";
import type { Attempt } from "./attempt.js";
import { PooledConnection } from "./pooled-connection.js";
import type { PoolRelay, Task, TaskKind } from "./task.js";

export class SmtpConnection extends PooledConnection implements SmtpOwner {
  /** Undefined while an access token is awaited. */
  private attempt: Attempt<SmtpSession> | undefined;
  private token: UsableToken | undefined;
  private wasTokenReplaced = false;

  protected connect(): void {
    const { tokens } = this.dialer;
    if (tokens === undefined || this.purpose === "login") {
      this.dial();
    } else {
      tokens.take(0, (outcome) => this.tokenCame(outcome));
    }
  }

  private dial(): void {
    const { dialer } = this;
    this.attempt = dialer.attempt(
      this.number,
      (wire) =>
        new SmtpSession(wire, {
          settings: dialer.settings,
          hostname: this.pool.hostname,
          purpose: this.purpose,
          token: this.token?.token,
          peer: dialer.smtpPeer,
          owner: this,
          log: this.pool.log,
          replyRules: dialer.replyRules,
          randomBytes: dialer.world.randomBytes,
        }),
      (failure) => this.over(failure),
      this.boundTo,
    );
    this.attempt.begin();
  }

  private tokenCame(outcome: UsableToken | Failure): void {
    if (this.state !== "opening") {
      return;
    }
    if (isFailure(outcome)) {
      this.over(outcome);
    } else {
      this.token = outcome;
      this.dial();
    }
  }

  /** The host refused its token, which may have been revoked: another one is tried, once. */
  private replaceToken(refused: UsableToken, failure: Failure): void {
    this.wasTokenReplaced = true;
    this.attempt = undefined;
    const fields = { connection: this.number, reply: failure.reply };
    this.pool.log.write("warn", "token-refused", failure.message, fields);
    this.dialer.tokens!.take(refused.serial, (outcome) => {
      const isSame = !isFailure(outcome) && outcome.serial === refused.serial;
      this.tokenCame(isSame ? failure : outcome);
    });
  }

  protected override get isAtHost(): boolean {
    return this.attempt !== undefined;
  }

  protected get wireSight(): WireSight | undefined {
    return this.attempt?.sight;
  }

  protected get client(): string {
    return this.dialer.lending === "own" ? this.boundTo : this.session.client;
  }

  protected get canBeTold(): boolean {
    return this.session.canBeTold;
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
    } else if (task.kind === "auth") {
      this.session.login(task);
    } else {
      this.session.lookup(task);
    }
  }

  protected hasRested(): void {
    this.session.hasRested();
  }

  abort(failure: Failure): void {
    if (this.attempt === undefined) {
      this.over(failure);
    } else if (this.attempt.session === undefined) {
      this.attempt.abandon(failure);
    } else {
      this.session.fail(failure);
    }
  }

  ready(): void {
    this.attempt!.succeeded();
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
    const { token } = this;
    if (this.state === "opening" && failure.code === "AUTH_FAILED" && token !== undefined && !this.wasTokenReplaced) {
      this.replaceToken(token, failure);
    } else {
      this.gone(this.attempt!, failure);
    }
  }

  protected leave(isHurried: boolean): void {
    this.session.quit(isHurried);
  }

  hurry(): void {
    this.attempt?.session?.hurry();
  }

  protected timeOut(): void {
    this.session.timedOut();
  }

  private get session(): SmtpSession {
    return this.attempt!.session!;
  }
}
