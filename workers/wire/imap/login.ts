/**
 * One login on an IMAP connection, for session.ts: what to write after the tag, how to answer each continuation request, and what the
 * tagged reply means. AUTHENTICATE with the strongest SASL mechanism, else the LOGIN command where it may be used.
 */
import type { Reply } from "../../../src/api.js";
import type { HostSettings } from "../../../src/config/settings.js";
import { type Failure, isFailure } from "../../../src/errors.js";
import type { Answer, UserCredentials } from "../../../src/messages/contract.js";
import type { HostLog } from "../../../src/messages/host-log.js";
import type { ReplyRules } from "../reply-rules.js";
import { chooseExchange } from "../sasl/choose.js";
import { isRefusal, readChallenge, type SaslExchange } from "../sasl/exchange.js";
import { withholdCredentials } from "../sasl/withhold.js";
import type { ImapPeerMemory } from "./peer-memory.js";
import type { ImapResponse } from "./response.js";

/** A status response. */
export type ImapStatus = Extract<ImapResponse, { kind: "status" }>;

/** What a login is started on. */
export interface ImapLoginChannel {
  readonly settings: HostSettings;
  readonly isSecure: boolean;
  /** In upper case. */
  readonly capabilities: ReadonlySet<string>;
  readonly randomBytes: (octets: number) => Uint8Array;
  readonly peer: ImapPeerMemory;
  readonly log: HostLog;
  /** `remote.<id>.replies`, if there are any. */
  readonly replyRules: ReplyRules | undefined;
}

/** How a login ended. */
export interface ImapVerdict {
  readonly result: Answer | Failure;
  /**
   * `authenticated`: the connection is the user's now. `usable`: it is as it was. `broken`: nothing more should be asked of this peer.
   * `again`: it is as it was, nothing of the credentials was shown, and the same login may be started anew: it goes another way now.
   * `result` is what is told where the connection may take no more commands.
   */
  readonly connection: "authenticated" | "usable" | "broken" | "again";
}

/** One login. Whatever it gives to be written is complete with its CRLF. */
export interface ImapLogin {
  /** What follows the tag. */
  readonly command: Uint8Array;
  /** Whether an octet of the credentials was given out to be written: from then on the login is never retried. */
  readonly hasWrittenCredentials: boolean;
  /** The answer to a continuation request; null where none can be due. */
  respond(text: string): Uint8Array | null;
  /** What the tagged reply means. */
  conclude(status: ImapStatus): ImapVerdict;
  /** A text of the peer without the credentials that it may repeat. */
  withhold(text: string): string;
}

/** The code is not there, or it says that these credentials are not right ("Meaning of replies"; RFC 5530 3). */
const REFUSED_CODES = new Set([null, "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED"]);
const TEMPORARY_CODES = new Set(["UNAVAILABLE", "LIMIT", "INUSE", "SERVERBUG"]);

/** Starts a login, or says why none is possible on this connection. */
export function startImapLogin(credentials: UserCredentials, channel: ImapLoginChannel): ImapLogin | Failure {
  const { settings, capabilities, isSecure, randomBytes, peer } = channel;
  const mayLogin = mayUseLogin(credentials, channel);
  if (mayLogin && peer.refusesAuthenticate) {
    return new CommandLogin(credentials, channel);
  }
  const offered = [...capabilities].filter((name) => name.startsWith("AUTH=")).map((name) => name.slice(5));
  const exchange = chooseExchange(offered, credentials, {
    isSecure,
    allowPlaintext: settings.allowPlaintextAuth,
    randomBytes,
    host: settings.address,
    port: settings.port,
  });
  if (!isFailure(exchange)) {
    return new SaslLogin(exchange, credentials, channel);
  }
  return exchange.code === "MISSING_AUTH" && mayLogin ? new CommandLogin(credentials, channel) : exchange;
}

function mayUseLogin(credentials: UserCredentials, { settings, capabilities, isSecure }: ImapLoginChannel): boolean {
  const mayShowSecret = isSecure || settings.allowPlaintextAuth;
  return mayShowSecret && !credentials.isToken && !capabilities.has("LOGINDISABLED");
}

/** AUTHENTICATE (RFC 9051 6.2.2). */
class SaslLogin implements ImapLogin {
  readonly command: Uint8Array;
  hasWrittenCredentials = false;
  private state: "start" | "running" | "cancelled" = "start";
  private refusal = "";
  /** An initial response went out with the command, and nothing since. */
  private isInitial: boolean;
  readonly #exchange: SaslExchange;
  readonly #credentials: UserCredentials;
  readonly #sent: string[] = [];

  constructor(
    exchange: SaslExchange,
    credentials: UserCredentials,
    private readonly channel: ImapLoginChannel,
  ) {
    this.#exchange = exchange;
    this.#credentials = credentials;
    const { capabilities, peer } = channel;
    const hasInitialResponse = capabilities.has("SASL-IR") && !peer.refusesInitialResponse;
    const initial = hasInitialResponse ? exchange.initialResponse() : null;
    this.isInitial = initial !== null;
    // RFC 4959 3: an initial response that is empty is written "=".
    const suffix = initial === null ? "" : ` ${this.encode(initial) || "="}`;
    if (initial !== null) {
      this.state = "running";
    }
    this.command = Buffer.from(`AUTHENTICATE ${exchange.mechanism}${suffix}\r\n`);
  }

  respond(text: string): Uint8Array | null {
    if (this.state === "cancelled") {
      return null;
    }
    this.isInitial = false;
    const challenge = readChallenge(text, this.#exchange);
    if (isRefusal(challenge)) {
      return this.cancel(challenge.refusal);
    }
    const initial = this.state === "start" ? this.#exchange.initialResponse() : null;
    this.state = "running";
    if (initial !== null && challenge.length > 0) {
      return this.cancel(`the server sent a challenge where ${this.#exchange.mechanism} begins with the client`);
    }
    const response = initial ?? this.#exchange.respond(challenge);
    if (isRefusal(response)) {
      return this.cancel(response.refusal);
    }
    return Buffer.from(`${this.encode(response)}\r\n`);
  }

  conclude(status: ImapStatus): ImapVerdict {
    if (this.state === "cancelled") {
      return breach(`The login was broken off: ${this.refusal}.`);
    }
    const reply = replyOf(status, (text) => this.withhold(text));
    if (status.condition === "OK") {
      if (this.#exchange.acceptSuccess(null)) {
        return accept(reply);
      }
      return breach(
        "The server reported success before the exchange was complete and its own proof, if any, was given.",
      );
    }
    if (status.condition === "BAD") {
      const detour = this.detour(reply);
      if (detour !== undefined) {
        return detour;
      }
    }
    return refuse(status, reply, this.hasWrittenCredentials, this.channel);
  }

  /** BAD says that the server does not know what it was told, whatever it advertises: it is told otherwise from now on. */
  private detour(reply: Reply): ImapVerdict | undefined {
    const { peer, log } = this.channel;
    if (this.isInitial) {
      peer.initialResponseRefused(log);
      const message = `The server advertises SASL-IR and does not know it: ${reply.text}. Another try goes without it.`;
      return { result: { code: "REPLY_TRANSIENT", message, reply }, connection: "usable" };
    }
    if (this.state === "start" && mayUseLogin(this.#credentials, this.channel)) {
      peer.authenticateRefused(log);
      const message = `The server advertises AUTHENTICATE and does not know it: ${reply.text}. Another try uses LOGIN.`;
      return { result: { code: "REPLY_TRANSIENT", message, reply }, connection: "again" };
    }
    return undefined;
  }

  withhold(text: string): string {
    return withholdCredentials(text, this.#credentials, this.#sent);
  }

  private cancel(reason: string): Uint8Array {
    this.state = "cancelled";
    this.refusal = reason;
    return Buffer.from("*\r\n");
  }

  private encode(response: Uint8Array): string {
    this.hasWrittenCredentials = true;
    const line = Buffer.from(response).toString("base64");
    this.#sent.push(line);
    return line;
  }
}

/** The LOGIN command (RFC 9051 6.2.3), for servers without a usable SASL mechanism. */
class CommandLogin implements ImapLogin {
  readonly #credentials: UserCredentials;
  /** What is written in turn: each but the last ends with the announcement of a literal, which the server must ask for. */
  readonly #parts: readonly Buffer[];
  private written = 1;

  constructor(
    credentials: UserCredentials,
    private readonly channel: ImapLoginChannel,
  ) {
    this.#credentials = credentials;
    this.#parts = encodeLogin(credentials, channel.capabilities);
  }

  get command(): Uint8Array {
    return this.#parts[0] ?? new Uint8Array(0);
  }

  get hasWrittenCredentials(): boolean {
    // A first part that announces the user name as a literal shows nothing of it.
    return this.written > 1 || !/^LOGIN \{[0-9]+\}\r\n$/.test(this.command.toString());
  }

  respond(_text: string): Uint8Array | null {
    const part = this.#parts[this.written];
    if (part === undefined) {
      return null;
    }
    this.written++;
    return part;
  }

  conclude(status: ImapStatus): ImapVerdict {
    const reply = replyOf(status, (text) => this.withhold(text));
    const isComplete = this.written === this.#parts.length;
    if (status.condition !== "OK") {
      return refuse(status, reply, isComplete, this.channel);
    }
    return isComplete ? accept(reply) : breach("The server reported success before it was given the credentials.");
  }

  withhold(text: string): string {
    return withholdCredentials(text, this.#credentials);
  }
}

/** Cut where a synchronising literal (RFC 9051 4.3) makes the client wait. */
function encodeLogin(credentials: UserCredentials, capabilities: ReadonlySet<string>): Buffer[] {
  const parts: Buffer[] = [];
  let part: Buffer = Buffer.from("LOGIN");
  for (const argument of [credentials.username, credentials.secret]) {
    const octets = Buffer.from(argument);
    // Longer ones might be past what a server takes for one line (RFC 7162 4).
    if (/^[\x20-\x7e]{0,1000}$/.test(argument)) {
      const quoted = argument.replace(/["\\]/g, "\\$&");
      part = Buffer.concat([part, Buffer.from(` "${quoted}"`)]);
      continue;
    }
    // RFC 7888: LITERAL+ never waits, LITERAL- not for up to 4096 octets.
    const isImmediate = capabilities.has("LITERAL+") || (capabilities.has("LITERAL-") && octets.length <= 4096);
    part = Buffer.concat([part, Buffer.from(` {${octets.length}${isImmediate ? "+" : ""}}\r\n`)]);
    if (isImmediate) {
      part = Buffer.concat([part, octets]);
    } else {
      parts.push(part);
      part = octets;
    }
  }
  parts.push(Buffer.concat([part, Buffer.from("\r\n")]));
  return parts;
}

/** A reply as the rest of the house knows it (see {@link Reply.code}). */
export function replyOf({ condition, code, text }: ImapStatus, withhold = (text: string): string => text): Reply {
  const isTemporary = condition === "BYE" || (condition === "NO" && code !== null && TEMPORARY_CODES.has(code));
  const number =
    condition === "OK" || condition === "PREAUTH" ? 200 : isTemporary ? 400 : condition === "NO" ? 500 : 501;
  const reply = { code: number, text: withhold(text) };
  return code === null || code === "CAPABILITY" ? reply : { ...reply, enhanced: withhold(code) };
}

function accept(reply: Reply): ImapVerdict {
  return { result: { found: true, values: [], reply }, connection: "authenticated" };
}

/** NO or BAD. What came before the credentials were shown is no verdict on them. */
function refuse(status: ImapStatus, reply: Reply, wereShown: boolean, { replyRules }: ImapLoginChannel): ImapVerdict {
  const { condition, code } = status;
  const meaning = replyRules?.meaning("auth", reply);
  const isRefusal = meaning === undefined ? condition === "NO" && REFUSED_CODES.has(code) : meaning === "not-found";
  if (isRefusal && wereShown) {
    return { result: { found: false, values: [], reply }, connection: "usable" };
  }
  const shown = `${condition}${reply.enhanced === undefined ? "" : ` [${reply.enhanced}]`} ${reply.text}`;
  const message = `The server gave no verdict on the credentials: ${shown}`;
  return {
    result: { code: reply.code === 400 ? "REPLY_TRANSIENT" : "REPLY_PERMANENT", message, reply },
    connection: "usable",
  };
}

function breach(message: string): ImapVerdict {
  return { result: { code: "REMOTE_PROTOCOL", message }, connection: "broken" };
}
