/** From the greeting to a session that can work: EHLO or LHLO, STARTTLS, EHLO again, the connection's own AUTH. */
import type { Failure } from "../../../src/errors.js";
import { chooseExchange } from "../sasl/choose.js";
import { AuthDialogue } from "./auth.js";
import { NO_EXTENSIONS, parseExtensions } from "./extensions.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";
import type { SmtpSession, Work } from "./session.js";

const GREETING = 0;
const HELLO = 1;
const HELO = 2;
const STARTTLS = 3;

export class Handshake implements ReplyHandler, Work {
  /** EHLO was accepted: a host that refuses it later has something wrong with it, and is not old. */
  private knowsExtensions = false;

  constructor(private readonly session: SmtpSession) {}

  begin(): void {
    this.session.expect(this, GREETING, this.session.options.settings.timeouts.greetingMs);
  }

  /** TLS stands after STARTTLS: all that was said before counts for nothing (RFC 3207 4.2). */
  secured(): void {
    this.session.extensions = NO_EXTENSIONS;
    this.hello();
  }

  lost(): void {}

  replied(reply: ReplyView, tag: number): void {
    switch (tag) {
      case GREETING:
        return this.greeted(reply);
      case HELLO:
        return this.helloAnswered(reply);
      case HELO:
        return reply.code === 250 ? this.secureOrGoOn() : this.refused("HELO", reply);
      default:
        return this.startTlsAnswered(reply);
    }
  }

  private greeted(reply: ReplyView): void {
    if (reply.code === 220) {
      this.hello();
    } else if (reply.code >= 400) {
      this.unavailable("The host does not serve us now", reply);
    } else {
      this.session.fail({
        code: "REMOTE_PROTOCOL",
        message: "The peer's greeting is no greeting.",
        reply: reply.copy(),
      });
    }
  }

  private hello(): void {
    const { settings, hostname } = this.session.options;
    const verb = settings.protocol === "lmtp" ? "LHLO" : "EHLO";
    this.session.command(`${verb} ${hostname}\r\n`, this, HELLO, settings.timeouts.commandMs);
  }

  private helloAnswered(reply: ReplyView): void {
    const { settings, hostname } = this.session.options;
    if (reply.code === 250) {
      this.knowsExtensions = true;
      this.session.extensions = parseExtensions(reply.lines().slice(1));
      this.secureOrGoOn();
    } else if (reply.code >= 500 && settings.protocol === "smtp" && !this.needsExtensions) {
      // A server older than RFC 1869; HELO will do where nothing but mail is wanted.
      this.session.command(`HELO ${hostname}\r\n`, this, HELO, settings.timeouts.commandMs);
    } else {
      this.refused(settings.protocol === "lmtp" ? "LHLO" : "EHLO", reply);
    }
  }

  private get needsExtensions(): boolean {
    const { settings, purpose } = this.session.options;
    // It offered STARTTLS by EHLO: HELO in TLS would lose AUTH and all else without a word (RFC 3207 4.2).
    if (this.knowsExtensions) {
      return true;
    }
    const needsTls = !settings.tls.implicit && settings.tls.startTls === "require" && !this.session.isSecure;
    return needsTls || purpose === "login" || settings.auth !== undefined;
  }

  private secureOrGoOn(): void {
    const { settings, owner } = this.session.options;
    const { startTls } = settings.tls;
    if (this.session.isSecure || startTls === "disable") {
      return this.authenticate();
    }
    if (this.session.extensions.startTls) {
      this.session.command("STARTTLS\r\n", this, STARTTLS, settings.timeouts.commandMs);
      return;
    }
    if (startTls === "require") {
      this.session.fail({
        code: "MISSING_STARTTLS",
        message: 'The host does not offer STARTTLS and tls.starttls = "require". Nothing was sent in clear.',
      });
      return;
    }
    owner.notice(
      "warn",
      "tls-missing",
      'The host does not offer STARTTLS; the connection is in plain text (tls.starttls = "optional").',
    );
    this.authenticate();
  }

  private startTlsAnswered(reply: ReplyView): void {
    const { settings, owner } = this.session.options;
    if (reply.code === 220) {
      // RFC 3207 leaves no place for bytes between 220 and the handshake: they were injected in clear.
      if (this.session.hasUnreadBytes) {
        this.session.fail({
          code: "TLS_FAILED",
          message: "Bytes followed the reply to STARTTLS in clear; this is an attack or a broken peer.",
        });
      } else {
        this.session.wire.startTls();
      }
      return;
    }
    if (settings.tls.startTls === "require" || reply.code === 421) {
      this.session.fail({
        code: "TLS_FAILED",
        message: "The host offers STARTTLS and refused it.",
        reply: reply.copy(),
      });
      return;
    }
    owner.notice(
      "warn",
      "tls-refused",
      'The host refused STARTTLS; the connection is in plain text (tls.starttls = "optional").',
    );
    this.authenticate();
  }

  /** The connection's own account (`remote.<id>.auth`). A login connection tries users' passwords instead. */
  private authenticate(): void {
    const { session } = this;
    const { settings, purpose } = session.options;
    if (purpose === "login" || settings.auth === undefined) {
      session.handshakeDone(this);
      return;
    }
    const credentials = { ...settings.auth, isToken: false };
    const exchange = chooseExchange(session.extensions.auth, credentials, {
      isSecure: session.isSecure,
      allowPlaintext: settings.allowPlaintextAuth,
      randomBytes: session.options.randomBytes,
      host: settings.address,
      port: settings.port,
    });
    if ("code" in exchange) {
      session.fail(exchange);
      return;
    }
    new AuthDialogue(session, exchange, credentials, {
      accepted: () => session.handshakeDone(this),
      refused: (reply) =>
        session.fail({
          code: reply.code >= 500 ? "AUTH_FAILED" : "HOST_UNAVAILABLE",
          message: "The host refused the credentials of remote.<id>.auth.",
          reply,
        }),
      failed: (failure) => session.fail(failure),
    }).begin();
  }

  private refused(command: string, reply: ReplyView): void {
    if (reply.code >= 400) {
      this.unavailable(`The host refused ${command}`, reply);
    } else {
      this.session.fail({
        code: "REMOTE_PROTOCOL",
        message: `The peer's reply to ${command} makes no sense.`,
        reply: reply.copy(),
      });
    }
  }

  private unavailable(what: string, reply: ReplyView): void {
    const copy = reply.copy();
    const failure: Failure = {
      code: "HOST_UNAVAILABLE",
      message: `${what}: ${copy.code} ${firstLine(copy.text)}`,
      reply: copy,
    };
    this.session.fail(failure);
  }
}

function firstLine(text: string): string {
  return (text.split("\n", 1)[0] ?? "").slice(0, 200);
}
