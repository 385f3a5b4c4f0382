/** What an SMTP session is given to do. The pool's tasks implement these; each is settled exactly once. */
import type { RecipientResult, Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import type { AddressLookupKind } from "../../../src/lookup-kinds.js";
import type { Answer, RelayJob, UserCredentials } from "../../../src/messages/contract.js";
import type { Progress } from "../progress.js";

/** One message. The phase methods answer false when the request was withdrawn: stop, nothing may be sent for it. */
export interface RelayTask {
  readonly job: RelayJob;
  /** On whose behalf, see src/messages/client.ts. */
  readonly client: string;
  /** `transaction` is where it can be given up from now on. */
  startedOn(transaction: RelayHandle): void;
  toEnvelope(): boolean;
  /**
   * Whom the transaction that begins now serves, by their indices; undefined: everybody.
   *
   * @param most recipients that it takes, of at most `mostDomains` domains
   */
  portion(most: number, mostDomains: number): readonly number[] | undefined;
  /** @param postponed recipients, by their places in the transaction, that it had no room for: they are for another one */
  toContent(postponed: readonly number[]): boolean;
  toTerminator(): boolean;
  toReplied(): void;
  /** One more part of a streamed content is wanted; it comes through {@link ContentReceiver}. */
  wantContent(receiver: ContentReceiver): void;
  /** A part was sent: its memory may be used again. */
  partSent(octets: Uint8Array): void;
  /** The transaction is over. `recipients`: those of its portion; `postponed`: see {@link toContent}. */
  finished(recipients: readonly RecipientResult[], reply: Reply | undefined, postponed: readonly number[]): void;
  /** Certainly delivered to nobody. */
  failed(failure: Failure): void;
  /** The connection ended before the terminator was written: certainly delivered to nobody. */
  lost(failure: Failure, progress: Progress): void;
}

/** A message on its way. */
export interface RelayHandle {
  /** Gives it up: failed before the terminator, uncertain after it. Nothing where it is settled. */
  cancel(failure: Failure): void;
}

/** Takes the parts of a streamed content. */
export interface ContentReceiver {
  contentPart(octets: Uint8Array, isLast: boolean): void;
  contentFailed(failure: Failure): void;
}

/** One question by address. */
export interface LookupTask {
  readonly kind: AddressLookupKind;
  readonly value: string;
  readonly client: string;
  /** `speaksOfUs`: a refusal that is no verdict on the address (policy, the host's own state): not to be cached. */
  answered(answer: Answer, speaksOfUs: boolean): void;
  failed(failure: Failure): void;
  /** The connection ended before the answer. */
  lost(failure: Failure, progress: Progress): void;
}

/** One user's password or token to try. */
export interface LoginTask {
  readonly credentials: UserCredentials;
  readonly client: string;
  answered(answer: Answer): void;
  failed(failure: Failure): void;
  /** The connection ended before the answer. */
  lost(failure: Failure, progress: Progress): void;
}
