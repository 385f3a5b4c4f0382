/**
 * A transport for nodemailer: `relaypost/nodemailer`. nodemailer composes the message, a remote host relays it as it is composed,
 * and results and errors have the shape that nodemailer's own SMTP transport gives them.
 */
import type { Readable } from "node:stream";
import type { DsnParameters, Envelope, RecipientResult, RelayResult, Reply, RequestOptions } from "../api.js";
import { type ErrorCode, RelaypostError } from "../errors.js";
import type { RemoteHost } from "../remote-hosts.js";

/** What of nodemailer's message the transport reads. */
export interface ComposedMail {
  readonly data: {
    readonly signal?: AbortSignal | undefined;
    readonly dsn?: ComposedDsn | undefined;
    readonly requireTLSExtensionEnabled?: boolean | undefined;
  };
  readonly message: {
    getEnvelope(): { from: string | false; to: string[]; [key: string]: unknown };
    messageId(): string;
    createReadStream(): Readable;
  };
}

/** `dsn` of nodemailer's messages. */
export interface ComposedDsn {
  readonly ret?: string | null | undefined;
  readonly return?: string | undefined;
  readonly envid?: string | null | undefined;
  readonly id?: string | undefined;
  readonly notify?: string | string[] | null | undefined;
  readonly recipient?: string | undefined;
  readonly orcpt?: string | null | undefined;
}

/** What `sendMail()` resolves to: somebody has received the message. */
export interface SentInfo {
  envelope: { from: string | false; to: string[] };
  messageId: string;
  accepted: string[];
  /** Everybody else: refused, deferred or uncertain; see `rejectedErrors`. */
  rejected: string[];
  /** For each rejected recipient, why. Absent when there is none. */
  rejectedErrors?: SendError[];
  /** The reply that ended the transaction, or that of the first recipient who received it. */
  response: string;
}

/** What `sendMail()` rejects with, and what `rejectedErrors` holds. */
export interface SendError extends Error {
  /** One of nodemailer's codes, such as `EENVELOPE`. */
  code: string;
  /** The peer's reply. */
  response?: string;
  responseCode?: number;
  /** The same message would be refused again. */
  permanent?: boolean;
  /** What was answered: `CONN`, `AUTH`, `RCPT TO`, `DATA` or `API`. */
  command: string;
  recipient?: string;
  rejected?: string[];
  rejectedErrors?: SendError[];
  /** The message may have been delivered all the same: a blind retry may duplicate it. */
  uncertain?: boolean;
}

/** Options of {@link relaypostTransport}. */
export interface TransportOptions {
  /** The deadline of each message in milliseconds, waiting included. Default: none beyond the host's own timeouts. */
  timeoutMs?: number;
}

/** A transport as nodemailer takes it. */
export interface RelaypostTransport {
  readonly name: "relaypost";
  readonly version: string;
  readonly supportsAbortSignal: true;
  send(mail: ComposedMail, callback: (error: Error | null, info: SentInfo) => void): void;
}

/** Of this package. A bundle has no package.json to read it from; a test compares. */
const VERSION = "0.1.0";

/**
 * `nodemailer.createTransport(relaypostTransport(remotes.host("lmtp")))`.
 *
 * @param host an SMTP or LMTP host; the transport does not close it
 */
export function relaypostTransport(host: RemoteHost, options: TransportOptions = {}): RelaypostTransport {
  return {
    name: "relaypost",
    version: VERSION,
    supportsAbortSignal: true,
    send(mail, callback) {
      send(host, options, mail).then(
        (info) => callback(null, info),
        (error) => callback(error, undefined as never),
      );
    },
  };
}

async function send(host: RemoteHost, { timeoutMs }: TransportOptions, mail: ComposedMail): Promise<SentInfo> {
  const { signal } = mail.data;
  const { from, to, ...rest } = mail.message.getEnvelope();
  const messageId = mail.message.messageId();
  const options: RequestOptions = {
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
  const content = mail.message.createReadStream();
  let result: RelayResult;
  try {
    result = await host.relay(envelopeOf(mail, from, to, rest), content, options);
  } catch (error) {
    // A request that is refused at once leaves its content alone.
    content.destroy();
    throw notSent(error);
  }
  const accepted: string[] = [];
  const rejected: string[] = [];
  const rejectedErrors: SendError[] = [];
  let response: Reply | undefined;
  for (const recipient of result.recipients) {
    if (recipient.status === "delivered") {
      accepted.push(recipient.address);
      response ??= recipient.reply;
    } else {
      rejected.push(recipient.address);
      rejectedErrors.push(notDelivered(recipient, result, signal));
    }
  }
  if (accepted.length === 0) {
    throw nobody(rejected, rejectedErrors);
  }
  return {
    envelope: { from, to },
    messageId,
    accepted,
    rejected,
    ...(rejectedErrors.length === 0 ? {} : { rejectedErrors }),
    response: textOf(result.reply ?? response) ?? "",
  };
}

function envelopeOf(mail: ComposedMail, from: string | false, to: string[], rest: Record<string, unknown>): Envelope {
  const dsn = mail.data.dsn;
  return {
    from: from === false ? "" : from,
    to,
    ...(typeof rest.size === "number" && rest.size > 0 ? { size: rest.size } : {}),
    ...(mail.data.requireTLSExtensionEnabled === true ? { requireTls: true } : {}),
    ...(dsn === undefined ? {} : { dsn: dsnOf(dsn, to.length) }),
  };
}

/** nodemailer has one `notify` and one original recipient for all. What is wrong in them, `relay()` says. */
function dsnOf(dsn: ComposedDsn, recipients: number): DsnParameters {
  const ret = (dsn.ret ?? dsn.return ?? "").toLowerCase();
  const envid = dsn.envid ?? dsn.id;
  const words = typeof dsn.notify === "string" ? dsn.notify.split(",") : dsn.notify;
  const notify = words?.map((word) => word.trim().toLowerCase()) as "never"[] | undefined;
  const original = dsn.recipient ?? dsn.orcpt ?? "";
  const orcpt = original === "" || original.includes(";") ? original : `rfc822;${original}`;
  const each = { ...(notify === undefined ? {} : { notify }), ...(orcpt === "" ? {} : { orcpt }) };
  return {
    ...(ret === "" ? {} : { ret: ret === "hdrs" || ret === "headers" ? ("hdrs" as const) : ("full" as const) }),
    ...(envid ? { envid } : {}),
    recipients: Array.from({ length: recipients }, () => each),
  };
}

function notDelivered(recipient: RecipientResult, result: RelayResult, signal: AbortSignal | undefined): SendError {
  const { address, status, reply } = recipient;
  if (status === "uncertain") {
    const error = makeError(
      `Delivery to ${address} is uncertain: no verdict came, a retry may duplicate the message`,
      signal?.aborted === true ? "EABORT" : "ECONNECTION",
      "DATA",
      undefined,
      signal?.reason,
    );
    return Object.assign(error, { recipient: address, uncertain: true });
  }
  if (reply === undefined) {
    const message = `Not sent to ${address}: the rest of the message was not begun, another try may reach them`;
    return Object.assign(makeError(message, "ECONNECTION", "CONN", undefined), {
      recipient: address,
      permanent: false,
    });
  }
  // A reply that is not the whole message's is this recipient's own. LMTP gives such replies after the data, too.
  const isOwn = result.reply === undefined || textOf(result.reply) !== textOf(reply);
  const error = isOwn
    ? makeError("Recipient command failed", "EENVELOPE", "RCPT TO", reply)
    : makeError("Message failed", "EMESSAGE", "DATA", reply);
  return Object.assign(error, { recipient: address });
}

/** Nobody has received the message for certain. The error is that of the recipient for whom another try promises most. */
function nobody(rejected: string[], rejectedErrors: SendError[]): SendError {
  const telling =
    rejectedErrors.find(({ uncertain }) => uncertain) ??
    rejectedErrors.find(({ permanent }) => permanent === false) ??
    rejectedErrors.at(-1)!;
  const { code, command, response, responseCode, permanent, uncertain } = telling;
  const message =
    response === undefined ? telling.message : `Can't send mail - all recipients were rejected: ${response}`;
  return Object.assign(new Error(message, { cause: telling }) as SendError, {
    code,
    command,
    ...(response === undefined ? {} : { response }),
    ...(responseCode === undefined ? {} : { responseCode }),
    ...(permanent === undefined ? {} : { permanent }),
    ...(uncertain === true ? { uncertain } : {}),
    rejected,
    rejectedErrors,
  });
}

/** nodemailer's code, and the command that it names, for each of ours. What is not here is `ECONNECTION`, `CONN`. */
const CODES: Partial<Record<ErrorCode, readonly [code: string, command: string]>> = {
  DNS_FAILED: ["EDNS", "CONN"],
  CONNECT_FAILED: ["ESOCKET", "CONN"],
  CONNECT_TIMEOUT: ["ETIMEDOUT", "CONN"],
  COMMAND_TIMEOUT: ["ETIMEDOUT", "CONN"],
  DEADLINE_EXCEEDED: ["ETIMEDOUT", "API"],
  TLS_FAILED: ["ETLS", "CONN"],
  MISSING_STARTTLS: ["ETLS", "STARTTLS"],
  MISSING_AUTH: ["EAUTH", "API"],
  AUTH_FAILED: ["EAUTH", "AUTH"],
  TOKEN_FAILED: ["EAUTH", "API"],
  REMOTE_PROTOCOL: ["EPROTOCOL", "CONN"],
  MISSING_EXTENSION: ["EENVELOPE", "MAIL FROM"],
  REPLY_TRANSIENT: ["EENVELOPE", "MAIL FROM"],
  REPLY_PERMANENT: ["EENVELOPE", "MAIL FROM"],
  INVALID_ARGUMENT: ["EENVELOPE", "API"],
  CONTENT_FAILED: ["ESTREAM", "API"],
  ABORTED: ["EABORT", "API"],
  MAILBOX_FULL: ["EMAXLIMIT", "API"],
  NOT_SUPPORTED: ["ECONFIG", "API"],
};

/** Nobody has received the message. */
function notSent(error: unknown): Error {
  if (!(error instanceof RelaypostError)) {
    return error as Error;
  }
  const [code, command] = CODES[error.code] ?? ["ECONNECTION", "CONN"];
  const made = makeError(error.message, code, command, error.reply, error);
  if (code === "EABORT") {
    made.name = "AbortError";
  }
  return made;
}

function makeError(
  message: string,
  code: string,
  command: string,
  reply: Reply | undefined,
  cause?: unknown,
): SendError {
  const response = textOf(reply);
  const text = response === undefined ? message : `${message}: ${response}`;
  const error = new Error(text, cause === undefined ? undefined : { cause });
  return Object.assign(error, {
    code,
    command,
    ...(reply === undefined || response === undefined
      ? {}
      : { response, responseCode: reply.code, permanent: reply.code >= 500 && reply.code !== 503 }),
  });
}

/** As the peer wrote it, on one line. */
function textOf(reply: Reply | undefined): string | undefined {
  if (reply === undefined) {
    return undefined;
  }
  const { code, enhanced, text } = reply;
  return `${code} ${enhanced === undefined ? "" : `${enhanced} `}${text.replaceAll("\n", " ")}`;
}
