/**
 * One message on an SMTP or LMTP session: MAIL, every RCPT and DATA in one group, content after 354, one final reply
 * (LMTP: one for each accepted recipient). Before the terminator is handed to the socket every way out means "delivered to nobody".
 */
import type { RecipientResult, Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import { ContentSender } from "./content.js";
import { mailCommand, rcptCommand, whyUnsendable } from "./mail-command.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";
import type { SmtpSession, Work } from "./session.js";
import type { RelayTask } from "./tasks.js";

const RSET = 0;
const MAIL = 1;
const RCPT = 2;
const DATA = 3;
const FINAL = 4;
const LONE_DOT = 5;
const CHUNK = 6;

const GIVEN_UP: Failure = { code: "ABORTED", message: "The request was given up." };

type State = "envelope" | "content" | "verdict" | "over";
type Status = RecipientResult["status"];

export class Transaction implements ReplyHandler, Work {
  private state: State = "envelope";
  private readonly results: (RecipientResult | undefined)[];
  /** Indices of accepted recipients, in the order of their RCPTs. */
  private readonly accepted: number[] = [];
  private finalReply: Reply | undefined;
  private isMailSent = false;
  private isDataSent = false;
  private mailRefusal: Reply | undefined;
  private rcptsSent = 0;
  private rcptsAnswered = 0;
  private finalsRead = 0;
  /** Replies read, and replies still awaited. */
  private replies = 0;
  private pending = 0;
  private sender: ContentSender | undefined;
  private isSettled = false;
  /**
   * Binary content goes out by BDAT (RFC 3030), everything else by DATA: where content waits for 354, a peer that sends one
   * reply too many or too few is found out before anything could be taken for delivered.
   */
  private readonly usesChunks: boolean;

  constructor(
    private readonly session: SmtpSession,
    readonly task: RelayTask,
  ) {
    this.results = new Array(task.job.recipients.length).fill(undefined);
    this.usesChunks = task.job.body === "binarymime";
  }

  begin(): void {
    const { session, task } = this;
    const { tls } = session.options.settings;
    const isVerified = session.isSecure && !tls.allowInvalidCerts;
    const obstacle = whyUnsendable(task.job, session.extensions, isVerified, session.options.peer.refusesChunks);
    if (obstacle !== undefined) {
      return this.leaveUnsent(obstacle);
    }
    if (!task.toEnvelope()) {
      return this.leaveUnsent(GIVEN_UP);
    }
    task.startedOn(this);
    this.proceed();
  }

  get isAwaitingVerdict(): boolean {
    return this.state === "verdict";
  }

  /** Sends as much of the envelope as there is room for. */
  proceed(): void {
    if (this.state !== "envelope" || this.isDataSent || this.isSettled) {
      return;
    }
    const { session, task } = this;
    const { job } = task;
    const { timeouts } = session.options.settings;
    // For want of a 354 it begins only when every earlier reply was read.
    if (this.usesChunks && !this.isMailSent && !session.isQuiet) {
      return;
    }
    if (!this.isMailSent && session.window > 0) {
      if (session.needsReset) {
        session.needsReset = false;
        this.send("RSET\r\n", RSET, timeouts.commandMs);
        if (session.window <= 0) {
          return;
        }
      }
      this.isMailSent = true;
      session.needsReset = true;
      this.send(mailCommand(job, session.extensions), MAIL, timeouts.mailMs);
    }
    if (!this.isMailSent || this.mailRefusal !== undefined) {
      return;
    }
    while (this.rcptsSent < job.recipients.length && session.window > 0) {
      this.send(rcptCommand(job, this.rcptsSent++, session.extensions), RCPT, timeouts.rcptMs);
    }
    if (this.rcptsSent < job.recipients.length || session.window <= 0) {
      return;
    }
    const isEnvelopeAnswered = this.rcptsAnswered === job.recipients.length;
    if (isEnvelopeAnswered && this.accepted.length === 0) {
      return;
    }
    if (this.usesChunks) {
      if (isEnvelopeAnswered) {
        this.sendContent();
      }
      return;
    }
    this.isDataSent = true;
    this.send("DATA\r\n", DATA, timeouts.dataInitiationMs);
    session.endGroup();
  }

  replied(reply: ReplyView, tag: number): void {
    // A server that closes an idle connection says so with 421; it may cross our first command and is no verdict on the message.
    if (reply.code === 421 && this.replies === 0 && this.session.isReused) {
      return;
    }
    this.replies++;
    this.pending--;
    if (tag === MAIL) {
      this.mailAnswered(reply);
    } else if (tag === RCPT) {
      this.rcptAnswered(reply);
    } else if (tag === DATA) {
      this.dataAnswered(reply);
    } else if (tag === FINAL) {
      this.finalRead(reply);
    } else if (tag === CHUNK) {
      this.sender!.chunkAnswered(reply);
    } else if (tag === RSET && reply.code !== 250) {
      this.senseless("RSET", reply);
    }
    this.finishIfDone();
  }

  /** The content's sender has written the terminator: the verdicts are due, and the next envelope may follow. */
  contentSent(): void {
    this.state = "verdict";
    this.session.needsReset = false;
    const { protocol, timeouts } = this.session.options.settings;
    const finals = protocol === "lmtp" ? this.accepted.length : 1;
    for (let count = 0; count < finals; count++) {
      this.expect(FINAL, timeouts.dataTerminationMs);
    }
    // A peer that gives one reply for all recipients would have the reply to the next MAIL taken for the second one's verdict.
    if (finals === 1 || this.session.options.peer.countsRecipients) {
      this.session.overlap();
    }
  }

  /** One non-final chunk was written. */
  chunkSent(): void {
    this.expect(CHUNK, this.session.options.settings.timeouts.dataBlockMs);
  }

  /** The peer refused before the terminator: that is the verdict of everyone accepted so far. */
  contentRefused(reply: Reply): void {
    this.finalReply = reply;
    for (const index of this.accepted) {
      this.judge(index, reply);
    }
    this.state = "over";
    this.finishIfDone();
  }

  drained(): void {
    this.sender?.drained();
  }

  whyStalled(): Failure | undefined {
    return this.state === "content" ? this.sender?.whyStalled() : undefined;
  }

  /** A reply while content is on its way. */
  unexpected(view: ReplyView): boolean {
    if (this.state !== "content") {
      return false;
    }
    const reply = view.copy();
    if (reply.code >= 400) {
      this.contentRefused(reply);
    }
    this.session.fail({ code: "REMOTE_PROTOCOL", message: "The peer replied before the end of the content.", reply });
    return true;
  }

  lost(failure: Failure): void {
    this.sender?.stop();
    if (this.isSettled) {
      return;
    }
    if (this.state === "verdict") {
      this.settleUncertain();
      return;
    }
    // Every recipient was refused before: that stands, whatever happened to the connection.
    if (this.isJudged) {
      this.settle(() => this.task.finished(this.results as RecipientResult[], this.finalReply));
      return;
    }
    const isFirstTouch = this.replies === 0 && this.sender === undefined;
    this.abandon(failure, this.session.isReused && isFirstTouch);
  }

  /**
   * The request was given up. Before the terminator: nothing more of it goes out. After it: what is known is told now,
   * the rest is uncertain; the connection lives on until the replies have come, since others may wait on it.
   */
  cancel(failure: Failure): void {
    if (this.isSettled) {
      return;
    }
    if (this.state === "verdict") {
      this.settleUncertain();
      return;
    }
    this.settle();
    this.task.failed(failure, false);
    // Content without its end cannot be taken back. Every earlier reply has come, or there were no 354.
    if (this.state === "content") {
      this.session.fail({
        code: "REMOTE_CLOSED",
        message: "The connection was dropped: a message on it was given up.",
      });
    } else {
      this.finishIfDone();
    }
  }

  private mailAnswered(reply: ReplyView): void {
    if (reply.code === 250) {
      return;
    }
    if (reply.code < 400) {
      return this.senseless("MAIL", reply);
    }
    this.mailRefusal = reply.copy();
    this.finalReply = this.mailRefusal;
    this.session.needsReset = false;
    for (let index = 0; index < this.results.length; index++) {
      this.judge(index, this.mailRefusal);
    }
  }

  private rcptAnswered(reply: ReplyView): void {
    const index = this.rcptsAnswered++;
    if (this.mailRefusal !== undefined) {
      return;
    }
    if (reply.code >= 200 && reply.code < 300) {
      this.accepted.push(index);
    } else if (reply.code < 400) {
      this.senseless("RCPT", reply);
    } else {
      this.session.errors++;
      this.judge(index, reply.copy());
    }
  }

  private dataAnswered(reply: ReplyView): void {
    if (reply.code === 354) {
      if (this.accepted.length > 0) {
        this.sendContent();
      } else {
        this.sendNothing();
      }
    } else if (reply.code < 400) {
      this.senseless("DATA", reply);
    } else {
      const verdict = reply.copy();
      if (this.accepted.length > 0) {
        this.finalReply = verdict;
      }
      for (const index of this.accepted) {
        this.judge(index, verdict);
      }
    }
  }

  /** A peer that asks for content though it accepted no recipient gets a lone dot: there is nobody to deliver to. */
  private sendNothing(): void {
    this.session.wire.write(".\r\n");
    this.session.needsReset = false;
    // What LMTP answers here is undefined (RFC 2033 4.2): no replies are due, yet some send one.
    if (this.session.options.settings.protocol === "lmtp") {
      this.session.retire();
    } else {
      this.expect(LONE_DOT, this.session.options.settings.timeouts.dataTerminationMs);
    }
  }

  private sendContent(): void {
    if (this.isSettled || !this.task.toContent()) {
      return this.withdraw();
    }
    this.state = "content";
    this.sender = new ContentSender(this.session, this, this.usesChunks);
    this.sender.begin();
  }

  private finalRead(view: ReplyView): void {
    if (view.code < 200 || view.code === 221 || (view.code >= 300 && view.code < 400)) {
      // Whether it took the message, nobody can know.
      this.session.fail({
        code: "REMOTE_PROTOCOL",
        message: "The peer's reply to the end of data makes no sense.",
        reply: view.copy(),
      });
      return;
    }
    const reply = view.copy();
    // Behind the verdict on another recipient it is one as well: the message was read.
    const isUnknown = this.usesChunks && this.finalsRead === 0 && (view.code === 500 || view.code === 502);
    if (isUnknown) {
      return this.chunksUnknown(reply);
    }
    const isPerRecipient = this.session.options.settings.protocol === "lmtp";
    if (isPerRecipient) {
      this.judge(this.accepted[this.finalsRead++]!, reply);
    } else {
      this.finalReply = reply;
      for (const index of this.accepted) {
        this.judge(index, reply);
      }
    }
    if (this.isSettled) {
      this.reportLate(reply);
    }
    if (isPerRecipient && this.finalsRead < this.accepted.length) {
      return;
    }
    if (this.finalsRead > 1 && this.pending === 0 && this.session.isQuiet) {
      this.session.options.peer.countsRecipients = true;
    }
    if (!this.isSettled) {
      this.task.toReplied();
    }
    this.state = "over";
  }

  /** The peer advertised CHUNKING and does not know BDAT: it may read the content as commands, so the connection must go at once. */
  chunksUnknown(reply: Reply): void {
    const { peer, owner } = this.session.options;
    peer.refusesChunks = true;
    owner.notice(
      "warn",
      "chunking-off",
      "The peer advertises CHUNKING and refuses BDAT; its messages go by DATA from now on.",
    );
    const failure: Failure = {
      code: "REMOTE_PROTOCOL",
      message: "The peer advertises CHUNKING and refuses BDAT. Nothing was delivered.",
      reply,
    };
    // Where the verdicts on others are due, it may be no more than the first recipient's: the others are uncertain.
    if (this.state === "verdict" && this.pending > 0) {
      this.judge(this.accepted[0]!, reply);
    } else if (!this.isSettled) {
      this.abandon(failure);
    }
    this.session.fail(failure);
  }

  private reportLate(reply: Reply): void {
    this.session.options.owner.notice(
      "warn",
      "late-verdict",
      "The verdict on a message came after its request was given up.",
      {
        code: reply.code,
        enhanced: reply.enhanced,
        text: reply.text,
      },
    );
  }

  private judge(index: number, reply: Reply): void {
    const status: Status = reply.code < 300 ? "delivered" : reply.code < 500 ? "deferred" : "refused";
    this.results[index] = { address: this.task.job.recipients[index]!, status, reply };
  }

  /** Withdrawn before the terminator: after 354 only dropping the connection keeps the message from being delivered. */
  private withdraw(): void {
    if (!this.isSettled) {
      this.settle(() => this.task.failed(GIVEN_UP, false));
    }
    if (this.isDataSent) {
      this.session.fail({
        code: "REMOTE_CLOSED",
        message: "The connection was dropped: a message on it was given up.",
      });
    } else {
      this.finishIfDone();
    }
  }

  private leaveUnsent(failure: Failure): void {
    this.isSettled = true;
    this.state = "over";
    this.session.done(this);
    this.session.taskUnsent();
    this.task.failed(failure, false);
  }

  private abandon(failure: Failure, isRetrySafe = false): void {
    this.settle(() => this.task.failed(failure, isRetrySafe));
    this.state = "over";
    this.finishIfDone();
  }

  senseless(command: string, reply: ReplyView): void {
    this.session.errors++;
    this.session.fail({
      code: "REMOTE_PROTOCOL",
      message: `The peer's reply to ${command} makes no sense.`,
      reply: reply.copy(),
    });
  }

  private finishIfDone(): void {
    if (this.pending > 0) {
      return;
    }
    if (this.isSettled) {
      this.session.done(this);
      return;
    }
    if (this.state === "content" || this.state === "verdict") {
      return;
    }
    if (!this.isJudged) {
      return;
    }
    this.session.done(this);
    this.settle(() => this.task.finished(this.results as RecipientResult[], this.finalReply));
  }

  private get isJudged(): boolean {
    for (const result of this.results) {
      if (result === undefined) {
        return false;
      }
    }
    return true;
  }

  private settleUncertain(): void {
    const results = this.results.map(
      (result, index) => result ?? { address: this.task.job.recipients[index]!, status: "uncertain" as const },
    );
    this.settle(() => this.task.finished(results, this.finalReply));
  }

  private settle(tell?: () => void): void {
    this.isSettled = true;
    this.session.taskSettled();
    tell?.();
  }

  private send(line: string, tag: number, withinMs: number): void {
    this.pending++;
    this.session.command(line, this, tag, withinMs);
  }

  private expect(tag: number, withinMs: number): void {
    this.pending++;
    this.session.expect(this, tag, withinMs);
  }
}
