/**
 * An SMTP or LMTP session (RFC 5321, 2033, 2920), sans-IO: bytes and ends in, commands and events out. Each command
 * sent queues one waiter, each complete reply takes one. The pool hands it tasks while it has room for them.
 */
import type { Failure } from "../../../src/errors.js";
import { NO_CLIENT } from "../../../src/messages/client.js";
import type { Session } from "../session.js";
import type { HandshakeChannel, ProbeChannel, RelayChannel, Work } from "./channel.js";
import { goodbye, unsolicited } from "./failures.js";
import { Handshake } from "./handshake.js";
import { type IntroducedTask, Introduction, type IntroductionChannel } from "./introduction.js";
import { Login } from "./login.js";
import { Query } from "./query.js";
import { RcptBatch } from "./rcpt-batch.js";
import type { ReplyView } from "./reply.js";
import { SessionChannel } from "./session-channel.js";
import type { LoginTask, LookupTask, RelayTask } from "./tasks.js";
import { Transaction } from "./transaction.js";

/** `leaving`: QUIT is written, and its reply awaited. */
type State = "handshake" | "ready" | "leaving" | "ended";

/** RFC 5321 4.1.1.10: a client waits for the reply to QUIT. The connection's slot is worth more than a long wait. */
const QUIT_MS = 2_000;

const proceed = (work: Work): void => work.proceed?.();
const drained = (work: Work): void => work.drained?.();

export class SmtpSession
  extends SessionChannel
  implements Session, HandshakeChannel, IntroductionChannel, ProbeChannel, RelayChannel
{
  private state: State = "handshake";
  private probes: RcptBatch | undefined;
  private ending: Failure | undefined;

  // --- what the connection tells -------------------------------------------------------------------------------

  connected(isSecure: boolean): void {
    this.isSecure = isSecure;
    const handshake = new Handshake(this);
    this.work.add(handshake);
    handshake.begin();
  }

  received(bytes: Uint8Array): void {
    if (this.state === "leaving") {
      this.parser.push(bytes);
      return;
    }
    this.group.bytesRead();
    this.parser.push(bytes);
    if (this.state !== "ended" && this.parser.hasPartial && this.group.isUnasked) {
      this.group.strayBegun();
      // What has begun may refuse the content that is on its way: then it is worth reading to its end.
      if (this.work.size === 0) {
        this.fail({ code: "REMOTE_PROTOCOL", message: "The peer sent part of a reply that nothing waits for." });
      }
    }
    if (this.state !== "ended") {
      this.work.some(proceed);
    }
    if ((this.state as State) === "ready") {
      this.owner.progressed();
    }
  }

  secured(): void {
    this.isSecure = true;
    this.work.each((work) => work.secured?.());
  }

  timedOut(): void {
    let failure: Failure = { code: "COMMAND_TIMEOUT", message: "The peer did not reply in time." };
    this.work.each((work) => {
      failure = work.whyStalled?.() ?? failure;
    });
    // A peer that answered nothing at all is slow or dead; one that answered the first commands of a group may have lost the others.
    if (this.group.mayBeLost) {
      this.peer.groupLost(this.log);
    }
    this.fail(failure);
  }

  drained(): void {
    this.work.some(drained);
  }

  closed(failure: Failure): void {
    this.fail(failure);
    this.owner.ended(this.ending ?? failure);
  }

  // --- replies -------------------------------------------------------------------------------------------------

  replyRead(reply: ReplyView): void {
    const { group } = this;
    // What comes behind QUIT is its 221, or a 421 that crossed it.
    if (this.state === "leaving") {
      this.end();
      return;
    }
    if (group.isUnasked) {
      if (!this.work.some((work) => work.unexpected?.(reply))) {
        this.fail(unsolicited(reply.copy()));
      }
      return;
    }
    this.hasServed ||= this.state === "ready";
    const { tag, isPipelined } = group;
    const handler = group.take();
    if (isPipelined && group.size === 0) {
      this.peer.groupAnswered();
    }
    this.wire.expectWithin(group.withinMs);
    if (reply.code === 421) {
      this.fail(handler.closing?.(reply, tag) ?? goodbye(reply.copy()));
    } else {
      handler.replied(reply, tag);
    }
  }

  malformed(what: string): void {
    this.fail({ code: "REMOTE_PROTOCOL", message: `The peer sent ${what}.` });
  }

  // --- for the works -------------------------------------------------------------------------------------------

  handshakeDone(handshake: Work): void {
    this.work.delete(handshake);
    this.state = "ready";
    this.owner.ready();
  }

  /** Behind a terminator that was just written: the next envelope may follow in the same write. */
  overlap(): void {
    if (!this.canPipeline || this.group.isStray) {
      return;
    }
    const task = this.owner.nextRelay();
    if (task !== undefined) {
      this.relay(task);
    }
  }

  fail(failure: Failure): void {
    if (this.state === "ended") {
      return;
    }
    this.state = "ended";
    this.ending ??= failure;
    this.parser.stop();
    this.wire.expectWithin(0);
    for (const work of this.work.takeAll()) {
      work.lost(failure);
    }
    this.wire.destroy();
  }

  // --- for the pool --------------------------------------------------------------------------------------------

  /** No task at work, no reply awaited. */
  get isIdle(): boolean {
    return this.state === "ready" && this.group.size === 0 && this.work.size === 0;
  }

  /** Whether the dialogue has room for one more task of this kind now. */
  hasRoomFor(kind: "relay" | "rcpt" | "vrfy" | "expn" | "auth", client: string): boolean {
    if (this.state !== "ready" || this.group.isEnded || this.group.isStray) {
      return false;
    }
    // The session of one client is given to another between two tasks, and never back to nobody.
    if (this.mustIntroduce(client) && (client === NO_CLIENT || !this.canBeTold || this.work.size > 0)) {
      return false;
    }
    if (this.work.size === 0) {
      return this.group.size === 0;
    }
    if (kind === "rcpt") {
      return this.probes !== undefined && this.canPipeline && this.window >= 3;
    }
    // Behind a terminator that waits for its reply the next envelope may follow (RFC 2920 3.1).
    return kind === "relay" && this.canPipeline && this.isAwaitingVerdict;
  }

  private get isAwaitingVerdict(): boolean {
    const { size, first } = this.work;
    return size === 1 && first instanceof Transaction && first.isAwaitingVerdict;
  }

  relay(task: RelayTask): void {
    if (this.mustIntroduce(task.client)) {
      return this.introduce(task, () => this.relay(task));
    }
    this.probes = undefined;
    this.start(new Transaction(this, task));
  }

  /** RCPT, VRFY or EXPN. */
  lookup(task: LookupTask): void {
    if (this.mustIntroduce(task.client)) {
      return this.introduce(task, () => this.lookup(task));
    }
    if (task.kind === "rcpt") {
      this.probe([task]);
    } else {
      this.start(new Query(this, task));
    }
  }

  probe(tasks: readonly LookupTask[]): void {
    for (const task of tasks) {
      if (this.probes?.canTake(task) !== true) {
        this.probes = new RcptBatch(this);
      }
      this.work.add(this.probes);
      this.probes.add(task);
    }
  }

  login(task: LoginTask): void {
    if (this.mustIntroduce(task.client)) {
      return this.introduce(task, () => this.login(task));
    }
    this.start(new Login(this, task));
  }

  /** Closes in good order. `isHurried`: others wait for the slot, so that the reply to QUIT is not awaited. */
  quit(isHurried: boolean): void {
    const { state } = this;
    if (state === "ended" || state === "leaving") {
      return;
    }
    this.state = "leaving";
    this.ending = { code: "REMOTE_CLOSED", message: "The connection was closed with QUIT." };
    if (state === "ready") {
      this.wire.write("QUIT\r\n");
    }
    if (state !== "ready" || isHurried) {
      this.end();
    } else {
      this.wire.expectWithin(QUIT_MS);
    }
  }

  /** Others wait for the slot of a connection that is being closed. */
  hurry(): void {
    if (this.state === "leaving") {
      this.end();
    }
  }

  private end(): void {
    this.state = "ended";
    this.parser.stop();
    this.wire.expectWithin(0);
    this.wire.end();
  }

  /** Of another client. Postfix trusts the client that it was told of from then on, and offers XCLIENT once for a connection. */
  get canBeTold(): boolean {
    return this.client === NO_CLIENT || this.extensions.xclient !== undefined;
  }

  private mustIntroduce(client: string): boolean {
    return client !== this.client && this.settings.client === "xclient";
  }

  private introduce(task: IntroducedTask, start: () => void): void {
    this.probes = undefined;
    this.start(new Introduction(this, task, start));
  }

  private start(work: Work & { begin(): void }): void {
    this.work.add(work);
    work.begin();
  }
}
