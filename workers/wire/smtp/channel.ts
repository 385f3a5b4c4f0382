/**
 * What an SMTP session shows to the works on it: handshake.ts, auth.ts, login.ts, query.ts, rcpt-batch.ts, transaction.ts and
 * content.ts. Each takes the narrowest of these channels that does for it; session-channel.ts and session.ts, above them
 * all, implement them.
 */
import type { HostSettings } from "../../../src/config/settings.js";
import type { Failure } from "../../../src/errors.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import type { ReplyRules } from "../reply-rules.js";
import type { Wire } from "../session.js";
import type { Extensions } from "./extensions.js";
import type { Forwarding } from "./forwarding.js";
import type { PeerMemory } from "./peer-memory.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";
import type { LookupTask } from "./tasks.js";

/** Whether the connection serves the gateway's own account, or tries users' passwords and nothing else. */
export type SessionPurpose = "service" | "login";

/** Something at work on a session: it hears when its connection is lost, and of each turn in which replies were read. */
export interface Work {
  lost(failure: Failure): void;
  proceed?(): void;
  drained?(): void;
  /** TLS stands. */
  secured?(): void;
  /** A reply that no command waits for; false: not mine. */
  unexpected?(reply: ReplyView): boolean;
  /** Why nothing moved in time, where that is not for want of a reply. */
  whyStalled?(): Failure | undefined;
}

/** One command after the other. */
export interface Channel {
  readonly settings: HostSettings;
  readonly peer: PeerMemory;
  readonly extensions: Extensions;
  /** TLS stands. */
  readonly isSecure: boolean;
  /** The connection has served a task before. */
  readonly isReused: boolean;
  readonly log: HostLog;
  /** What the site knows of the host's replies; most know nothing. */
  readonly replyRules: ReplyRules | undefined;
  randomBytes(count: number): Uint8Array;

  /** Sends one command; `handler` gets its reply. */
  send(line: string, handler: ReplyHandler, tag: number, withinMs: number): void;
  /** Sends one behind which nothing may be sent until all replies are read (RFC 2920 3.1). */
  sendLast(line: string, handler: ReplyHandler, tag: number, withinMs: number): void;
  /** Awaits one more reply, to what was sent already. */
  expect(handler: ReplyHandler, tag: number, withinMs: number): void;

  /** The host said no to something: counts for `limits.errors`. */
  refused(): void;
  /** One task is settled. */
  settled(): void;
  /** One task is settled for which nothing was sent: it does not count. */
  unsent(): void;
  /** The work awaits no more replies. */
  finish(work: Work): void;
  /** The connection takes no further tasks. */
  retire(): void;
  /** The connection cannot be trusted or used any more. Every task on it is settled. */
  fail(failure: Failure): void;
}

/** For what comes before the first task. */
export interface HandshakeChannel extends Channel {
  /** What EHLO says. */
  readonly greetingName: string;
  readonly purpose: SessionPurpose;
  /** What the account logs in by, where it does so by access tokens. */
  readonly token: string | undefined;
  /** Bytes beyond the reply at hand: after STARTTLS's 220 they are an attack. */
  readonly hasUnreadBytes: boolean;
  learn(extensions: Extensions): void;
  startTls(): void;
  /** Tasks may come. */
  handshakeDone(work: Work): void;
}

/** For VRFY and EXPN. */
export interface QueryChannel extends Channel {
  /** The next reply may be a mailing list. */
  allowList(isList: boolean): void;
}

/** For mail transactions, whose commands go out in groups (PIPELINING). */
export interface MailChannel extends Channel {
  /** How many more commands may be in flight now. */
  readonly window: number;
  /** No reply is awaited. */
  readonly isQuiet: boolean;
  readonly canPipeline: boolean;
  /** A MAIL was or may have been accepted and its transaction not ended: RSET comes before the next one. */
  readonly needsReset: boolean;
  /** How many more MAIL commands the connection may have. */
  readonly mailsLeft: number;
  /** Most recipients of one transaction, and most domains that these may have. */
  readonly mostRecipients: number;
  readonly mostDomains: number;
  sendReset(handler: ReplyHandler, tag: number): void;
  sendMail(line: string, handler: ReplyHandler, tag: number): void;
  /** What tells the host whose the next transaction is, if anything does. */
  readonly forwarding: Forwarding | undefined;
  /** MAIL was answered: a host that defers it again and again on one connection may not on another. */
  mailAnswered(code: number): void;
}

/** For recipients to ask about. */
export interface ProbeChannel extends MailChannel {
  /** Recipients that the transaction at hand had no room for. They are counted already. */
  probe(tasks: readonly LookupTask[]): void;
}

/** For messages. */
export interface RelayChannel extends MailChannel {
  readonly wire: Pick<Wire, "write" | "unsentOctets" | "expectWithin">;
  /** The transaction is over for the peer: MAIL was refused, or the terminator is written. */
  transactionEnded(): void;
  /** Behind a terminator that was just written: the next envelope may follow in the same write. */
  overlap(): void;
}
