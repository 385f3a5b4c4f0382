/** What an SMTP session is made with, and whom it reports to: the pooled connection. */
import type { HostSettings } from "../../../src/config/settings.js";
import type { Failure } from "../../../src/errors.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import type { ReplyRules } from "../reply-rules.js";
import type { SessionPurpose } from "./channel.js";
import type { PeerMemory } from "./peer-memory.js";
import type { RelayTask } from "./tasks.js";

/** Whoever hands out the tasks, and counts them. */
export interface SmtpOwner {
  ready(): void;
  /** Replies were read: there may be room for more tasks. Not called while tasks are being handed over. */
  progressed(): void;
  /** A message whose envelope may follow behind the final dot of another (RFC 2920 3.1), if one waits. */
  nextRelay(): RelayTask | undefined;
  /** The host said no to something. */
  refused(): void;
  /** A task is settled. */
  settled(): void;
  /** A task is settled for which nothing was sent. */
  unsent(): void;
  /** No further task may be given: the connection belongs to a user now, or its replies could not be told apart. */
  retire(): void;
  /** The connection is gone, all its tasks are settled. */
  ended(failure: Failure): void;
}

export interface SmtpOptions {
  readonly settings: HostSettings;
  /** Said in EHLO; `undefined`: none is known, and the connection's own address is said. */
  readonly hostname: string | undefined;
  readonly purpose: SessionPurpose;
  /** What the connection's account logs in by, where it does so by access tokens. */
  readonly token?: string | undefined;
  readonly peer: PeerMemory;
  readonly owner: SmtpOwner;
  readonly log: HostLog;
  /** `remote.<id>.replies`, if there are any. */
  readonly replyRules: ReplyRules | undefined;
  randomBytes(count: number): Uint8Array;
}
