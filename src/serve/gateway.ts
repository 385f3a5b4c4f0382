/**
 * The reference gateway: receives SMTP or LMTP, lets rules choose the host and whether recipients are verified, and relays. The client
 * is told 250 only when the host has said so. Made by listener.ts; verdict.ts makes the client's reply from the result.
 */
import {
  SMTPServer,
  type SMTPServerAddress,
  type SMTPServerAuthentication,
  type SMTPServerDataStream,
  type SMTPServerSession,
} from "smtp-server";
import type { LookupAnswer } from "../api.js";
import { RelaypostError } from "../errors.js";
import type { RemoteHosts } from "../remote-hosts.js";
import type { RuleEnvelope } from "../rules/envelope.js";
import type { RuleSet } from "../rules/rule-set.js";
import type { WriteLog } from "../runtime/log.js";
import { bind } from "./bind.js";
import {
  disabledInClear,
  optionsOf,
  outgoing,
  recipientMistake,
  senderMistake,
  traceLine,
} from "./gateway-envelope.js";
import { describeListenAddress, type ListenAddress } from "./listen-address.js";
import type { LogThrottle } from "./log-throttle.js";
import type { LoginLog } from "./login-log.js";
import { MailContent } from "./mail-content.js";
import { replyText } from "./maps.js";
import type { GatewaySettings, Ruled } from "./settings.js";
import { type GatewayReply, repliesOf, replyOfAll, replyToError } from "./verdict.js";
import { hostWords } from "./wording.js";

/** A client that waits for the reply to RCPT or AUTH has minutes; nobody wants to wait so long. */
const LOOKUP_TIMEOUT_MS = 30_000;

const LOGIN_FIRST: GatewayReply = { code: 530, text: "5.7.0 authentication required" };

/** What the gateway works with. */
export interface GatewaySources {
  readonly remotes: RemoteHosts;
  /** The rules as they stand now. */
  readonly rules: () => RuleSet;
  /** Whether a host has `lookup = true` now. */
  readonly canLookUp: (hostId: string) => boolean;
  readonly log: WriteLog;
  readonly throttle: LogThrottle;
  readonly logins: LoginLog;
  readonly tellFailure: (hostId: string | undefined, error: unknown) => void;
}

/** One mail transaction: every accepted RCPT, duplicates kept, and the host that all of them go to. */
interface Transaction {
  readonly hostId: string;
  readonly recipients: SMTPServerAddress[];
}

/** What smtp-server turns into a reply. */
function replyError({ code, text }: GatewayReply): Error & { responseCode: number } {
  return Object.assign(new Error(text), { responseCode: code });
}

/** One listener. */
export class Gateway {
  readonly #server: SMTPServer;
  readonly #settings: GatewaySettings;
  readonly #sources: GatewaySources;
  /** By the address of MAIL, which is a new object for each transaction. */
  readonly #transactions = new WeakMap<object, Transaction>();
  /** Sessions with a message on its way. */
  readonly #relaying = new Set<string>();
  #whenQuiet: (() => void) | undefined;

  constructor(settings: GatewaySettings, sources: GatewaySources) {
    this.#settings = settings;
    this.#sources = sources;
    this.#server = new SMTPServer({
      ...optionsOf(settings),
      onAuth: (auth, session, done) => {
        this.#authenticate(auth, session).then(
          (user) => done(null, { user }),
          (error: Error) => done(error),
        );
      },
      onConnect: (session, done) => {
        if (!session.secure) {
          session.disabledCommands = disabledInClear(settings);
        }
        done();
      },
      onSecure: (_socket, session, done) => {
        session.disabledCommands = settings.auth === undefined ? ["AUTH"] : [];
        done();
      },
      onMailFrom: (address, session, done) => {
        const mustLogIn = settings.auth?.isRequired === true && typeof session.user !== "string";
        const mistake = mustLogIn ? LOGIN_FIRST : senderMistake(address.address);
        done(mistake === undefined ? null : replyError(mistake));
      },
      onRcptTo: (address, session, done) => {
        this.#acceptRecipient(address, session).then(() => done(), done);
      },
      onData: (stream, session, done) => {
        this.#relay(stream, session).then(
          // An array has a reply for each recipient in LMTP; smtp-server takes one message for SMTP.
          (replies) => {
            const worded = replies.map((reply) => (reply.code === 250 ? reply.text : replyError(reply)));
            if (settings.protocol === "lmtp") {
              done(null, worded);
            } else if (worded[0] instanceof Error) {
              done(worded[0]);
            } else {
              done(null, worded[0] as string);
            }
          },
          (error: Error) => done(error),
        );
      },
    });
    // smtp-server counts them too, and says 421 past the limit.
    this.#server.server.on("connection", () => {
      if (this.#server.connections.size < settings.clients) {
        return;
      }
      const message = `a client was turned away: there are ${settings.clients} (limits.clients)`;
      this.#sources.throttle.warn("serve-clients-limit", message);
    });
    this.#server.on("error", (error) => {
      this.#sources.throttle.warn("serve-client-broken", `a client's connection failed: ${error.message}`);
    });
  }

  /** Clients now. */
  get count(): number {
    return this.#server.connections.size;
  }

  /** Logins refused so far. */
  get refusedLogins(): number {
    return this.#sources.logins.count;
  }

  listen(): Promise<ListenAddress> {
    return bind(this.#server.server, this.#settings.listen, this.#settings.mode);
  }

  /** Stops listening, waits at most `drainMs` for messages on their way, then says 421 to everybody. */
  async close(drainMs: number): Promise<void> {
    this.#server.server.close();
    const sayGoodbye = (): void => {
      for (const connection of this.#server.connections) {
        if (!this.#relaying.has(connection.session.id)) {
          connection.send(421, "4.3.2 closing down, try again later");
        }
      }
    };
    sayGoodbye();
    if (this.#relaying.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenQuiet = resolve;
        setTimeout(resolve, drainMs).unref();
      });
    }
    this.#relaying.clear();
    // The reply to the last message goes out first.
    await new Promise((resolve) => setImmediate(resolve));
    sayGoodbye();
    for (const connection of this.#server.connections) {
      connection.close();
    }
    this.#sources.logins.close();
  }

  async #authenticate(auth: SMTPServerAuthentication, session: SMTPServerSession): Promise<string> {
    const { username = "", password, accessToken, authzid, method } = auth;
    const hostId = this.#settings.auth?.host ?? "";
    const refuse = (reason: string): never => {
      const client = session.remoteAddress || describeListenAddress(this.#settings.listen);
      this.#sources.logins.refused({ user: username, client, mechanism: method, reason }, hostId);
      throw replyError({ code: 535, text: "5.7.8 authentication credentials invalid" });
    };
    if (authzid !== undefined && authzid !== "" && authzid !== username) {
      refuse("the authorization identity is another one than the user");
    }
    const credentials = accessToken === undefined ? { username, secret: password ?? "" } : { username, accessToken };
    let answer: LookupAnswer;
    try {
      answer = await this.#sources.remotes.host(hostId).authenticate(credentials, { timeoutMs: LOOKUP_TIMEOUT_MS });
    } catch (error) {
      if (error instanceof RelaypostError && error.code === "INVALID_ARGUMENT") {
        return refuse(error.message);
      }
      this.#sources.tellFailure(hostId, error);
      throw replyError({ code: 454, text: "4.7.0 temporary authentication failure" });
    }
    return answer.found ? username : refuse(hostWords(answer.reply, this.#sources.remotes.host(hostId).protocol));
  }

  /** Resolves when the recipient is accepted; rejects with the reply that refuses it. */
  async #acceptRecipient(address: SMTPServerAddress, session: SMTPServerSession): Promise<void> {
    const { mailFrom } = session.envelope;
    if (mailFrom === false) {
      throw replyError({ code: 503, text: "5.5.1 MAIL first" });
    }
    const mistake = recipientMistake(address.address);
    if (mistake !== undefined) {
      throw replyError(mistake);
    }
    const envelope = this.#envelopeOf(session, address.address);
    let hostId: string;
    let mustVerify: boolean;
    try {
      hostId = await this.#decide(this.#settings.host, envelope);
      const refusal = /^([45][0-9]{2}) (.*)$/.exec(hostId);
      if (refusal !== null) {
        throw replyError({ code: Number(refusal[1]), text: refusal[2]! });
      }
      const { verify } = this.#settings;
      mustVerify = verify === undefined ? this.#sources.canLookUp(hostId) : await this.#decide(verify, envelope);
    } catch (error) {
      if (error instanceof Error && "responseCode" in error) {
        throw error;
      }
      this.#sources.tellFailure(error instanceof RelaypostError ? error.hostId : undefined, error);
      throw replyError(replyToError(error));
    }
    const transaction = this.#transactions.get(mailFrom);
    if (transaction !== undefined && transaction.hostId !== hostId) {
      throw replyError({
        code: 452,
        text: "4.5.3 this recipient is served elsewhere: send in a transaction of its own",
      });
    }
    if (transaction !== undefined && transaction.recipients.length >= this.#settings.recipients) {
      throw replyError({ code: 452, text: "4.5.3 too many recipients: send the rest in another transaction" });
    }
    if (mustVerify) {
      await this.#verify(hostId, address.address);
    }
    if (transaction === undefined) {
      this.#transactions.set(mailFrom, { hostId, recipients: [address] });
    } else {
      transaction.recipients.push(address);
    }
  }

  async #verify(hostId: string, address: string): Promise<void> {
    try {
      const answer = await this.#sources.remotes
        .host(hostId)
        .verifyRecipient(address, { timeoutMs: LOOKUP_TIMEOUT_MS });
      if (answer.found) {
        return;
      }
      throw replyError({ code: 550, text: replyText(answer.reply, "5.1.1", "no such recipient") });
    } catch (error) {
      if (error instanceof Error && "responseCode" in error) {
        throw error;
      }
      this.#sources.tellFailure(hostId, error);
      throw replyError({ code: 451, text: "4.4.3 the recipient cannot be verified now, try again later" });
    }
  }

  /** The replies: one for each recipient, or for SMTP one. */
  async #relay(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<GatewayReply[]> {
    const { mailFrom } = session.envelope;
    const transaction = mailFrom === false ? undefined : this.#transactions.get(mailFrom);
    const each = (reply: GatewayReply) =>
      this.#settings.protocol === "lmtp" ? (transaction?.recipients ?? []).map(() => reply) : [reply];
    if (mailFrom === false || transaction === undefined) {
      return [{ code: 503, text: "5.5.1 RCPT first" }];
    }
    const { remotes, log, tellFailure } = this.#sources;
    const { hostId, recipients } = transaction;
    const patience = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const trace = traceLine(session, this.#settings);
    const content = new MailContent(stream, trace, this.#settings.messageOctets, () => {
      timer = setTimeout(() => patience.abort(), this.#settings.timeoutMs);
    });
    this.#relaying.add(session.id);
    try {
      const envelope = outgoing(session, mailFrom, recipients, trace.length);
      const result = await remotes.host(hostId).relay(envelope, content.read(), { signal: patience.signal });
      const replies = this.#settings.protocol === "lmtp" ? repliesOf(result) : [replyOfAll(result)];
      const isMixed =
        this.#settings.protocol === "smtp" && new Set(result.recipients.map(({ status }) => status)).size > 1;
      if (isMixed) {
        const message =
          "some recipients have a message that others lack: the client sends it again to all (limits.recipients = 1 prevents it)";
        this.#sources.throttle.warn("serve-mixed", message, {}, hostId);
      }
      log("info", "serve-relayed", hostId, "a message was relayed", {
        listener: this.#settings.name,
        client: session.remoteAddress,
        octets: content.octets,
        statuses: result.recipients.map(({ status }) => status),
        replies: replies.map(({ code }) => code),
      });
      return replies;
    } catch (error) {
      const refusal = MailContent.refusalIn(error);
      if (refusal !== undefined) {
        return each({ code: refusal.code, text: refusal.message });
      }
      tellFailure(hostId, error);
      return each(replyToError(error));
    } finally {
      clearTimeout(timer);
      this.#relaying.delete(session.id);
      if (this.#relaying.size === 0) {
        setImmediate(() => this.#whenQuiet?.());
      }
      // Whatever the host left unread, the client still sends.
      if (!stream.readableEnded) {
        stream.resume();
      }
    }
  }

  async #decide<Value>(ruled: Ruled<Value>, envelope: RuleEnvelope): Promise<Value> {
    if (ruled.kind === "plain") {
      return ruled.value;
    }
    return (await this.#sources.rules().value(ruled.path, envelope, { timeoutMs: LOOKUP_TIMEOUT_MS })) as Value;
  }

  #envelopeOf(session: SMTPServerSession, rcpt: string): RuleEnvelope {
    const { mailFrom } = session.envelope;
    return {
      rcpt,
      sender: mailFrom === false ? "" : mailFrom.address,
      "helo-domain": session.hostNameAppearsAs || "",
      "authenticated-as": typeof session.user === "string" ? session.user : "",
      "remote-ip": session.remoteAddress || "",
      "local-ip": session.localAddress || "",
      listener: this.#settings.name,
    };
  }
}
