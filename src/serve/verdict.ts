/**
 * The gateway's replies to its client, made from the result for each recipient. LMTP has a reply for each recipient. SMTP has one for
 * all of them, which must claim nothing false. Used by gateway.ts.
 */
import { replyToHarvester, textOf } from "../adapters/replies.js";
import type { RecipientResult, RelayResult, Reply } from "../api.js";
import { type ErrorCode, RelaypostError } from "../errors.js";
import { oneLine, replyText } from "./maps.js";

/** A reply of the gateway: the text begins with an enhanced code. */
export interface GatewayReply {
  readonly code: number;
  readonly text: string;
}

/** Most recipients that a reply names. */
const MOST_NAMED = 5;

const PERMANENT: Partial<Record<ErrorCode, GatewayReply>> = {
  INVALID_ARGUMENT: { code: 554, text: "5.5.4 the envelope or a parameter is not valid" },
  MISSING_EXTENSION: { code: 554, text: "5.6.7 the next host lacks an extension that this message needs" },
};

const TEMPORARY: Partial<Record<ErrorCode, GatewayReply>> = {
  MAILBOX_FULL: { code: 452, text: "4.3.2 too much mail waits for the next host, try again later" },
  NOT_SUPPORTED: { code: 451, text: "4.3.5 this gateway is not set up for that" },
  LOOKUP_DISABLED: { code: 451, text: "4.3.5 this gateway is not set up for that" },
  UNKNOWN_HOST: { code: 451, text: "4.3.5 this gateway is not set up for that" },
  CONTENT_FAILED: { code: 451, text: "4.4.2 the message was not received in full" },
};

/** Nobody received it: what an error of `relay()`, of a lookup or of a rule says to the client. Details stay in the log. */
export function replyToError(error: unknown): GatewayReply {
  const harvester = replyToHarvester(error);
  if (harvester !== undefined) {
    return { code: harvester.code, text: textOf(harvester) };
  }
  const reply = error instanceof RelaypostError ? (PERMANENT[error.code] ?? TEMPORARY[error.code]) : undefined;
  return reply ?? { code: 451, text: "4.4.1 the next host gives no answer, try again later" };
}

/** LMTP's replies, in the order of the recipients. */
export function repliesOf({ recipients }: RelayResult): GatewayReply[] {
  return recipients.map(replyOf);
}

/**
 * SMTP's one reply. All delivered: 250. All refused: a refusal. Otherwise the client is told to try again, for the recipients who did
 * not get the message: 250 would lose it for them, and 5yz would report as lost what others have received.
 */
export function replyOfAll({ recipients }: RelayResult): GatewayReply {
  const of = (status: RecipientResult["status"]) => recipients.filter((each) => each.status === status);
  const delivered = of("delivered");
  if (delivered.length === recipients.length) {
    return replyOf(recipients[0]!);
  }
  const [uncertain, deferred, refused] = [of("uncertain"), of("deferred"), of("refused")];
  if (delivered.length === 0) {
    return replyOf((uncertain[0] ?? deferred[0] ?? refused[0])!);
  }
  const open = recipients.filter((each) => each.status !== "delivered");
  return {
    code: 451,
    text: oneLine(`4.3.0 delivered to ${namesOf(delivered)}; not to ${namesOf(open)}: ${replyOf(open[0]!).text}`),
  };
}

function replyOf({ status, reply }: RecipientResult): GatewayReply {
  switch (status) {
    case "delivered":
      return { code: 250, text: replyText(reply, "2.0.0", "delivered") };
    case "refused":
      return { code: codeOf(reply, 5) ?? 550, text: replyText(reply, "5.0.0", "refused by the next host") };
    case "deferred":
      // A message to many recipients was sent to others, and then the host could not be reached.
      if (reply === undefined) {
        return { code: 451, text: "4.4.1 not sent to this recipient yet, try again later" };
      }
      return { code: codeOf(reply, 4) ?? 451, text: replyText(reply, "4.0.0", "deferred by the next host") };
    case "uncertain":
      return { code: 451, text: "4.4.2 the next host was lost before it answered; the message may have arrived" };
  }
}

/** The peer's code where it may be handed on: 421 would end our own session, and 5yz to commands speaks of them. */
function codeOf(reply: Reply | undefined, first: 4 | 5): number | undefined {
  const code = reply?.code ?? 0;
  const speaksOfMail = [450, 451, 452, 455, 550, 551, 552, 553, 554, 555, 556].includes(code);
  return speaksOfMail && Math.floor(code / 100) === first ? code : undefined;
}

function namesOf(recipients: readonly RecipientResult[]): string {
  const named = recipients.slice(0, MOST_NAMED).map(({ address }) => address);
  const left = recipients.length - named.length;
  return `${named.join(", ")}${left > 0 ? ` and ${left} more` : ""}`;
}
