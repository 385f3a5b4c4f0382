/**
 * What the works on an SMTP or LMTP session see of it: commands go out and replies are awaited for them, and what the host has
 * offered and been told stands here. session.ts, which extends it, hears of the connection and serves the pool.
 */
import type { HostSettings } from "../../../src/config/settings.js";
import type { Failure } from "../../../src/errors.js";
import { decodeClient, NO_CLIENT } from "../../../src/messages/client.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import type { ReplyRules } from "../reply-rules.js";
import type { Wire } from "../session.js";
import { ActiveWork } from "./active-work.js";
import type { MailChannel, QueryChannel, SessionPurpose, Work } from "./channel.js";
import { CommandGroup } from "./command-group.js";
import { type Extensions, NO_EXTENSIONS } from "./extensions.js";
import { Forwarding } from "./forwarding.js";
import { greetingName } from "./greeting-name.js";
import { MailTurns } from "./mail-turns.js";
import type { SmtpOptions, SmtpOwner } from "./owner.js";
import type { PeerMemory } from "./peer-memory.js";
import { ReplyParser, type ReplySink, type ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";

export abstract class SessionChannel implements MailChannel, QueryChannel, ReplySink {
  readonly settings: HostSettings;
  readonly purpose: SessionPurpose;
  readonly token: string | undefined;
  readonly peer: PeerMemory;
  readonly log: HostLog;
  readonly replyRules: ReplyRules | undefined;
  readonly randomBytes: (count: number) => Uint8Array;
  extensions: Extensions = NO_EXTENSIONS;
  isSecure = false;
  isReused = false;
  /** The reply to some task's command was read. */
  protected hasServed = false;
  private readonly hostname: string | undefined;
  protected readonly owner: SmtpOwner;
  protected readonly group = new CommandGroup();
  protected readonly parser = new ReplyParser(this);
  protected readonly work = new ActiveWork<Work>();
  private readonly mail = new MailTurns();
  /** Whose session it is for the host: nobody's, or that of the client named by XCLIENT. */
  client = NO_CLIENT;
  readonly forwarding: Forwarding | undefined;

  constructor(
    readonly wire: Wire,
    options: SmtpOptions,
  ) {
    this.settings = options.settings;
    this.hostname = options.hostname;
    this.purpose = options.purpose;
    this.token = options.token;
    this.peer = options.peer;
    this.owner = options.owner;
    this.log = options.log;
    this.replyRules = options.replyRules;
    this.forwarding = options.settings.client === "xforward" ? new Forwarding(options.log) : undefined;
    this.randomBytes = (count) => options.randomBytes(count);
  }

  /** A session that is a client's is greeted in the client's name: the host would take ours for the client's. */
  get greetingName(): string {
    if (this.client !== NO_CLIENT) {
      return decodeClient(this.client)?.helo ?? greetingName(this.hostname, this.wire.localAddress);
    }
    return greetingName(this.hostname, this.wire.localAddress);
  }

  abstract replyRead(reply: ReplyView): void;
  abstract malformed(what: string): void;
  abstract fail(failure: Failure): void;

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
    this.mail.begin();
    this.send(line, handler, tag, this.settings.timeouts.mailMs);
    // RFC 9422 4.1: the host would refuse one more.
    if (this.mailsLeft <= 0) {
      this.owner.retire();
    }
  }

  get mailsLeft(): number {
    return this.extensions.mailMax - this.mail.count;
  }

  get mostRecipients(): number {
    const { limits } = this.settings;
    return Math.min(limits.recipients ?? Number.POSITIVE_INFINITY, this.extensions.rcptMax, this.peer.mostRecipients);
  }

  get mostDomains(): number {
    return this.extensions.rcptDomainMax;
  }

  introduced(client: string): void {
    this.client = client;
    // The host has forgotten its transaction with the rest.
    this.mail.isOpen = false;
  }

  mailAnswered(code: number): void {
    if (!this.mail.answered(code)) {
      this.owner.retire();
    }
  }

  transactionEnded(): void {
    this.mail.isOpen = false;
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

  /** It waits for its first task: the peer may end it before that comes. */
  hasRested(): void {
    this.isReused = true;
  }

  startTls(): void {
    this.wire.startTls();
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
}
