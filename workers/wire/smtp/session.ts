/**
 * An SMTP or LMTP session (RFC 5321, 2033, 2920), sans-IO: bytes and ends in, commands and events out. Each command
 * sent queues one waiter, each complete reply takes one. The pool hands it tasks while it has room for them.
 */
import type { HostSettings } from "../../../src/config/settings.js";
import type { Failure } from "../../../src/errors.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import type { ReplyRules } from "../reply-rules.js";
import type { Session, Wire } from "../session.js";
import { ActiveWork } from "./active-work.js";
import type { HandshakeChannel, ProbeChannel, QueryChannel, RelayChannel, SessionPurpose, Work } from "./channel.js";
import { CommandGroup } from "./command-group.js";
import { type Extensions, NO_EXTENSIONS } from "./extensions.js";
import { goodbye } from "./failures.js";
import { greetingName } from "./greeting-name.js";
import { Handshake } from "./handshake.js";
import { Login } from "./login.js";
import { MailTurns } from "./mail-turns.js";
import type { SmtpOptions, SmtpOwner } from "./owner.js";
import type { PeerMemory } from "./peer-memory.js";
import { Query } from "./query.js";
import { RcptBatch } from "./rcpt-batch.js";
import { ReplyParser, type ReplySink, type ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";
import type { LoginTask, LookupTask, RelayTask } from "./tasks.js";
import { Transaction } from "./transaction.js";

/** `leaving`: QUIT is written, and its reply awaited. */
type State = "handshake" | "ready" | "leaving" | "ended";

/** RFC 5321 4.1.1.10: a client waits for the reply to QUIT. The connection's slot is worth more than a long wait. */
const QUIT_MS = 2_000;

const proceed = (work: Work): void => work.proceed?.();
const drained = (work: Work): void => work.drained?.();

export class SmtpSession implements Session, ReplySink, HandshakeChannel, QueryChannel, ProbeChannel, RelayChannel {
  readonly settings: HostSettings;
  readonly purpose: SessionPurpose;
  readonly peer: PeerMemory;
  readonly log: HostLog;
  readonly replyRules: ReplyRules | undefined;
  readonly randomBytes: (count: number) => Uint8Array;
  extensions: Extensions = NO_EXTENSIONS;
  isSecure = false;
  isReused = false;
  private state: State = "handshake";
  /** The reply to some task's command was read. */
  private hasServed = false;
  private readonly hostname: string | undefined;
  private readonly owner: SmtpOwner;
  private readonly group = new CommandGroup();
  private readonly parser = new ReplyParser(this);
  private readonly work = new ActiveWork<Work>();
  private readonly mail = new MailTurns();
  private probes: RcptBatch | undefined;
  private ending: Failure | undefined;

  constructor(
    readonly wire: Wire,
    options: SmtpOptions,
  ) {
    this.settings = options.settings;
    this.hostname = options.hostname;
    this.purpose = options.purpose;
    this.peer = options.peer;
    this.owner = options.owner;
    this.log = options.log;
    this.replyRules = options.replyRules;
    this.randomBytes = (count) => options.randomBytes(count);
  }

  get greetingName(): string {
    return greetingName(this.hostname, this.wire.localAddress);
  }

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
      this.unsolicited(reply);
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

  private unsolicited(reply: ReplyView): void {
    if (this.work.some((work) => work.unexpected?.(reply))) {
      return;
    }
    if (reply.code === 421) {
      this.fail(goodbye(reply.copy()));
    } else {
      const message = "The peer sent a reply that nothing waits for.";
      this.fail({ code: "REMOTE_PROTOCOL", message, reply: reply.copy() });
    }
  }

  // --- the channels of the works -------------------------------------------------------------------------------

  send(line: string, handler: ReplyHandler, tag: number, withinMs: number): void {
    this.wire.write(line);
    this.group.send(handler, tag, withinMs);
    this.limitFirst(withinMs);
  }

  sendLast(line: string, handler: ReplyHandler, tag: number, withinMs: number): void {
    this.send(line, handler, tag, withinMs);
    this.group.end();
  }

  expect(handler: ReplyHandler, tag: number, withinMs: number): void {
    this.group.expect(handler, tag, withinMs);
    this.limitFirst(withinMs);
  }

  private limitFirst(withinMs: number): void {
    if (this.group.size === 1) {
      this.wire.expectWithin(withinMs);
    }
  }

  get isQuiet(): boolean {
    return this.group.size === 0;
  }

  get window(): number {
    if (this.group.isEnded) {
      return 0;
    }
    return (this.canPipeline ? this.settings.limits.pipeline : 1) - this.group.size;
  }

  get canPipeline(): boolean {
    return this.extensions.pipelining && !this.peer.dropsCommands && this.settings.limits.pipeline > 1;
  }

  get needsReset(): boolean {
    return this.mail.isOpen;
  }

  sendReset(handler: ReplyHandler, tag: number): void {
    this.mail.isOpen = false;
    this.send("RSET\r\n", handler, tag, this.settings.timeouts.commandMs);
  }

  sendMail(line: string, handler: ReplyHandler, tag: number): void {
    this.mail.isOpen = true;
    this.send(line, handler, tag, this.settings.timeouts.mailMs);
  }

  mailAnswered(code: number): void {
    if (!this.mail.answered(code)) {
      this.owner.retire();
    }
  }

  transactionEnded(): void {
    this.mail.isOpen = false;
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

  allowList(isList: boolean): void {
    this.parser.allowList(isList);
  }

  get hasUnreadBytes(): boolean {
    return this.parser.hasUnread;
  }

  learn(extensions: Extensions): void {
    this.extensions = extensions;
  }

  startTls(): void {
    this.wire.startTls();
  }

  handshakeDone(handshake: Work): void {
    this.work.delete(handshake);
    this.state = "ready";
    this.owner.ready();
  }

  refused(): void {
    this.owner.refused();
  }

  settled(): void {
    // A task that nothing could be sent for has not shown that the connection works.
    this.isReused ||= this.hasServed;
    this.owner.settled();
  }

  unsent(): void {
    this.owner.unsent();
  }

  finish(work: Work): void {
    this.work.delete(work);
  }

  retire(): void {
    this.owner.retire();
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
  hasRoomFor(kind: "relay" | "rcpt" | "vrfy" | "expn" | "login"): boolean {
    if (this.state !== "ready" || this.group.isEnded || this.group.isStray) {
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
    this.probes = undefined;
    this.start(new Transaction(this, task));
  }

  /** RCPT, VRFY or EXPN. */
  lookup(task: LookupTask): void {
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

  private start(work: Work & { begin(): void }): void {
    this.work.add(work);
    work.begin();
  }
}
