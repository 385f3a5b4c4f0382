/**
 * The mail transactions of one gateway: rules decide whose mail goes to which host and who is looked up, relay() takes it out. What the outcome
 * means to the client is verdict.ts's. Made and asked by gateway.ts.
 */
import type { SMTPServerAddress, SMTPServerDataStream, SMTPServerSession } from "smtp-server";
import { replyToHarvester, replyToRefusedRecipient, textOf } from "../adapters/replies.js";
import { clientOf } from "../adapters/session-client.js";
import type { RelayResult, RequestOptions } from "../api.js";
import { RelaypostError } from "../errors.js";
import type { RemoteHosts } from "../remote-hosts.js";
import type { RuleEnvelope } from "../rules/envelope.js";
import type { RuleSet } from "../rules/rule-set.js";
import type { WriteLog } from "../runtime/log.js";
import { outgoing, recipientMistake, traceLine } from "./gateway-envelope.js";
import { tenantOf } from "./gateway-tenant.js";
import type { HostTls } from "./host-tls.js";
import { describeListenAddress } from "./listen-address.js";
import type { LogThrottle } from "./log-throttle.js";
import type { LoginLog } from "./login-log.js";
import { MailContent } from "./mail-content.js";
import { MessageLog } from "./message-log.js";
import type { GatewaySettings, Ruled } from "./settings.js";
import { beginTransaction, type Transaction } from "./transaction.js";
import { type GatewayReply, repliesOf, replyOfAll, replyToError } from "./verdict.js";
import { logged } from "./wording.js";

/** A client that waits for the reply to RCPT or AUTH has minutes; nobody wants to wait so long. */
export const LOOKUP_TIMEOUT_MS = 30_000;

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
  readonly hostTls: HostTls;
  /** Whether anybody reads records of level debug. */
  readonly isDebugged: boolean;
}

/** A reply that refuses, on its way to smtp-server. */
export class RefusedWith extends Error {
  override readonly name = "RefusedWith";
  /** What smtp-server reads. */
  readonly responseCode: number;

  constructor({ code, text }: GatewayReply) {
    super(text);
    this.responseCode = code;
  }
}

/** All transactions of a listener. */
export class MailTransactions {
  readonly #settings: GatewaySettings;
  readonly #sources: GatewaySources;
  readonly #messages: MessageLog;
  /** By the address of MAIL, which is a new object for each transaction. */
  readonly #transactions = new WeakMap<object, Transaction>();
  /** Sessions with a message on its way. */
  readonly #relaying = new Set<string>();
  #whenQuiet: (() => void) | undefined;
  #answers = 0;

  constructor(settings: GatewaySettings, sources: GatewaySources) {
    this.#settings = settings;
    this.#sources = sources;
    this.#messages = new MessageLog(sources.log, settings.name, sources.hostTls);
  }

  /** Messages answered so far. */
  get answers(): number {
    return this.#answers;
  }

  /** MAIL was accepted. */
  begin(sender: SMTPServerAddress): void {
    this.#transactions.set(sender, beginTransaction(sender));
  }

  isRelaying(session: SMTPServerSession): boolean {
    return this.#relaying.has(session.id);
  }

  /** Resolves when no message is on its way, after `mostMs` at the latest; those that still are, are given up. */
  async quiet(mostMs: number): Promise<void> {
    if (this.#relaying.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenQuiet = resolve;
        setTimeout(resolve, mostMs).unref();
      });
    }
    this.#relaying.clear();
  }

  /** RCPT. Resolves when the recipient is accepted; rejects with the reply that refuses it. */
  async accept(address: SMTPServerAddress, session: SMTPServerSession): Promise<void> {
    const transaction = this.#of(session);
    if (transaction === undefined) {
      throw new RefusedWith({ code: 503, text: "5.5.1 MAIL first" });
    }
    if (!this.#sources.isDebugged) {
      return await this.#accept(address, session, transaction);
    }
    let reply = "250";
    try {
      await this.#accept(address, session, transaction);
    } catch (error) {
      reply = error instanceof RefusedWith ? `${error.responseCode} ${error.message}` : String(error);
      throw error;
    } finally {
      this.#sources.log("debug", "serve-recipient", transaction.hostId, "a recipient was accepted or refused", {
        listener: this.#settings.name,
        id: transaction.id,
        client: this.#clientOf(session),
        sender: logged(transaction.sender.address),
        recipient: logged(address.address),
        reply: logged(reply),
      });
    }
  }

  async #accept(address: SMTPServerAddress, session: SMTPServerSession, transaction: Transaction): Promise<void> {
    const mistake = recipientMistake(address.address);
    if (mistake !== undefined) {
      throw new RefusedWith(mistake);
    }
    const { hostId, mustVerify } = await this.#route(address.address, session);
    if (transaction.hostId !== undefined && transaction.hostId !== hostId) {
      const text = "4.5.3 this recipient is served elsewhere: send in a transaction of its own";
      throw new RefusedWith({ code: 452, text });
    }
    if (transaction.recipients.length >= this.#settings.recipients) {
      throw new RefusedWith({ code: 452, text: "4.5.3 too many recipients: send the rest in another transaction" });
    }
    if (mustVerify) {
      await this.#verify(hostId, address.address, session);
    }
    transaction.hostId = hostId;
    transaction.recipients.push(address);
  }

  /** Where a recipient's mail goes, and whether its host is asked before. */
  async #route(address: string, session: SMTPServerSession): Promise<{ hostId: string; mustVerify: boolean }> {
    const envelope = this.#envelopeOf(session, address);
    try {
      const options = this.#onBehalfOf(session);
      const hostId = await this.#decide(this.#settings.host, envelope, options);
      const refusal = /^([45][0-9]{2}) (.*)$/.exec(hostId);
      if (refusal !== null) {
        throw new RefusedWith({ code: Number(refusal[1]), text: refusal[2]! });
      }
      const { verify } = this.#settings;
      const mustVerify =
        verify === undefined ? this.#sources.canLookUp(hostId) : await this.#decide(verify, envelope, options);
      return { hostId, mustVerify };
    } catch (error) {
      if (error instanceof RefusedWith) {
        throw error;
      }
      this.#sources.tellFailure(error instanceof RelaypostError ? error.hostId : undefined, error);
      throw new RefusedWith(replyToError(error));
    }
  }

  async #verify(hostId: string, address: string, session: SMTPServerSession): Promise<void> {
    try {
      const host = this.#sources.remotes.host(hostId);
      const answer = await host.checkRecipient(address, this.#onBehalfOf(session));
      if (!answer.found) {
        const reply = replyToRefusedRecipient(answer);
        throw new RefusedWith({ code: reply.code, text: textOf(reply) });
      }
    } catch (error) {
      if (error instanceof RefusedWith) {
        throw error;
      }
      this.#sources.tellFailure(hostId, error);
      const text = "4.4.3 the recipient cannot be verified now, try again later";
      throw new RefusedWith(replyToHarvester(error) === undefined ? { code: 451, text } : replyToError(error));
    }
  }

  /** DATA. The replies: one for each recipient, or for SMTP one. */
  async relay(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<GatewayReply[]> {
    const transaction = this.#of(session);
    const hostId = transaction?.hostId;
    if (transaction === undefined || hostId === undefined) {
      return [{ code: 503, text: "5.5.1 RCPT first" }];
    }
    const patience = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const trace = traceLine(session, this.#settings, transaction);
    const content = new MailContent(stream, trace, this.#settings.messageOctets, () => {
      timer = setTimeout(() => patience.abort(), this.#settings.timeoutMs);
    });
    this.#relaying.add(session.id);
    const startMs = performance.now();
    let replies: GatewayReply[] = [];
    let outcome: RelayResult | { error: unknown };
    try {
      const envelope = outgoing(session, transaction, Buffer.byteLength(trace));
      const options = {
        signal: patience.signal,
        id: transaction.id,
        ...clientOf(session),
        ...tenantOf(this.#settings, session),
      };
      outcome = await this.#sources.remotes.host(hostId).relay(envelope, content.read(), options);
      replies = this.#settings.protocol === "lmtp" ? repliesOf(outcome) : [replyOfAll(outcome)];
      this.#warnOfMixed(outcome, hostId);
    } catch (error) {
      outcome = { error };
      const reply = this.#replyTo(error, hostId);
      replies = this.#settings.protocol === "lmtp" ? transaction.recipients.map(() => reply) : [reply];
    } finally {
      clearTimeout(timer);
      this.#settled(session);
      // Whatever the host left unread, the client still sends.
      if (!stream.readableEnded) {
        stream.resume();
      }
    }
    this.#answers++;
    const named = replies.map(({ code, text }) => ({ code, text: `${text} (id ${transaction.id})` }));
    const { firstReadMs = startMs } = content;
    this.#messages.write({
      transaction,
      hostId,
      protocol: this.#settings.protocol,
      client: this.#clientOf(session),
      clientTls: session.tlsOptions === false ? undefined : session.tlsOptions.version,
      user: typeof session.user === "string" ? session.user : undefined,
      octets: content.octets,
      messageId: content.messageId,
      queueMs: content.firstReadMs === undefined ? undefined : firstReadMs - startMs,
      relayMs: performance.now() - firstReadMs,
      replies,
      outcome,
    });
    return named;
  }

  #of(session: SMTPServerSession): Transaction | undefined {
    const { mailFrom } = session.envelope;
    return mailFrom === false ? undefined : this.#transactions.get(mailFrom);
  }

  /** Nobody has the message. */
  #replyTo(error: unknown, hostId: string): GatewayReply {
    const refusal = MailContent.refusalIn(error);
    if (refusal !== undefined) {
      return { code: refusal.code, text: refusal.message };
    }
    this.#sources.tellFailure(hostId, error);
    return replyToError(error);
  }

  #warnOfMixed({ recipients }: RelayResult, hostId: string): void {
    if (this.#settings.protocol === "lmtp" || recipients.every(({ status }) => status === recipients[0]?.status)) {
      return;
    }
    const message =
      "some recipients have a message that others lack: the client sends it again to all (limits.recipients = 1 prevents it)";
    this.#sources.throttle.warn("serve-mixed", message, {}, hostId);
  }

  #settled(session: SMTPServerSession): void {
    this.#relaying.delete(session.id);
    if (this.#relaying.size === 0) {
      setImmediate(() => this.#whenQuiet?.());
    }
  }

  async #decide<Value>(ruled: Ruled<Value>, envelope: RuleEnvelope, options: RequestOptions): Promise<Value> {
    if (ruled.kind === "plain") {
      return ruled.value;
    }
    return (await this.#sources.rules().value(ruled.path, envelope, options)) as Value;
  }

  /** Of a question: for how long, and for whom. */
  #onBehalfOf(session: SMTPServerSession): RequestOptions {
    return { timeoutMs: LOOKUP_TIMEOUT_MS, ...clientOf(session), ...tenantOf(this.#settings, session) };
  }

  #clientOf(session: SMTPServerSession): string {
    return session.remoteAddress || describeListenAddress(this.#settings.listen);
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
