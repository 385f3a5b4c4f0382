/**
 * How far a task had come on a connection when that connection ended. The sessions (smtp/, imap/) report these facts and judge
 * nothing: whether the task may be tried once more, host/retry.ts decides for all protocols.
 */

export interface Progress {
  /** The connection had served another task before, or had waited for its first: it may have been dead before this one came. */
  readonly isReused: boolean;
  /** A reply to one of the task's own commands was read. */
  readonly isAnswered: boolean;
  /** The most that was written of it, whether or not it reached the peer. */
  readonly shown: "nothing" | "command" | "credentials" | "content";
}
