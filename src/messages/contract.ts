/**
 * What is asked of a host and what it answers, as both threads know it: the contract between them. requests.ts and answers.ts
 * carry these shapes; the gateway's thread makes and reads them, a host actor (host-actor.ts) works with them.
 */
import type { Certainty, MailboxState, Reply } from "../api.js";
import type { LookupKind } from "../lookup-kinds.js";

export type { MailboxState } from "../api.js";

/** The user's credentials of an AUTH lookup. */
export interface UserCredentials {
  readonly username: string;
  /** Password, or OAuth access token. */
  readonly secret: string;
  readonly isToken: boolean;
}

/** An answer that another gateway was given, and what was asked. */
export interface AdoptedAnswer {
  readonly kind: LookupKind;
  readonly value: string;
  readonly client: string;
  /** Of a login. */
  readonly credentials: UserCredentials | undefined;
  readonly answer: Answer;
  readonly ageMs: number;
}

/** A definite answer, as the peer gave it and as the cache keeps it. */
export interface Answer {
  readonly found: boolean;
  readonly values: readonly string[];
  readonly reply: Reply;
  /** Beside `found: false`: the address exists, and this keeps its mailbox from taking mail now. */
  readonly mailbox?: MailboxState;
  /** Of a recipient that was found, where anybody has asked: added on the way to the caller, and not cached. */
  readonly certainty?: Certainty;
}

/** `notify` and `orcpt` of one recipient, ready for the wire (RFC 3461); null where absent. */
export interface RecipientDsn {
  readonly notify: string | null;
  readonly orcpt: string | null;
}

/** One message to relay, checked and ready for the wire. */
export interface RelayJob {
  readonly slot: number;
  /** On the worker's clock; `Infinity` for none. */
  readonly deadlineMs: number;
  readonly from: string;
  readonly recipients: readonly string[];
  /** SIZE to declare, in octets; -1 where it is not known. */
  readonly sizeOctets: number;
  /**
   * `unused`: everything is ASCII. `if-offered`: domains of addresses are not, and go out as A-labels to a host without SMTPUTF8.
   * `required`: a local part is not, or the caller asked for it.
   */
  readonly smtputf8: "unused" | "if-offered" | "required";
  /** null: 8BITMIME where the peer offers it. */
  readonly body: "7bit" | "8bitmime" | "binarymime" | null;
  readonly requireTls: boolean;
  /** `FULL` or `HDRS`. */
  readonly ret: string | null;
  /** As xtext. */
  readonly envid: string | null;
  /** One for each recipient, or null where none was given. */
  readonly dsn: readonly RecipientDsn[] | null;
  /** On whose behalf, see client.ts; the empty string where nobody is known. */
  readonly client: string;
  /** Whose it is, see tenant.ts. */
  readonly tag: string;
  /** The whole content; null when it comes in parts, each asked for with `GatewayPort.wantContent`. */
  readonly content: Uint8Array | null;
}
