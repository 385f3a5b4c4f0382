/** Failures that more than one of the works on an SMTP session ends with. */
import type { Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import type { ReplyView } from "./reply.js";

/** 421: the peer closes the connection (RFC 5321 3.8). */
export function goodbye(reply: Reply): Failure {
  return { code: "HOST_UNAVAILABLE", message: "The peer is closing the connection (421).", reply };
}

/** A reply that the command cannot have. */
export function senseless(command: string, reply: ReplyView): Failure {
  return { code: "REMOTE_PROTOCOL", message: `The peer's reply to ${command} makes no sense.`, reply: reply.copy() };
}

/** A definite no answer to a lookup, with the words of the host. */
export function noAnswer(what: string, reply: Reply): Failure {
  const code = reply.code >= 500 ? "REPLY_PERMANENT" : reply.code >= 400 ? "REPLY_TRANSIENT" : "REMOTE_PROTOCOL";
  return { code, message: `${what}: ${reply.code} ${reply.text.slice(0, 200)}`, reply };
}

/** The site says that this reply tells nothing (`remote.<id>.replies`), even one that seems to. */
export function noMeaning(what: string, reply: Reply): Failure {
  return reply.code < 400 ? { ...noAnswer(what, reply), code: "REPLY_PERMANENT" } : noAnswer(what, reply);
}

/** RFC 6531 3.1: such an address cannot be said to this host. */
export const NEEDS_SMTPUTF8: Failure = {
  code: "MISSING_EXTENSION",
  message: "The address is not ASCII, has no ASCII form, and the host does not offer SMTPUTF8.",
};

export const GIVEN_UP: Failure = { code: "ABORTED", message: "The request was given up." };

/** What ends a connection that has content on it whose request was given up: nothing else keeps it from being delivered. */
export const DROPPED: Failure = {
  code: "REMOTE_CLOSED",
  message: "The connection was dropped: a message on it was given up.",
};

export function bdatUnknown(reply: Reply): Failure {
  const message = "The peer advertises CHUNKING and refuses BDAT. Nothing was delivered.";
  return { code: "REMOTE_PROTOCOL", message, reply };
}

/** The peer has said something that no command asked for. */
export function unsolicited(reply: Reply): Failure {
  if (reply.code === 421) {
    return goodbye(reply);
  }
  return { code: "REMOTE_PROTOCOL", message: "The peer sent a reply that nothing waits for.", reply };
}
