/**
 * One message on an SMTP or LMTP session: MAIL, every RCPT and DATA in one group, content after 354, one final reply
 * (LMTP: one for each accepted recipient). Before the terminator is handed to the socket every way out means "delivered to nobody".
 */
import type { Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import type { RelayChannel } from "./channel.js";
import { type ContentOwner, ContentSender } from "./content.js";
import { bdatUnknown, GIVEN_UP, senseless } from "./failures.js";
import { Forwards } from "./forwards.js";
import { mailCommand, rcptCommand, whyUnsendable } from "./mail-command.js";
import { RelayOutcome } from "./relay-outcome.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";
import type { RelayTask } from "./tasks.js";
import { tellLateVerdict } from "./verdicts.js";

const RSET = 0;
const MAIL = 1;
const RCPT = 2;
const DATA = 3;
const FINAL = 4;
const LONE_DOT = 5;
const CHUNK = 6;
const FORWARD = 7;

export class Transaction extends RelayOutcome implements ReplyHandler, ContentOwner {
  private rcptsSent = 0;
  private rcptsAnswered = 0;
  private finalsRead = 0;
  private forwards: Forwards | undefined;
  /**
   * Binary content goes out by BDAT (RFC 3030), everything else by DATA: where content waits for 354, a peer that sends one
   * reply too many or too few is found out before anything could be taken for delivered.
   */
  private readonly usesChunks: boolean;

  constructor(channel: RelayChannel, task: RelayTask) {
    super(channel, task);
    this.usesChunks = task.job.body === "binarymime";
  }

  begin(): void {
    const { channel, task } = this;
    const obstacle = whyUnsendable(task.job, channel);
    if (obstacle !== undefined || !task.toEnvelope()) {
      this.state = "over";
      this.leaveUnsent(() => task.failed(obstacle ?? GIVEN_UP));
      return;
    }
    task.startedOn(this);
    this.proceed();
  }

  /** Sends as much of the envelope as there is room for. */
  proceed(): void {
    if (this.isSettled) {
      return;
    }
    if (this.state === "waiting") {
      this.sendMail();
    }
    if (this.state === "recipients") {
      this.sendRecipients();
    }
  }

  private sendMail(): void {
    const { channel } = this;
    // For want of a 354 it begins only when every earlier reply was read.
    if (channel.window <= 0 || (this.usesChunks && !channel.isQuiet)) {
      return;
    }
    if (channel.needsReset) {
      this.pending++;
      channel.sendReset(this, RSET);
      if (channel.window <= 0) {
        return;
      }
    }
    const { forwarding } = channel;
    if (forwarding !== undefined) {
      this.forwards ??= new Forwards(channel, forwarding.commandsFor(this.task.client, channel.extensions.xforward));
      this.pending += this.forwards.send(this, FORWARD);
      if (!this.forwards.areSent || channel.window <= 0) {
        return;
      }
    }
    this.state = "recipients";
    this.pending++;
    channel.sendMail(mailCommand(this.task.job, channel.extensions), this, MAIL);
  }

  private sendRecipients(): void {
    const { channel, portion } = this;
    const { job } = this.task;
    const { rcptMs } = channel.settings.timeouts;
    const count = portion?.length ?? job.recipients.length;
    while (this.rcptsSent < count && channel.window > 0) {
      this.pending++;
      const at = this.rcptsSent++;
      channel.send(rcptCommand(job, portion?.[at] ?? at, channel.extensions), this, RCPT, rcptMs);
    }
    if (this.rcptsSent < count || channel.window <= 0) {
      return;
    }
    const isEnvelopeAnswered = this.rcptsAnswered === count;
    if (isEnvelopeAnswered && this.verdicts.accepted.length === 0) {
      return;
    }
    if (this.usesChunks) {
      if (isEnvelopeAnswered) {
        this.sendContent();
      }
      return;
    }
    this.state = "data";
    this.pending++;
    channel.sendLast("DATA\r\n", this, DATA, channel.settings.timeouts.dataInitiationMs);
  }

  replied(reply: ReplyView, tag: number): void {
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
    } else if (tag === FORWARD) {
      this.channel.forwarding?.answered(reply);
    } else if (tag === RSET && reply.code !== 250) {
      this.senseless("RSET", reply);
    }
    this.finishIfDone();
  }

  /** 421 is a verdict like any other 4yz, but where a server that closes an idle connection says so, it may cross our first command. */
  closing(reply: ReplyView, tag: number): undefined {
    if (this.replies > 0 || !this.channel.isReused) {
      this.replied(reply, tag);
    }
  }

  contentSent(): void {
    this.state = "verdict";
    this.channel.transactionEnded();
    const { protocol, timeouts } = this.channel.settings;
    const finals = protocol === "lmtp" ? this.verdicts.accepted.length : 1;
    for (let count = 0; count < finals; count++) {
      this.expect(FINAL, timeouts.dataTerminationMs);
    }
    // A peer that gives one reply for all recipients would have the reply to the next MAIL taken for the second one's verdict.
    if (finals === 1 || this.channel.peer.countsRecipients) {
      this.channel.overlap();
    }
  }

  chunkSent(): void {
    this.expect(CHUNK, this.channel.settings.timeouts.dataBlockMs);
  }

  contentRefused(reply: Reply): void {
    this.verdicts.judgeAccepted(reply);
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
    this.channel.fail({ code: "REMOTE_PROTOCOL", message: "The peer replied before the end of the content.", reply });
    return true;
  }

  private mailAnswered(reply: ReplyView): void {
    this.channel.mailAnswered(reply.code);
    if (reply.code === 250) {
      return;
    }
    if (reply.code < 400) {
      return this.senseless("MAIL", reply);
    }
    this.state = "refused";
    this.channel.transactionEnded();
    this.verdicts.judgeAll(reply.copy());
  }

  private rcptAnswered(reply: ReplyView): void {
    const index = this.rcptsAnswered++;
    if (this.state === "refused") {
      return;
    }
    if (reply.code >= 200 && reply.code < 300) {
      this.verdicts.accept(index);
    } else if (reply.code < 400) {
      this.senseless("RCPT", reply);
    } else if (!this.verdicts.refuse(index, reply.copy())) {
      this.channel.refused();
    }
  }

  private dataAnswered(reply: ReplyView): void {
    const isForSomebody = this.verdicts.accepted.length > 0;
    if (reply.code === 354 && isForSomebody) {
      this.sendContent();
    } else if (reply.code === 354) {
      this.sendNothing();
    } else if (reply.code < 400) {
      this.senseless("DATA", reply);
    } else if (isForSomebody) {
      this.verdicts.judgeAccepted(reply.copy());
    }
  }

  /** A peer that asks for content though it accepted no recipient gets a lone dot: there is nobody to deliver to. */
  private sendNothing(): void {
    this.channel.wire.write(".\r\n");
    this.channel.transactionEnded();
    // What LMTP answers here is undefined (RFC 2033 4.2): no replies are due, yet some send one.
    if (this.channel.settings.protocol === "lmtp") {
      this.channel.retire();
    } else {
      this.expect(LONE_DOT, this.channel.settings.timeouts.dataTerminationMs);
    }
  }

  private sendContent(): void {
    if (this.isSettled || !this.task.toContent(this.verdicts.postponed)) {
      return this.withdraw();
    }
    this.state = "content";
    this.sender = new ContentSender(this.channel, this, this.usesChunks);
    this.sender.begin();
  }

  private finalRead(view: ReplyView): void {
    if (view.code < 200 || view.code === 221 || (view.code >= 300 && view.code < 400)) {
      // Whether it took the message, nobody can know.
      return this.senseless("the end of data", view);
    }
    const reply = view.copy();
    // Behind the verdict on another recipient it is one as well: the message was read.
    const isUnknown = this.usesChunks && this.finalsRead === 0 && (view.code === 500 || view.code === 502);
    if (isUnknown) {
      return this.chunksUnknown(reply);
    }
    const { accepted } = this.verdicts;
    const isPerRecipient = this.channel.settings.protocol === "lmtp";
    if (isPerRecipient) {
      this.verdicts.judge(accepted[this.finalsRead++]!, reply);
    } else {
      this.verdicts.judgeAccepted(reply);
    }
    if (this.isSettled) {
      tellLateVerdict(this.channel.log, reply);
    }
    if (isPerRecipient && this.finalsRead < accepted.length) {
      return;
    }
    if (this.finalsRead > 1 && this.pending === 0 && this.channel.isQuiet) {
      this.channel.peer.countsRecipients = true;
    }
    if (!this.isSettled) {
      this.task.toReplied();
    }
    this.state = "over";
  }

  /** The peer may read the content as commands, so the connection must go at once. */
  chunksUnknown(reply: Reply): void {
    const { channel } = this;
    channel.peer.chunksRefused(channel.log);
    const failure = bdatUnknown(reply);
    // Where the verdicts on others are due, it may be no more than the first recipient's: the others are uncertain.
    if (this.state === "verdict" && this.pending > 0) {
      this.verdicts.judge(this.verdicts.accepted[0]!, reply);
    } else {
      this.settle(() => this.task.failed(failure));
      this.state = "over";
    }
    channel.fail(failure);
  }

  senseless(command: string, reply: ReplyView): void {
    this.channel.fail(senseless(command, reply));
  }

  private expect(tag: number, withinMs: number): void {
    this.pending++;
    this.channel.expect(this, tag, withinMs);
  }
}
