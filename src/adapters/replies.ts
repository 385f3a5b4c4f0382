/**
 * What a server that embeds relaypost replies to its own client: results and errors as SMTP replies, by the same rules for all adapters.
 * Used by smtp-server.ts and haraka.ts.
 */
import type { LookupAnswer, MailboxState, RecipientResult, Reply } from "../api.js";
import { type ErrorCode, RelaypostError } from "../errors.js";

/** A reply to the client. `text` is one line and holds no codes. */
export interface ClientReply {
  readonly code: number;
  /** Enhanced status code (RFC 3463). */
  readonly enhanced: string;
  readonly text: string;
}

/** Errors that another try of the client cannot mend: the message, or our configuration, is at fault. */
const PERMANENT: Partial<Record<ErrorCode, ClientReply>> = {
  INVALID_ARGUMENT: { code: 553, enhanced: "5.1.3", text: "An address cannot be relayed" },
  MISSING_EXTENSION: { code: 554, enhanced: "5.6.3", text: "The destination cannot take this kind of message" },
  REPLY_PERMANENT: { code: 554, enhanced: "5.0.0", text: "The destination refused the transaction" },
};

/** A mailbox that exists and takes no mail now, as RFC 3463 3.3 numbers it. */
const MAILBOX_REPLIES: Readonly<Record<MailboxState, ClientReply>> = {
  full: { code: 552, enhanced: "5.2.2", text: "The mailbox is full" },
  disabled: { code: 550, enhanced: "5.2.1", text: "The mailbox is disabled" },
  "too-large": { code: 552, enhanced: "5.2.3", text: "The message is too large for the mailbox" },
  list: { code: 550, enhanced: "5.2.4", text: "The mailing list cannot be expanded" },
};

/** The recipient does not exist, or takes no mail. The host's own status code is passed on where it says why. */
export function replyToRefusedRecipient({ reply, mailbox }: Pick<LookupAnswer, "reply" | "mailbox">): ClientReply {
  if (mailbox !== undefined) {
    const known = MAILBOX_REPLIES[mailbox];
    return { ...known, text: lineOf(reply) ?? known.text };
  }
  const enhanced = enhancedOf(reply, "5") ?? "5.1.1";
  return { code: 550, enhanced, text: lineOf(reply) ?? "No such recipient here" };
}

const HARVESTER: ClientReply = {
  code: 450,
  enhanced: "4.7.1",
  text: "Too many recipients that do not exist, try again later",
};

/** What a client is told that is suspected of trying out addresses (`lookups.harvest`); `undefined`: the error is another one. */
export function replyToHarvester(error: unknown): ClientReply | undefined {
  const { code, cause } = error instanceof RelaypostError ? error : { code: undefined, cause: undefined };
  const why = code === "RULE_FAILED" && cause instanceof RelaypostError ? cause.code : code;
  return why === "HARVEST_SUSPECTED" ? HARVESTER : undefined;
}

/** A recipient could not be checked. */
export function replyToLookupError(error: unknown): ClientReply {
  const harvester = replyToHarvester(error);
  if (harvester !== undefined) {
    return harvester;
  }
  if (error instanceof RelaypostError && error.code === "INVALID_ARGUMENT") {
    return PERMANENT.INVALID_ARGUMENT!;
  }
  return { code: 451, enhanced: "4.4.3", text: "The recipient cannot be checked now, try again later" };
}

/** The user's credentials are wrong. */
export const WRONG_CREDENTIALS: ClientReply = {
  code: 535,
  enhanced: "5.7.8",
  text: "Authentication credentials invalid",
};

/** Credentials could not be checked: no client may take that for a wrong password. */
export function replyToLoginError(error: unknown): ClientReply {
  if (error instanceof RelaypostError && error.code === "INVALID_ARGUMENT") {
    return WRONG_CREDENTIALS;
  }
  return { code: 454, enhanced: "4.7.0", text: "Temporary authentication failure, try again later" };
}

/** A message was not relayed to anybody. */
export function replyToRelayError(error: unknown): ClientReply {
  const temporary = { code: 451, enhanced: "4.4.1", text: "The message cannot be relayed now, try again later" };
  if (!(error instanceof RelaypostError) || error.retryable) {
    return temporary;
  }
  return PERMANENT[error.code] ?? { ...temporary, enhanced: "4.3.0" };
}

/** One recipient's verdict. */
export function replyToRecipient({ status, reply }: RecipientResult): ClientReply {
  switch (status) {
    case "delivered":
      return { code: 250, enhanced: enhancedOf(reply, "2") ?? "2.0.0", text: lineOf(reply) ?? "Delivered" };
    case "refused":
      return {
        code: codeOf(reply, 500) ?? 550,
        enhanced: enhancedOf(reply, "5") ?? "5.0.0",
        text: lineOf(reply) ?? "Refused",
      };
    case "deferred":
      // A message to many recipients was sent to others, and then the host could not be reached.
      if (reply === undefined) {
        return { code: 451, enhanced: "4.4.1", text: "Not sent to this recipient yet, try again later" };
      }
      return {
        code: codeOf(reply, 400) ?? 451,
        enhanced: enhancedOf(reply, "4") ?? "4.0.0",
        text: lineOf(reply) ?? "Deferred",
      };
    case "uncertain":
      return {
        code: 451,
        enhanced: "4.4.2",
        text: "Delivery is uncertain: the connection was lost; another try may duplicate",
      };
  }
}

/**
 * The one reply that SMTP allows for a message to several recipients. It loses no mail and claims nothing false:
 *
 * - all delivered: 250;
 * - some deferred or uncertain: 451, since another try may still reach them. Those who have the message may get it twice;
 * - some refused and none deferred: a permanent reply. If others have the message, it names both groups, so that the
 *   non-delivery report which the client sends is true.
 */
export function replyToMessage(recipients: readonly RecipientResult[]): ClientReply {
  const of = (status: RecipientResult["status"]) => recipients.filter((recipient) => recipient.status === status);
  const delivered = of("delivered");
  if (delivered.length === recipients.length) {
    return replyToRecipient(recipients[0]!);
  }
  const [waiting] = [...of("uncertain"), ...of("deferred")];
  if (waiting !== undefined) {
    return { ...replyToRecipient(waiting), code: 451 };
  }
  const refused = of("refused");
  if (delivered.length === 0) {
    return replyToRecipient(refused[0]!);
  }
  const text = `Refused for ${namesOf(refused)}; delivered to ${namesOf(delivered)}`;
  return { code: 554, enhanced: replyToRecipient(refused[0]!).enhanced, text };
}

/** The reply as it stands behind its code. */
export function textOf({ enhanced, text }: ClientReply): string {
  return `${enhanced} ${text}`;
}

/** As many as a line holds. */
function namesOf(recipients: readonly RecipientResult[]): string {
  let names = "";
  for (const [index, { address }] of recipients.entries()) {
    if (names.length + address.length > 150) {
      return `${names} and ${recipients.length - index} more`;
    }
    names += `${index === 0 ? "" : ", "}<${address}>`;
  }
  return names;
}

function codeOf(reply: Reply | undefined, hundred: 400 | 500): number | undefined {
  // 421 and 521 speak of the connection that they come on, which is not the client's.
  if (reply === undefined || reply.code < hundred || reply.code >= hundred + 100) {
    return undefined;
  }
  return reply.code === 421 || reply.code === 521 ? undefined : reply.code;
}

/** IMAP's response codes are no status codes. */
function enhancedOf(reply: Reply | undefined, kind: "2" | "4" | "5"): string | undefined {
  const enhanced = reply?.enhanced;
  return enhanced?.startsWith(`${kind}.`) === true ? enhanced : undefined;
}

/** The first line, without what a log or a terminal could stumble over. */
function lineOf(reply: Reply | undefined): string | undefined {
  const [line = ""] = (reply?.text ?? "").split("\n", 1);
  const shown = line.replace(/[^\x20-\x7e]/g, "?").trim();
  return shown === "" ? undefined : shown.slice(0, 400);
}
