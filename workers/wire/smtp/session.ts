/**
 * An SMTP or LMTP session (RFC 5321, 2033, 2920), sans-IO: bytes and ends in, commands and events out. Each command
 * sent queues one waiter, each complete reply takes one. The pool hands it tasks while it has room for them.
 */
import type { HostSettings } from "../../../src/config/settings.js";
import type { Failure } from "../../../src/errors.js";
import type { Session, Wire } from "../session.js";
import { ActiveWork } from "./active-work.js";
import { type Extensions, NO_EXTENSIONS } from "./extensions.js";
import { Handshake } from "./handshake.js";
import { Login } from "./login.js";
import { Query } from "./query.js";
import { RcptBatch } from "./rcpt-batch.js";
import { ReplyParser, type ReplySink, type ReplyView } from "./reply.js";
import { type ReplyHandler, ReplyQueue } from "./reply-queue.js";
import type { LoginTask, LookupTask, RelayTask } from "./tasks.js";
import { Transaction } from "./transaction.js";

/** What one host's sessions learn of their peer and tell the next one. */
export interface PeerMemory {
  /** It advertised PIPELINING and lost commands: spoken to one by one from then on. */
  dropsCommands: boolean;
  /** The last group of commands was answered to the end: if a reply is missing now, the peer is more likely slow. */
  pipelines: boolean;
  /** LMTP: it gave one reply for each of several recipients, when no other command was in flight that could have been the source of one. */
  countsRecipients: boolean;
  /** It advertised CHUNKING and did not know BDAT. */
  refusesChunks: boolean;
}

/** Whether the connection serves the gateway's own account, or tries users' passwords and nothing else. */
export type SessionPurpose = "service" | "login";

/** Whoever hands out the tasks: the pool. */
export interface SmtpOwner {
  ready(): void;
  /** Replies were read: there may be room for more tasks. Not called while tasks are being handed over. */
  progressed(): void;
  /** A message whose envelope may follow behind the final dot of another (RFC 2920 3.1), if one waits. */
  nextRelay(): RelayTask | undefined;
  /** The connection is gone, all its tasks are settled. */
  ended(failure: Failure): void;
  notice(level: "info" | "warn", event: string, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface SmtpOptions {
  readonly settings: HostSettings;
  /** Said in EHLO. */
  readonly hostname: string;
  readonly purpose: SessionPurpose;
  readonly peer: PeerMemory;
  readonly owner: SmtpOwner;
  randomBytes(count: number): Uint8Array;
}

/** A task at work: it hears when its connection is lost, and of each turn in which replies were read. */
export interface Work {
  lost(failure: Failure): void;
  proceed?(): void;
  drained?(): void;
  /** A reply that no command waits for; false: not mine. */
  unexpected?(reply: ReplyView): boolean;
  /** Why nothing moved in time, where that is not for want of a reply. */
  whyStalled?(): Failure | undefined;
}

type State = "handshake" | "ready" | "ended";

const proceed = (work: Work): void => work.proceed?.();
const drained = (work: Work): void => work.drained?.();

export class SmtpSession implements Session, ReplySink {
  state: State = "handshake";
  extensions: Extensions = NO_EXTENSIONS;
  isSecure = false;
  /** Tasks sent so far, refused ones too (`limits.requests`), and negative replies so far (`limits.errors`). */
  requests = 0;
  errors = 0;
  /** Some task was finished on it before. */
  isReused = false;
  /** A MAIL was or may have been accepted and its transaction not ended: RSET comes before the next one. */
  needsReset = false;
  /** The reply to some task's command was read. */
  private hasServed = false;
  private readonly awaited = new ReplyQueue();
  private readonly parser = new ReplyParser(this);
  private readonly work = new ActiveWork<Work>();
  private probes: RcptBatch | undefined;
  /** Tasks given to this session and not settled. */
  private taskCount = 0;
  /** Replies that the bytes at hand can hold: a command queued meanwhile has not left yet. */
  private answerable = 0;
  /** Part of a reply came when none was awaited: whatever is sent before the rest comes, it is no answer to that. */
  private isStray = false;
  /** Since no reply was awaited: commands went out before the one before them was answered; and replies that came. */
  private isPipelined = false;
  private repliesInGroup = 0;
  /** Nothing may be sent until all replies are read: VRFY, EXPN and AUTH end a group. */
  private isGroupEnded = false;
  private isRetired = false;
  private ending: Failure | undefined;

  constructor(
    readonly wire: Wire,
    readonly options: SmtpOptions,
  ) {}

  // --- what the connection tells -------------------------------------------------------------------------------

  connected(isSecure: boolean): void {
    this.isSecure = isSecure;
    const handshake = new Handshake(this);
    this.work.add(handshake);
    handshake.begin();
  }

  received(bytes: Uint8Array): void {
    this.answerable = this.awaited.length;
    this.parser.push(bytes);
    if (this.state === "ended") {
      return;
    }
    if (this.answerable === 0 && this.parser.hasPartial) {
      this.strayBegun();
    }
    if ((this.state as State) === "ended") {
      return;
    }
    this.work.some(proceed);
    if (this.state === "ready") {
      this.options.owner.progressed();
    }
  }

  /** What has begun may refuse the content that is on its way: then it is worth reading to its end. */
  private strayBegun(): void {
    this.isStray = true;
    if (this.work.size > 0) {
      return;
    }
    this.fail({ code: "REMOTE_PROTOCOL", message: "The peer sent part of a reply that nothing waits for." });
  }

  secured(): void {
    this.isSecure = true;
    this.work.each((work) => {
      if (work instanceof Handshake) {
        work.secured();
      }
    });
  }

  timedOut(): void {
    let failure: Failure = { code: "COMMAND_TIMEOUT", message: "The peer did not reply in time." };
    this.work.each((work) => {
      failure = work.whyStalled?.() ?? failure;
    });
    // A peer that answered nothing at all is slow or dead; one that answered the first commands of a group may have lost the others.
    if (this.isPipelined && this.repliesInGroup > 0) {
      this.distrustPipelining();
    }
    this.fail(failure);
  }

  private distrustPipelining(): void {
    const { peer, owner } = this.options;
    if (peer.pipelines || peer.dropsCommands) {
      peer.pipelines = false;
      return;
    }
    peer.dropsCommands = true;
    owner.notice(
      "warn",
      "pipelining-off",
      "The peer advertises PIPELINING but left commands of a group unanswered; it is spoken to one by one from now on.",
    );
  }

  drained(): void {
    this.work.some(drained);
  }

  closed(failure: Failure): void {
    this.fail(failure);
    this.options.owner.ended(this.ending ?? failure);
  }

  // --- replies -------------------------------------------------------------------------------------------------

  replyRead(reply: ReplyView): void {
    if (this.answerable === 0 || this.isStray) {
      this.unsolicited(reply);
      return;
    }
    this.answerable--;
    this.hasServed ||= this.state === "ready";
    this.repliesInGroup++;
    const { tag } = this.awaited;
    const handler = this.awaited.shift();
    if (this.awaited.length === 0) {
      this.groupAnswered();
    }
    this.wire.expectWithin(this.awaited.withinMs);
    handler.replied(reply, tag);
    if (reply.code === 421) {
      this.closing(reply);
    }
  }

  private groupAnswered(): void {
    if (this.isPipelined) {
      this.options.peer.pipelines = true;
    }
    this.isPipelined = false;
    this.isGroupEnded = false;
    this.repliesInGroup = 0;
  }

  malformed(what: string): void {
    this.errors++;
    this.fail({ code: "REMOTE_PROTOCOL", message: `The peer sent ${what}.` });
  }

  private unsolicited(reply: ReplyView): void {
    if (this.work.some((work) => work.unexpected?.(reply))) {
      return;
    }
    if (reply.code === 421) {
      this.closing(reply);
    } else {
      this.fail({
        code: "REMOTE_PROTOCOL",
        message: "The peer sent a reply that nothing waits for.",
        reply: reply.copy(),
      });
    }
  }

  private closing(reply: ReplyView): void {
    this.fail({ code: "HOST_UNAVAILABLE", message: "The peer is closing the connection (421).", reply: reply.copy() });
  }

  // --- for the work at hand ------------------------------------------------------------------------------------

  /** Sends one command; `handler` gets its reply. */
  command(line: string, handler: ReplyHandler, tag: number, withinMs: number): void {
    if (this.awaited.length > 0) {
      this.isPipelined = true;
    }
    this.wire.write(line);
    this.expect(handler, tag, withinMs);
  }

  expect(handler: ReplyHandler, tag: number, withinMs: number): void {
    this.awaited.push(handler, tag, withinMs);
    if (this.awaited.length === 1) {
      this.wire.expectWithin(withinMs);
    }
  }

  endGroup(): void {
    this.isGroupEnded = true;
  }

  /** No reply is awaited. */
  get isQuiet(): boolean {
    return this.awaited.length === 0;
  }

  /** How many more commands may be in flight now. */
  get window(): number {
    if (this.isGroupEnded) {
      return 0;
    }
    return (this.canPipeline ? this.options.settings.limits.pipeline : 1) - this.awaited.length;
  }

  get canPipeline(): boolean {
    return this.extensions.pipelining && !this.options.peer.dropsCommands && this.options.settings.limits.pipeline > 1;
  }

  /** An EXPN reply may be long. */
  allowList(isList: boolean): void {
    this.parser.allowList(isList);
  }

  /** Bytes beyond the reply at hand: after STARTTLS's 220 they are an attack. */
  get hasUnreadBytes(): boolean {
    return this.parser.hasUnread;
  }

  /** The connection cannot be trusted or used any more. Every task at work is settled. */
  fail(failure: Failure): void {
    if (this.state === "ended") {
      return;
    }
    this.state = "ended";
    this.ending = failure;
    this.parser.stop();
    this.wire.expectWithin(0);
    for (const work of this.work.takeAll()) {
      work.lost(failure);
    }
    this.wire.destroy();
  }

  handshakeDone(handshake: Handshake): void {
    this.work.delete(handshake);
    this.state = "ready";
    this.options.owner.ready();
  }

  /** It awaits no more replies. */
  done(work: Work): void {
    this.work.delete(work);
  }

  taskSettled(): void {
    this.taskCount--;
    // One that nothing could be sent for has not shown that the connection works.
    this.isReused ||= this.hasServed;
  }

  /** Nothing was or will be sent for a task: it does not count. */
  taskUnsent(): void {
    this.requests--;
    this.taskCount--;
  }

  // --- for the pool --------------------------------------------------------------------------------------------

  /** No task at work, no reply awaited. */
  get isIdle(): boolean {
    return this.state === "ready" && this.awaited.length === 0 && this.taskCount === 0 && this.work.size === 0;
  }

  /** Takes no more tasks and is closed when it is idle. */
  retire(): void {
    this.isRetired = true;
  }

  /** To be closed with QUIT as soon as it is idle. */
  get isSpent(): boolean {
    const { limits } = this.options.settings;
    return this.isRetired || this.requests >= limits.requests || this.errors >= limits.errors;
  }

  /**
   * Whether one more task of this kind may be handed over now. Each one in flight may be refused,
   * so there are never more than what is left of either budget.
   */
  hasRoomFor(kind: "relay" | "rcpt" | "vrfy" | "expn" | "login"): boolean {
    if (this.state !== "ready" || this.isGroupEnded || this.isStray || !this.hasBudget) {
      return false;
    }
    if (this.taskCount === 0) {
      return this.awaited.length === 0 && this.work.size === 0;
    }
    if (kind === "rcpt") {
      return this.probes !== undefined && this.canPipeline && this.window >= 3;
    }
    // Behind a terminator that waits for its reply the next envelope may follow (RFC 2920 3.1).
    return kind === "relay" && this.canPipeline && this.isAwaitingVerdict;
  }

  private get hasBudget(): boolean {
    const { limits } = this.options.settings;
    return !this.isRetired && this.requests < limits.requests && this.taskCount < limits.errors - this.errors;
  }

  private get isAwaitingVerdict(): boolean {
    const { size, first } = this.work;
    return size === 1 && first instanceof Transaction && first.isAwaitingVerdict;
  }

  relay(task: RelayTask): void {
    this.take();
    this.probes = undefined;
    this.start(new Transaction(this, task));
  }

  /** RCPT, VRFY or EXPN. */
  lookup(task: LookupTask): void {
    this.take();
    if (task.kind !== "rcpt") {
      this.start(new Query(this, task));
      return;
    }
    this.probe([task]);
  }

  /** Recipients to ask about, within the task budget already. */
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
    this.take();
    this.start(new Login(this, task));
  }

  /** Behind a terminator that was just written: the next envelope may follow in the same write. */
  overlap(): void {
    if (!this.canPipeline || !this.hasBudget || this.isStray) {
      return;
    }
    const task = this.options.owner.nextRelay();
    if (task !== undefined) {
      this.relay(task);
    }
  }

  /** Closes in good order. */
  quit(): void {
    if (this.state === "ended") {
      return;
    }
    if (this.state === "ready") {
      this.wire.write("QUIT\r\n");
    }
    this.state = "ended";
    this.ending = { code: "REMOTE_CLOSED", message: "The connection was closed with QUIT." };
    this.wire.expectWithin(0);
    this.wire.end();
  }

  private take(): void {
    this.requests++;
    this.taskCount++;
  }

  private start(work: Work & { begin(): void }): void {
    this.work.add(work);
    work.begin();
  }
}
