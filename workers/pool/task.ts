/** What a pool needs of a request: until when it may wait, how it is begun and how it is given up. The actor's requests (host/tasks.ts) are such tasks. */
import type { Failure } from "../../src/errors.js";
import type { LoginTask, LookupTask, RelayTask } from "../wire/smtp/tasks.js";
import type { Queued } from "./task-queue.js";

interface Waiting extends Queued {
  /** When nobody waits for it any more. */
  readonly deadlineMs: number;
  /** When it first came into its queue: whatever waits too long goes first. */
  readonly enqueuedMs: number;
  /** Whose it is, see src/messages/tenant.ts. */
  tag: string;
  /** It leaves its queue for the connection with this number. */
  start(connection: number): void;
  /** Settles it; nothing was sent for it. */
  drop(failure: Failure): void;
}

interface Lookup extends Waiting {
  /** Nobody waits for it: it is asked in the background. */
  readonly isRefresh: boolean;
}

/** One message. */
export type PoolRelay = Waiting &
  RelayTask & {
    readonly kind: "relay";
    /** Some of its recipients were served: the others are for its next transaction. */
    readonly isContinued: boolean;
  };
/** One user's credentials to try. */
export type PoolLogin = Lookup & LoginTask & { readonly kind: "auth" };
/** RCPT, VRFY or EXPN. */
export type PoolLookup = Lookup & LookupTask;

export type Task = PoolRelay | PoolLogin | PoolLookup;
export type TaskKind = Task["kind"];
