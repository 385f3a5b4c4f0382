/**
 * What a refusal of RCPT TO says: of the address, of a mailbox that exists, of us, or nothing. By RFC 5321 4.2 and 4.3.2 and RFC 3463,
 * whose enhanced codes are more exact where a host gives them. Asked by rcpt-batch.ts; told to users in docs/replies.md.
 */
import type { Reply } from "../../../src/api.js";
import type { MailboxState } from "../../../src/messages/contract.js";

/**
 * - `unknown`: nobody has this address.
 * - a {@link MailboxState}: somebody has it, and it takes no mail now.
 * - `policy`: about us, our message or the host's own state; it says nothing of the address.
 * - `none`: about the protocol; no verdict at all.
 */
export type RcptVerdict = "unknown" | MailboxState | "policy" | "none";

/** Codes of the protocol: the command was not understood, or not here. RFC 4954 6: 530 asks for authentication. */
const PROTOCOL_CODES = new Set([500, 502, 503, 504, 530, 555]);
/** RFC 3463 3.2, RFC 7505 4.1 (5.1.10): the address is wrong, unknown or moved away. */
const ADDRESS_STATUSES = new Set(["5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"]);
/** RFC 3463 3.3. What has no number of its own there keeps the mailbox from taking mail, as a disabled one. */
const MAILBOX_STATUSES: Readonly<Record<string, MailboxState>> = {
  "5.2.2": "full",
  "5.2.3": "too-large",
  "5.2.4": "list",
};
/** What a code says by itself (RFC 5321 4.2.3; RFC 7504 for 556); every other one is policy. */
const PLAIN_CODES: Readonly<Record<number, RcptVerdict>> = {
  501: "none",
  550: "unknown",
  551: "unknown",
  552: "full",
  553: "unknown",
  556: "unknown",
};

/** Debian's Exim, of every recipient that follows more than ten of which most were unknown. */
const TOO_MANY_UNKNOWN = /too many bad recipients/i;

/** @param reply one of 5yz */
export function judgeRefusal(reply: Reply): RcptVerdict {
  const { code, enhanced } = reply;
  if (PROTOCOL_CODES.has(code) || isTooManyUnknown(reply)) {
    return "none";
  }
  // RFC 7504: the host takes no mail at all.
  if (code === 521) {
    return "policy";
  }
  // 5.0.x says no more than the code does.
  if (enhanced === undefined || enhanced.startsWith("5.0.")) {
    return PLAIN_CODES[code] ?? "policy";
  }
  if (ADDRESS_STATUSES.has(enhanced)) {
    return "unknown";
  }
  if (enhanced.startsWith("5.2.")) {
    return MAILBOX_STATUSES[enhanced] ?? "disabled";
  }
  // Microsoft 365 and Outlook.com say so of mailboxes that they do not have.
  if (code === 550 && (enhanced === "5.4.1" || enhanced === "5.5.0")) {
    return "unknown";
  }
  if (enhanced === "5.5.2" || enhanced === "5.5.4" || (code === 501 && !enhanced.startsWith("5.1."))) {
    return "none";
  }
  return "policy";
}

/** Of such a reply: whether it speaks of the number of recipients, and not of a mailbox or of the host's disk (RFC 3463 3.6). */
export function isTransactionFull(enhanced: string | undefined): boolean {
  return enhanced === undefined || /^[45]\.5\.3$/.test(enhanced);
}

/**
 * RFC 5321 4.5.3.1.10: behind recipients that were accepted, 452 means that the transaction takes no more of them, and 552 is the older
 * way to say so, unless its enhanced code speaks of something else (5.2.2: of a full mailbox).
 */
export function isTooManyRecipients(code: number, enhanced: string | undefined): boolean {
  return code === 452 || (code === 552 && (enhanced === undefined || enhanced === "5.5.3"));
}

/** The host is tired of unknown recipients, and judges no more of them in this transaction. */
export function isTooManyUnknown({ enhanced, text }: Reply): boolean {
  return enhanced === undefined && TOO_MANY_UNKNOWN.test(text);
}
