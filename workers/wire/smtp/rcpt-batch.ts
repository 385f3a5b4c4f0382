/**
 * RCPT probes of many callers in one null-sender transaction that is never completed: MAIL FROM:<>, RCPT TO, RCPT TO…
 * Replies come in the order of the questions. The transaction stays open while the connection rests, so that the
 * next question costs one command; whoever needs another transaction sends RSET first.
 */
import type { Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import { isAscii } from "../../../src/mail-domain.js";
import { NO_CLIENT } from "../../../src/messages/client.js";
import type { ProbeChannel, Work } from "./channel.js";
import { NEEDS_SMTPUTF8, noAnswer, noMeaning, senseless } from "./failures.js";
import type { Forwarding } from "./forwarding.js";
import { Forwards } from "./forwards.js";
import { spellFor } from "./mail-command.js";
import { isTooManyRecipients, isTooManyUnknown, judgeRefusal } from "./rcpt-verdict.js";
import { domainOf } from "./recipients.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";
import type { LookupTask } from "./tasks.js";

const RSET = 0;
const MAIL = 1;
const RCPT = 2;
const FORWARD = 3;

/** RFC 5321 4.5.3.1.8: a server takes at least so many recipients in one transaction. */
const RECIPIENTS_PER_TRANSACTION = 100;
const NO_TRANSACTION_LEFT: Failure = {
  code: "HOST_UNAVAILABLE",
  message: "The host takes no more transactions on this connection (LIMITS MAILMAX). Nothing was sent.",
};
const NO_VERDICT = "The host gave no verdict on the recipient";

export class RcptBatch implements ReplyHandler, Work {
  /** `preparing`: RSET or XFORWARD were sent. */
  private mail: "unsent" | "preparing" | "sent" | "accepted" | "refused" = "unsent";
  private refusal: Failure | undefined;
  private isUtf8 = false;
  private client = NO_CLIENT;
  private forwards: Forwards | undefined;
  /** The domains asked about, where the host takes so many in one transaction. */
  private domains: Set<string> | undefined;
  /** PendingLookups given to this group, and recipients answered and accepted in its transaction. */
  private size = 0;
  private answeredCount = 0;
  private acceptedCount = 0;
  /** Sent, in order; those before `answered` have their reply. */
  private asked: LookupTask[] = [];
  private answered = 0;
  /** Not sent yet: there was no room for more commands. */
  private held: LookupTask[] = [];
  /** Refused since others were before them: for the next transaction, since this one is full. */
  private again: LookupTask[] = [];
  private isFull = false;

  constructor(private readonly channel: ProbeChannel) {}

  /** Whether one more question fits into this transaction. One transaction is either SMTPUTF8 or not. */
  canTake(task: LookupTask): boolean {
    const most = Math.min(RECIPIENTS_PER_TRANSACTION, this.channel.mostRecipients);
    if (this.mail === "refused" || this.isFull || this.size >= most) {
      return false;
    }
    const isFirst = this.size === 0;
    return isFirst || ((this.isUtf8 || !this.needsUtf8(task)) && this.isOfClient(task) && this.hasRoomForDomain(task));
  }

  private needsUtf8({ value }: LookupTask): boolean {
    return this.channel.extensions.smtputf8 && !isAscii(value);
  }

  private hasRoomForDomain({ value }: LookupTask): boolean {
    const { domains } = this;
    return domains === undefined || domains.size < this.channel.mostDomains || domains.has(domainOf(value));
  }

  /** A transaction of which the host is told whose it is holds one client's questions. */
  private isOfClient({ client }: LookupTask): boolean {
    return this.channel.forwarding === undefined || this.client === client;
  }

  add(task: LookupTask): void {
    if (this.size === 0) {
      this.isUtf8 = this.needsUtf8(task);
      this.client = task.client;
      this.domains = this.channel.mostDomains === Number.POSITIVE_INFINITY ? undefined : new Set();
    }
    this.domains?.add(domainOf(task.value));
    const address = spellFor(task.value, this.channel.extensions);
    if (address === undefined) {
      this.channel.unsent();
      this.restIfDone();
      task.failed(NEEDS_SMTPUTF8);
      return;
    }
    this.size++;
    if ((this.mail === "accepted" || this.mail === "sent") && this.held.length === 0 && this.channel.window > 0) {
      this.send(task, address);
    } else {
      this.held.push(task);
      this.proceed();
    }
  }

  /** Sends what there is room for. */
  proceed(): void {
    if (this.held.length === 0) {
      return;
    }
    if (this.mail === "unsent" || this.mail === "preparing") {
      this.openTransaction();
    }
    if (this.mail !== "sent" && this.mail !== "accepted") {
      return;
    }
    let sent = 0;
    while (sent < this.held.length && this.channel.window > 0) {
      const task = this.held[sent++]!;
      this.send(task, spellFor(task.value, this.channel.extensions)!);
    }
    if (sent === this.held.length) {
      this.held = [];
    } else {
      this.held.splice(0, sent);
    }
  }

  replied(reply: ReplyView, tag: number): void {
    if (tag === RCPT) {
      this.rcptAnswered(reply);
    } else if (tag === MAIL) {
      this.mailAnswered(reply);
    } else if (tag === FORWARD) {
      this.channel.forwarding?.answered(reply);
    } else if (reply.code !== 250) {
      this.channel.fail(senseless("RSET", reply));
    }
    this.restIfDone();
  }

  lost(failure: Failure): void {
    const tasks = [...this.asked.slice(this.answered), ...this.held, ...this.again];
    this.asked = [];
    this.held = [];
    this.again = [];
    const { isReused } = this.channel;
    for (const task of tasks) {
      this.channel.settled();
      task.lost(failure, { isReused, isAnswered: false, shown: "command" });
    }
  }

  private send(task: LookupTask, address: string): void {
    this.asked.push(task);
    this.channel.send(`RCPT TO:<${address}>\r\n`, this, RCPT, this.channel.settings.timeouts.rcptMs);
  }

  private openTransaction(): void {
    const { channel } = this;
    if (channel.mailsLeft <= 0) {
      this.leaveForAnother();
      return;
    }
    if (this.mail === "unsent" && channel.needsReset && channel.window > 0) {
      channel.sendReset(this, RSET);
      this.mail = "preparing";
    }
    if (channel.window <= 0) {
      return;
    }
    if (channel.forwarding !== undefined && !this.hasForwarded(channel.forwarding)) {
      return;
    }
    channel.sendMail(this.isUtf8 ? "MAIL FROM:<> SMTPUTF8\r\n" : "MAIL FROM:<>\r\n", this, MAIL);
    this.mail = "sent";
  }

  /** The connection may have no more transactions (RFC 9422): what was given to it goes to another one. */
  private leaveForAnother(): void {
    const { held, channel } = this;
    this.held = [];
    for (const task of held) {
      channel.unsent();
      task.lost(NO_TRANSACTION_LEFT, { isReused: true, isAnswered: false, shown: "nothing" });
    }
    this.restIfDone();
  }

  /** The host is told of the client, and there is room for MAIL. */
  private hasForwarded(forwarding: Forwarding): boolean {
    this.forwards ??= new Forwards(this.channel, forwarding.commandsFor(this.client, this.channel.extensions.xforward));
    if (this.forwards.send(this, FORWARD) > 0) {
      this.mail = "preparing";
    }
    return this.forwards.areSent && this.channel.window > 0;
  }

  private mailAnswered(view: ReplyView): void {
    this.channel.mailAnswered(view.code);
    if (view.code === 250) {
      this.mail = "accepted";
      return;
    }
    if (view.code < 400) {
      this.channel.fail(senseless("MAIL", view));
      return;
    }
    this.mail = "refused";
    this.refusal = noAnswer("The host refused MAIL FROM:<>", view.copy());
    const { held } = this;
    this.held = [];
    for (const task of held) {
      this.fail(task, this.refusal);
    }
  }

  private rcptAnswered(view: ReplyView): void {
    const { code } = view;
    if (code < 200 || (code >= 300 && code < 400)) {
      this.channel.fail(senseless("RCPT", view));
      return;
    }
    this.answeredCount++;
    const task = this.asked[this.answered++]!;
    if (this.answered === this.asked.length) {
      this.asked = [];
      this.answered = 0;
    }
    if (this.refusal !== undefined) {
      this.fail(task, this.refusal);
    } else if (code < 300) {
      this.accepted(task, view.copy());
    } else {
      this.notAccepted(task, view.copy());
    }
  }

  private accepted(task: LookupTask, reply: Reply): void {
    this.acceptedCount++;
    if (!this.isRuled(task, reply)) {
      this.found(task, reply);
    }
  }

  /** The site knows what this reply means (`remote.<id>.replies`). */
  private isRuled(task: LookupTask, reply: Reply): boolean {
    const meaning = this.channel.replyRules?.meaning("rcpt", reply);
    if (meaning === "found") {
      this.found(task, reply);
    } else if (meaning === "not-found") {
      this.channel.settled();
      task.answered({ found: false, values: [], reply }, false);
    } else if (meaning === "no-answer") {
      this.fail(task, noMeaning(NO_VERDICT, reply));
    }
    return meaning !== undefined;
  }

  private found(task: LookupTask, reply: Reply): void {
    this.channel.settled();
    task.answered({ found: true, values: [], reply }, false);
  }

  private notAccepted(task: LookupTask, reply: Reply): void {
    if (this.isOfOthers(reply)) {
      this.isFull = true;
      this.again.push(task);
      return;
    }
    this.channel.refused();
    if (this.isRuled(task, reply)) {
      return;
    }
    const verdict = reply.code < 500 ? "none" : judgeRefusal(reply);
    if (verdict === "none") {
      this.fail(task, noAnswer(NO_VERDICT, reply));
      return;
    }
    this.channel.settled();
    const answer = { found: false, values: [], reply };
    if (verdict === "unknown" || verdict === "policy") {
      task.answered(answer, verdict === "policy");
    } else {
      task.answered({ ...answer, mailbox: verdict }, false);
    }
  }

  /** It says nothing of this recipient: the transaction has had as many as the host bears. */
  private isOfOthers(reply: Reply): boolean {
    return (
      (this.acceptedCount > 0 && isTooManyRecipients(reply.code, reply.enhanced)) ||
      (this.answeredCount > 1 && isTooManyUnknown(reply))
    );
  }

  private fail(task: LookupTask, failure: Failure): void {
    this.channel.settled();
    task.failed(failure);
  }

  private restIfDone(): void {
    if (this.asked.length > 0 || this.held.length > 0 || this.mail === "preparing" || this.mail === "sent") {
      return;
    }
    this.channel.finish(this);
    if (this.again.length === 0) {
      return;
    }
    const { again } = this;
    this.again = [];
    this.channel.probe(again);
  }
}
