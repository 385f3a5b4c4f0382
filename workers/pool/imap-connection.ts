/** A pool's connection to an IMAP host: the owner of one session, which tries one login at a time. */
import { type Failure, isFailure } from "../../src/errors.js";
import type { Answer } from "../../src/messages/contract.js";
import type { LoginOwner } from "../wire/imap/login-owner.js";
import { ImapSession } from "../wire/imap/session.js";
import type { Progress } from "../wire/progress.js";
import type { WireSight } from "../wire/session.js";
import { PooledConnection } from "./pooled-connection.js";
import type { PoolLogin, Task, TaskKind } from "./task.js";

export class ImapConnection extends PooledConnection implements LoginOwner {
  private trial: PoolLogin | undefined;
  private isReady = false;
  private readonly attempt = this.dialer.attempt(
    this.number,
    (wire) =>
      new ImapSession(wire, {
        settings: this.dialer.settings,
        peer: this.dialer.imapPeer,
        owner: this,
        log: this.pool.log,
        replyRules: this.dialer.replyRules,
        randomBytes: this.dialer.world.randomBytes,
        client: this.boundTo,
      }),
    (failure) => this.over(failure),
    this.boundTo,
  );

  protected connect(): void {
    this.attempt.begin();
  }

  protected get wireSight(): WireSight | undefined {
    return this.attempt.sight;
  }

  protected get client(): string {
    return this.boundTo;
  }

  /** ID is sent once, before the first login. */
  protected get canBeTold(): boolean {
    return false;
  }

  protected canBegin(kind: TaskKind): boolean {
    return kind === "auth" && this.isFree && this.attempt.session!.isReady;
  }

  get isFree(): boolean {
    return this.isReady && this.trial === undefined;
  }

  protected begin(task: Task): void {
    this.trial = task as PoolLogin;
    this.isReady = false;
    this.attempt.session!.login(this.trial.credentials);
  }

  protected hasRested(): void {
    this.attempt.session!.hasRested();
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
      this.attempt.session.quit(true);
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
    const hasFailed = isFailure(answer);
    if (hasFailed ? answer.reply !== undefined : !answer.found) {
      this.refused();
    }
    // A login that was not possible at all was not sent.
    if (hasFailed && answer.reply === undefined && mayContinue) {
      this.unsent();
    } else {
      this.settled();
    }
    const login = this.takeLogin()!;
    if (hasFailed) {
      login.failed(answer);
    } else {
      login.answered(answer);
    }
  }

  mayRepeat(): boolean {
    return this.refusedOnce();
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

  protected leave(isHurried: boolean): void {
    this.attempt.session?.quit(isHurried);
  }

  hurry(): void {
    this.attempt.session?.hurry();
  }

  protected timeOut(): void {
    this.attempt.session?.timedOut();
  }

  private takeLogin(): PoolLogin | undefined {
    const { trial: login } = this;
    this.trial = undefined;
    return login;
  }
}
