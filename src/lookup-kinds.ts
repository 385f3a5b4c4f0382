/**
 * The table of lookup kinds: what a host can be asked, and all that follows from the kind alone. Types, the records between the
 * threads, counters, metrics, the command line and `forget()` derive from it, so that the compiler asks for what a new kind needs.
 */

interface KindEntry {
  /** Its number in the records between the threads. */
  readonly record: number;
  /** What an SMTP or LMTP session sends. */
  readonly command: string;
  /** The method of `RemoteHost` that asks. */
  readonly method: string;
  /** What the answer is about: `forget()` drops answers by it. */
  readonly subject: "recipient" | "username";
}

export const LOOKUPS = {
  rcpt: { record: 0, command: "RCPT", method: "verifyRecipient", subject: "recipient" },
  vrfy: { record: 1, command: "VRFY", method: "verify", subject: "recipient" },
  expn: { record: 2, command: "EXPN", method: "expand", subject: "recipient" },
  auth: { record: 3, command: "AUTH", method: "authenticate", subject: "username" },
} as const satisfies Readonly<Record<string, KindEntry>>;

/** What a lookup asks for. */
export type LookupKind = keyof typeof LOOKUPS;

/** What a lookup by address, name or list asks for. */
export type AddressLookupKind = {
  [Kind in LookupKind]: (typeof LOOKUPS)[Kind]["subject"] extends "recipient" ? Kind : never;
}[LookupKind];

export const LOOKUP_KINDS = Object.keys(LOOKUPS) as LookupKind[];

export const ADDRESS_LOOKUP_KINDS = LOOKUP_KINDS.filter(isAddressLookup);

function isAddressLookup(kind: LookupKind): kind is AddressLookupKind {
  return LOOKUPS[kind].subject === "recipient";
}
