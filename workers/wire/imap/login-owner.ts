/** What an IMAP session is made with, and whom it reports to: the pooled connection. */
import type { HostSettings } from "../../../src/config/settings.js";
import type { Failure } from "../../../src/errors.js";
import type { Answer } from "../../../src/messages/contract.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import type { Progress } from "../progress.js";
import type { ReplyRules } from "../reply-rules.js";
import type { ImapPeerMemory } from "./peer-memory.js";

export interface LoginOwner {
  /** A login may be given now: the handshake is done, or the login before is out of the way. */
  ready(): void;
  /**
   * What came of the login in flight. It may come before `login()` returns, where the login is not possible at all.
   * @param mayContinue true: {@link ready} follows (at once, or when the user was logged out); false: {@link ended} follows
   */
  loginAnswered(answer: Answer | Failure, mayContinue: boolean): void;
  /** The host refused the command of the login in flight, which may go another way. False: it would be one command more than the connection may take. */
  mayRepeat(): boolean;
  /** The connection ended under the login in flight. */
  loginLost(failure: Failure, progress: Progress): void;
  /** The connection is gone: why, for whoever waits for it. Called once; nothing follows. */
  ended(failure: Failure): void;
}

export interface ImapOptions {
  readonly settings: HostSettings;
  readonly peer: ImapPeerMemory;
  readonly owner: LoginOwner;
  readonly log: HostLog;
  /** `remote.<id>.replies`, if there are any. */
  readonly replyRules: ReplyRules | undefined;
  readonly randomBytes: (octets: number) => Uint8Array;
  /** On whose behalf the connection is made, see src/messages/client.ts. */
  readonly client: string;
}
