/**
 * Handlers that make nodemailer's smtp-server a gateway: `relaypost/smtp-server`. One host checks passwords, one checks recipients, one
 * receives the messages (they may be the same host). The client is told what these hosts replied.
 */
import type { Readable } from "node:stream";
import type { Envelope, RecipientResult, RequestOptions } from "../api.js";
import type { RemoteHost } from "../remote-hosts.js";
import {
  type ClientReply,
  replyToLoginError,
  replyToLookupError,
  replyToMessage,
  replyToRecipient,
  replyToRefusedRecipient,
  replyToRelayError,
  textOf,
  WRONG_CREDENTIALS,
} from "./replies.js";
import { type ClientSession, clientOf } from "./session-client.js";

export { answerToTheEnd, type HalfOpenConnection, type HalfOpenServer } from "./half-open.js";

/** What of smtp-server's session the handlers read. */
export interface GatewaySession extends ClientSession {
  readonly envelope: {
    readonly mailFrom: GatewayAddress | false;
    readonly rcptTo: readonly GatewayAddress[];
    readonly requireTLS?: boolean | undefined;
    readonly smtpUtf8?: boolean | undefined;
    readonly bodyType?: string | undefined;
  };
}

/** An address of smtp-server's, with its parameters. */
export interface GatewayAddress {
  readonly address: string;
}

/** A message on its way; smtp-server marks one that is larger than its `size`. */
export type GatewayStream = Readable & { readonly sizeExceeded?: boolean };

/** What a client says about itself. */
export interface GatewayLogin {
  readonly method: string;
  readonly username?: string | undefined;
  readonly password?: string | null | undefined;
  readonly accessToken?: string | undefined;
}

/** Which host serves what. Handlers are made for those that are given. */
export interface SmtpServerHosts {
  /** Asked about credentials: an IMAP host, or an SMTP or LMTP host with AUTH. */
  readonly users?: RemoteHost;
  /** Asked about recipients. Needs `lookup = true`. */
  readonly recipients?: RemoteHost;
  /** Takes the messages. */
  readonly relay?: RemoteHost;
  /** Whose a session's recipients and messages are (`RequestOptions.tenant`), such as its user's. Default: nobody's. */
  readonly tenant?: (session: GatewaySession) => string | undefined;
  /** The deadline of each request, in milliseconds. Default: 60000 for questions, none for messages beyond the host's own timeouts. */
  readonly timeoutMs?: number;
  /**
   * Refuse every recipient but the first with 452, so that clients send a separate message to each (RFC 5321 4.5.3.1.10). Then each
   * recipient has a result of its own over plain SMTP, too. Not needed with LMTP.
   */
  readonly oneRecipient?: boolean;
  /**
   * Takes responsibility for the recipients who did not receive a message that others have received: sends a non-delivery report, for
   * example, or queues the message for them. If it resolves, the client is told 250. If it rejects, the client gets the reply that it
   * would have got without this function.
   */
  readonly onUndelivered?: (recipients: readonly RecipientResult[], session: GatewaySession) => Promise<void> | void;
}

/** How smtp-server is told; it writes an error's `responseCode` and message. */
type Outcome = (error?: Error | null) => void;
type DataOutcome = (error?: Error | null, message?: string | (string | Error)[]) => void;

/** What {@link smtpServerHandlers} makes. */
export interface GatewayHandlers {
  onAuth?(
    login: GatewayLogin,
    session: GatewaySession,
    callback: (error: Error | null | undefined, response?: { user?: unknown }) => void,
  ): void;
  onRcptTo?(address: GatewayAddress, session: GatewaySession, callback: (error?: Error | null) => void): void;
  onData?(stream: GatewayStream, session: GatewaySession, callback: DataOutcome): void;
}

const LOOKUP_TIMEOUT_MS = 60_000;
const TOO_LARGE: ClientReply = { code: 552, enhanced: "5.3.4", text: "The message is larger than this server allows" };

/**
 * Handlers for `new SMTPServer({ ...smtpServerHandlers({ users, recipients, relay }), … })`.
 *
 * Leave `hideENHANCEDSTATUSCODES` alone: the replies carry status codes of their own.
 */
export function smtpServerHandlers(hosts: SmtpServerHosts): GatewayHandlers {
  const { users, recipients, relay } = hosts;
  return {
    ...(users === undefined
      ? {}
      : { onAuth: (login, session, callback) => authenticate(hosts, users, login, session, callback) }),
    ...(recipients === undefined && hosts.oneRecipient !== true
      ? {}
      : {
          onRcptTo: (address: GatewayAddress, session: GatewaySession, callback: Outcome) =>
            verify(hosts, address, session, callback),
        }),
    ...(relay === undefined
      ? {}
      : {
          onData: (stream: GatewayStream, session: GatewaySession, callback: DataOutcome) =>
            void deliver(hosts, relay, stream, session).then(
              (outcome) => callback(null, outcome),
              (error) => callback(error),
            ),
        }),
  };
}

function authenticate(
  hosts: SmtpServerHosts,
  users: RemoteHost,
  { username = "", password, accessToken }: GatewayLogin,
  session: GatewaySession,
  callback: (error: Error | null | undefined, response?: { user?: unknown }) => void,
): void {
  const secret = accessToken ?? password;
  if (typeof secret !== "string") {
    // CRAM-MD5 does not show the password, so there is nothing to ask with.
    callback(asError({ code: 504, enhanced: "5.5.4", text: "This mechanism is not supported here" }));
    return;
  }
  const credentials = accessToken === undefined ? { username, secret } : { username, accessToken: secret };
  users.authenticate(credentials, lookupOptions(hosts, session)).then(
    ({ found }) => (found ? callback(null, { user: username }) : callback(asError(WRONG_CREDENTIALS))),
    (error) => callback(asError(replyToLoginError(error), error)),
  );
}

function verify(hosts: SmtpServerHosts, { address }: GatewayAddress, session: GatewaySession, callback: Outcome): void {
  if (hosts.oneRecipient === true && !isLmtp(session) && session.envelope.rcptTo.length > 0) {
    callback(asError({ code: 452, enhanced: "4.5.3", text: "One recipient at a time, please" }));
    return;
  }
  if (hosts.recipients === undefined) {
    callback();
    return;
  }
  hosts.recipients.checkRecipient(address, lookupOptions(hosts, session)).then(
    (answer) => (answer.found ? callback() : callback(asError(replyToRefusedRecipient(answer)))),
    (error) => callback(asError(replyToLookupError(error), error)),
  );
}

/** Resolves to the text behind 250, or for LMTP one text or error for each recipient. */
async function deliver(
  hosts: SmtpServerHosts,
  host: RemoteHost,
  stream: GatewayStream,
  session: GatewaySession,
): Promise<string | (string | Error)[]> {
  const options = {
    ...(hosts.timeoutMs === undefined ? {} : { timeoutMs: hosts.timeoutMs }),
    ...clientOf(session),
    ...tenantOf(hosts, session),
  };
  let recipients: readonly RecipientResult[];
  try {
    ({ recipients } = await host.relay(envelopeOf(session), untilDot(stream), options));
  } catch (error) {
    throw asError(stream.sizeExceeded === true ? TOO_LARGE : replyToRelayError(error), error);
  } finally {
    readOn(stream);
  }
  if (isLmtp(session)) {
    return recipients.map((recipient) => asOutcome(replyToRecipient(recipient)));
  }
  const reply = await settle(hosts, recipients, session);
  if (reply.code !== 250) {
    throw asError(reply);
  }
  return textOf(reply);
}

async function settle(
  { onUndelivered }: SmtpServerHosts,
  recipients: readonly RecipientResult[],
  session: GatewaySession,
): Promise<ClientReply> {
  const undelivered = recipients.filter(({ status }) => status !== "delivered");
  const reply = replyToMessage(recipients);
  if (onUndelivered === undefined || undelivered.length === 0 || undelivered.length === recipients.length) {
    return reply;
  }
  try {
    await onUndelivered(undelivered, session);
  } catch {
    return reply;
  }
  return { code: 250, enhanced: "2.0.0", text: "Accepted" };
}

/**
 * The client's message as content for `relay()`. smtp-server destroys the stream if the client disconnects, and marks it if the message
 * is larger than the server's `size`. In both cases nothing must be delivered.
 */
async function* untilDot(stream: GatewayStream): AsyncGenerator<Uint8Array> {
  try {
    // Not destroyed on the way out: smtp-server answers when what is left was read, too.
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      yield chunk;
    }
    if (stream.sizeExceeded === true) {
      throw new Error("the message is larger than the server allows");
    }
  } finally {
    readOn(stream);
  }
}

/**
 * Reads what is left of a message that is not wanted any more: smtp-server replies only after that. Not at once, because the
 * iterator removes its listener in a later tick, and the stream does not flow before.
 */
function readOn(stream: GatewayStream): void {
  setImmediate(() => stream.resume());
}

function envelopeOf({ envelope }: GatewaySession): Envelope {
  const { mailFrom, rcptTo, requireTLS, smtpUtf8, bodyType } = envelope;
  return {
    from: mailFrom === false ? "" : mailFrom.address,
    to: rcptTo.map(({ address }) => address),
    ...(requireTLS === true ? { requireTls: true } : {}),
    ...(smtpUtf8 === true ? { smtputf8: true } : {}),
    ...(bodyType === "8bitmime" ? { body: "8bitmime" as const } : {}),
  };
}

function isLmtp(session: GatewaySession): boolean {
  return session.transmissionType.includes("LMTP");
}

function lookupOptions(hosts: SmtpServerHosts, session: GatewaySession): RequestOptions {
  return { timeoutMs: hosts.timeoutMs ?? LOOKUP_TIMEOUT_MS, ...clientOf(session), ...tenantOf(hosts, session) };
}

function tenantOf({ tenant }: SmtpServerHosts, session: GatewaySession): Pick<RequestOptions, "tenant"> {
  const name = tenant?.(session);
  return name === undefined ? {} : { tenant: name };
}

function asOutcome(reply: ClientReply): string | Error {
  return reply.code === 250 ? textOf(reply) : asError(reply);
}

function asError(reply: ClientReply, cause?: unknown): Error & { responseCode: number } {
  const error = new Error(textOf(reply), cause === undefined ? undefined : { cause });
  return Object.assign(error, { responseCode: reply.code });
}
