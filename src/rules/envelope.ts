/**
 * What conditions are asked about: the keys of an envelope, the kind of value that each holds, and how two
 * values of a kind are compared. Conditions and lists compile against it; the evaluation reads envelopes through it.
 */
import { RelaypostError } from "../errors.js";
import { canonicalAddress } from "./ip-range.js";

/**
 * How values of a key are compared. `mailbox`: the domain without regard to case, the local part octet by octet
 * (RFC 5321 2.4). `domain`: without regard to case. `text`: octet by octet.
 */
export type KeyKind = "mailbox" | "domain" | "text" | "ip" | "integer";

/** Every key that `if` takes. */
export const KEY_KINDS = {
  rcpt: "mailbox",
  "rcpt-domain": "domain",
  sender: "mailbox",
  "sender-domain": "domain",
  "authenticated-as": "text",
  listener: "text",
  "remote-ip": "ip",
  "local-ip": "ip",
  mx: "domain",
  "helo-domain": "domain",
  priority: "integer",
} as const satisfies Record<string, KeyKind>;

/** A key that a condition may ask about. */
export type RuleKey = keyof typeof KEY_KINDS;

/**
 * What the gateway knows about a message or session, under the names that rules use. All fields are optional. A missing text is
 * empty, a missing IP address is in no range and on no list, and a missing `priority` is 0 (RFC 6710 4).
 */
export interface RuleEnvelope {
  /** Forward-path without angle brackets. */
  readonly rcpt?: string | undefined;
  /** Default: what follows the `@` of `rcpt`. */
  readonly "rcpt-domain"?: string | undefined;
  /** Reverse-path without angle brackets; empty for the null reverse-path. */
  readonly sender?: string | undefined;
  /** Default: what follows the `@` of `sender`. */
  readonly "sender-domain"?: string | undefined;
  /** The account that authenticated the session; empty for none. */
  readonly "authenticated-as"?: string | undefined;
  /** The gateway's own name for the listener that took the session. */
  readonly listener?: string | undefined;
  /** IPv4 or IPv6. An IPv4-mapped IPv6 address is the IPv4 address; a zone (`%eth0`) is ignored. */
  readonly "remote-ip"?: string | undefined;
  readonly "local-ip"?: string | undefined;
  /** The mail exchanger that the message is on its way to. */
  readonly mx?: string | undefined;
  /** What the client said in EHLO, HELO or LHLO. */
  readonly "helo-domain"?: string | undefined;
  /** MT-PRIORITY (RFC 6710), an integer. */
  readonly priority?: number | undefined;
}

/** A checked envelope: each key's value as given, and in the form that is compared. */
export interface EnvelopeValues {
  /** As the gateway gave it; what a remote host is asked about. */
  given(key: RuleKey): string;
  /** In the form that comparisons use: see {@link comparable}. Empty for an address that is not there. */
  compared(key: RuleKey): string;
}

/** Where the domain of a mailbox begins; -1 when it has none. An `@` within a quoted local part is not the one. */
function domainStart(mailbox: string): number {
  const at = mailbox.lastIndexOf("@");
  return at < 0 || mailbox.indexOf('"', at) >= 0 ? -1 : at + 1;
}

/** The domain of a mailbox; empty when it has none. */
function domainOf(mailbox: string): string {
  const start = domainStart(mailbox);
  return start < 0 ? "" : mailbox.slice(start);
}

/** A whole value in the form in which values of its kind are equal when their octets are. */
export function comparable(kind: KeyKind, value: string): string {
  if (kind === "domain") {
    return value.toLowerCase();
  }
  if (kind === "ip") {
    return canonicalAddress(value) ?? "";
  }
  if (kind !== "mailbox") {
    return value;
  }
  const start = domainStart(value);
  return start < 0 ? value : value.slice(0, start) + value.slice(start).toLowerCase();
}

/** Checks an envelope; anything ill-typed is INVALID_ARGUMENT before a single condition is looked at. */
export function readEnvelope(envelope: RuleEnvelope): EnvelopeValues {
  if (typeof envelope !== "object" || envelope === null) {
    throw invalid("the envelope of a rule is an object");
  }
  const given = new Map<RuleKey, string>();
  for (const [key, value] of Object.entries(envelope)) {
    if (!Object.hasOwn(KEY_KINDS, key)) {
      throw invalid(`an envelope has no "${key}"; it has ${Object.keys(KEY_KINDS).join(", ")}`);
    }
    if (value !== undefined) {
      given.set(key as RuleKey, readValue(key as RuleKey, value));
    }
  }
  const defaults: Partial<Record<RuleKey, string>> = {
    "rcpt-domain": domainOf(given.get("rcpt") ?? ""),
    "sender-domain": domainOf(given.get("sender") ?? ""),
    priority: "0",
  };
  const compared = new Map<RuleKey, string>();
  const givenOf = (key: RuleKey) => given.get(key) ?? defaults[key] ?? "";
  return {
    given: givenOf,
    compared(key) {
      const value = compared.get(key) ?? comparable(KEY_KINDS[key], givenOf(key));
      compared.set(key, value);
      return value;
    },
  };
}

function readValue(key: RuleKey, value: unknown): string {
  const kind = KEY_KINDS[key];
  if (kind === "integer") {
    if (!Number.isSafeInteger(value)) {
      throw invalid(`${key} of an envelope is an integer`);
    }
    return String(value);
  }
  if (typeof value !== "string") {
    throw invalid(`${key} of an envelope is a string`);
  }
  // What ends a command on the wire must not travel inside a value: a remote list may be asked about it.
  if (/[\r\n\0]/.test(value)) {
    throw invalid(`${key} of an envelope holds CR, LF or NUL`);
  }
  if (kind === "ip" && value !== "" && canonicalAddress(value) === undefined) {
    throw invalid(`${key} of an envelope is an IPv4 or IPv6 address`);
  }
  return value;
}

function invalid(message: string): RelaypostError {
  return new RelaypostError("INVALID_ARGUMENT", message);
}
