/**
 * What became of a message through the gateway, as one record that holds all that is known of it: by its id it can be followed from the
 * client's reply to the host's. Serves relaying.ts.
 */
import type { Protocol, RecipientResult, RelayResult } from "../api.js";
import { RelaypostError } from "../errors.js";
import type { WriteLog } from "../runtime/log.js";
import type { HostTls } from "./host-tls.js";
import type { Transaction } from "./transaction.js";
import type { GatewayReply } from "./verdict.js";
import { hostWords, logged } from "./wording.js";

/** More recipients are counted and not listed. */
const MOST_LISTED = 1_000;

/** A message whose client has been given its reply. */
export interface RelayedMessage {
  readonly transaction: Transaction;
  readonly hostId: string;
  readonly protocol: Protocol;
  readonly client: string;
  /** TLS of the client's connection, such as `TLSv1.3`; `undefined` without. */
  readonly clientTls: string | undefined;
  readonly user: string | undefined;
  readonly octets: number;
  readonly messageId: string | undefined;
  /** In the queue of the host, until its content was wanted; `undefined`: it never was. */
  readonly queueMs: number | undefined;
  /** The whole relay, from the end of the queue to the verdict. */
  readonly relayMs: number;
  /** What the client was told; one for each recipient in LMTP. */
  readonly replies: readonly GatewayReply[];
  /** What the host said, or why there is nothing that it said. */
  readonly outcome: RelayResult | { readonly error: unknown };
}

/** The log of one gateway's messages. */
export class MessageLog {
  readonly #log: WriteLog;
  readonly #listener: string;
  readonly #tls: HostTls;

  constructor(log: WriteLog, listener: string, tls: HostTls) {
    this.#log = log;
    this.#listener = listener;
    this.#tls = tls;
  }

  /** One record, named by what is worst in it for the sender. */
  write(message: RelayedMessage): void {
    const { hostId, outcome, replies } = message;
    const fields = this.#fieldsOf(message);
    const statuses = "error" in outcome ? undefined : new Set(outcome.recipients.map(({ status }) => status));
    const isRefused = replies.every(({ code }) => code >= 500);
    if (statuses?.has("uncertain") === true) {
      this.#log("warn", "serve-uncertain", hostId, "a message may have been delivered, or not", fields);
    } else if (statuses?.has("deferred") === true || (statuses === undefined && !isRefused)) {
      this.#log("info", "serve-deferred", hostId, "a message was not taken for now", fields);
    } else if (statuses?.has("refused") === true || statuses === undefined) {
      this.#log("info", "serve-refused", hostId, "a message was refused", fields);
    } else {
      this.#log("info", "serve-relayed", hostId, "a message was relayed", fields);
    }
  }

  #fieldsOf(message: RelayedMessage): Record<string, unknown> {
    const { transaction, hostId, protocol, outcome, replies } = message;
    const { id, sender, sinceMs } = transaction;
    return {
      listener: this.#listener,
      id,
      client: message.client,
      clientTls: message.clientTls,
      user: message.user === undefined ? undefined : logged(message.user),
      sender: logged(sender.address),
      ...("error" in outcome ? notRelayed(transaction, outcome.error) : listOf(outcome.recipients, protocol)),
      octets: message.octets,
      messageId: message.messageId === undefined ? undefined : logged(message.messageId),
      queueMs: rounded(message.queueMs),
      relayMs: rounded(message.relayMs),
      totalMs: rounded(performance.now() - sinceMs),
      ...("error" in outcome
        ? {}
        : { connection: outcome.connection, tls: this.#tls.versionOf(hostId, outcome.connection) }),
      replies: [...new Set(replies.map(({ code, text }) => `${code} ${text}`))].slice(0, MOST_LISTED),
    };
  }
}

function listOf(recipients: readonly RecipientResult[], protocol: Protocol): Record<string, unknown> {
  const listed = recipients.slice(0, MOST_LISTED).map(({ address, status, reply }) => {
    return { recipient: logged(address), status, reply: logged(hostWords(reply, protocol)) };
  });
  return { recipients: listed, ...leftOut(recipients.length) };
}

/** Nobody has it. */
function notRelayed({ recipients }: Transaction, error: unknown): Record<string, unknown> {
  const listed = recipients.slice(0, MOST_LISTED).map(({ address }) => ({ recipient: logged(address) }));
  const code = error instanceof RelaypostError ? error.code : undefined;
  const cause = error instanceof Error ? error.message : String(error);
  return { recipients: listed, ...leftOut(recipients.length), code, cause: logged(cause) };
}

function leftOut(count: number): Record<string, unknown> {
  return count > MOST_LISTED ? { recipientsLeftOut: count - MOST_LISTED } : {};
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 10) / 10;
}
