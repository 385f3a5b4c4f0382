/**
 * Texts that others chose, as people may read them: on a terminal and in a record, control characters would let a peer or a client write
 * what is not so. Serves the daemon's log and the command line.
 */
import type { Protocol, Reply } from "../api.js";

/** A user's name or an address has at most 254 or 320 octets where it is one. */
const MOST_LOGGED = 320;

/** A peer's text as it may be shown on a terminal: control characters would let the peer write over the screen. */
export function shown(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) =>
    character === "\n" ? " / " : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** `550 5.1.1 no such user`. */
export function replyAsText(reply: Reply | undefined): string {
  if (reply === undefined) {
    return "";
  }
  return shown([reply.code, reply.enhanced, reply.text].filter((part) => part !== undefined && part !== "").join(" "));
}

/** `NO [AUTHENTICATIONFAILED] wrong password`: IMAP has no numbers on the wire; ours stand for its words. */
export function imapReplyAsText({ code, enhanced, text }: Reply): string {
  const word = code < 300 ? "OK" : code === 501 ? "BAD" : "NO";
  return shown([word, enhanced === undefined ? "" : `[${enhanced}]`, text].filter((part) => part !== "").join(" "));
}

/** A reply in the host's own words: with its numbers, or IMAP's word in their place. Empty when there was none. */
export function hostWords(reply: Reply | undefined, protocol: Protocol): string {
  if (reply === undefined) {
    return "";
  }
  return protocol === "imap" ? imapReplyAsText(reply) : replyAsText(reply);
}

/** A text that others chose, as a record may hold it: no longer than an address can be, and of one line. */
export function logged(text: string): string {
  // Cut before it is searched: the rest of a megabyte is not looked at.
  const head = text.length > MOST_LOGGED ? text.slice(0, MOST_LOGGED) : text;
  const line = shown(head);
  return head === text ? line : `${line}... (${text.length} characters)`;
}
