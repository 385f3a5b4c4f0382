/** From the greeting to a session that can work: EHLO or LHLO, STARTTLS, EHLO again, the connection's own AUTH. */
import type { Failure } from "../../../src/errors.js";
import { logIn } from "./account.js";
import type { HandshakeChannel, Work } from "./channel.js";
import { NO_EXTENSIONS, parseExtensions } from "./extensions.js";
import { senseless } from "./failures.js";
import type { ReplyView } from "./reply.js";
import type { ReplyHandler } from "./reply-queue.js";

const GREETING = 0;
const HELLO = 1;
const HELO = 2;
const STARTTLS = 3;

const NOT_SERVED = "The host does not serve us now";

export class Handshake implements ReplyHandler, Work {
  /** EHLO was accepted: a host that refuses it later has something wrong with it, and is not old. */
  private knowsExtensions = false;

  /** @param done what follows; by default tasks may come */
  constructor(
    private readonly channel: HandshakeChannel,
    private readonly done: () => void = () => channel.handshakeDone(this),
  ) {}

  begin(): void {
    this.channel.expect(this, GREETING, this.channel.settings.timeouts.greetingMs);
  }

  /** TLS stands after STARTTLS: all that was said before counts for nothing (RFC 3207 4.2). */
  secured(): void {
    this.channel.learn(NO_EXTENSIONS);
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

  closing(reply: ReplyView, tag: number): Failure {
    if (tag === STARTTLS) {
      return startTlsRefused(reply);
    }
    return unavailable(tag === GREETING ? NOT_SERVED : `The host refused ${tag === HELO ? "HELO" : this.verb}`, reply);
  }

  private greeted(reply: ReplyView): void {
    if (reply.code === 220) {
      this.hello();
    } else if (reply.code >= 400) {
      this.channel.fail(unavailable(NOT_SERVED, reply));
    } else {
      this.channel.fail({
        code: "REMOTE_PROTOCOL",
        message: "The peer's greeting is no greeting.",
        reply: reply.copy(),
      });
    }
  }

  hello(): void {
    const { settings, greetingName } = this.channel;
    this.channel.send(`${this.verb} ${greetingName}\r\n`, this, HELLO, settings.timeouts.commandMs);
  }

  private helloAnswered(reply: ReplyView): void {
    const { settings, greetingName } = this.channel;
    if (reply.code === 250) {
      this.knowsExtensions = true;
      this.channel.learn(parseExtensions(reply.lines().slice(1)));
      this.secureOrGoOn();
    } else if (reply.code >= 500 && settings.protocol === "smtp" && !this.needsExtensions) {
      // A server older than RFC 1869; HELO will do where nothing but mail is wanted.
      this.channel.send(`HELO ${greetingName}\r\n`, this, HELO, settings.timeouts.commandMs);
    } else {
      this.refused(this.verb, reply);
    }
  }

  private get verb(): "LHLO" | "EHLO" {
    return this.channel.settings.protocol === "lmtp" ? "LHLO" : "EHLO";
  }

  private get needsExtensions(): boolean {
    const { settings, purpose } = this.channel;
    // It offered STARTTLS by EHLO: HELO in TLS would lose AUTH and all else without a word (RFC 3207 4.2).
    if (this.knowsExtensions) {
      return true;
    }
    const needsTls = !settings.tls.implicit && settings.tls.startTls === "require" && !this.channel.isSecure;
    return needsTls || purpose === "login" || settings.auth !== undefined;
  }

  private secureOrGoOn(): void {
    const { settings } = this.channel;
    const { startTls } = settings.tls;
    if (this.channel.isSecure || startTls === "disable") {
      return this.authenticate();
    }
    if (this.channel.extensions.startTls) {
      this.channel.send("STARTTLS\r\n", this, STARTTLS, settings.timeouts.commandMs);
      return;
    }
    if (startTls === "require") {
      this.channel.fail({
        code: "MISSING_STARTTLS",
        message: 'The host does not offer STARTTLS and tls.starttls = "require". Nothing was sent in clear.',
      });
      return;
    }
    this.channel.log.write(
      "warn",
      "tls-missing",
      'The host does not offer STARTTLS; the connection is in plain text (tls.starttls = "optional").',
    );
    this.authenticate();
  }

  private startTlsAnswered(reply: ReplyView): void {
    const { settings } = this.channel;
    if (reply.code === 220) {
      // RFC 3207 leaves no place for bytes between 220 and the handshake: they were injected in clear.
      if (this.channel.hasUnreadBytes) {
        this.channel.fail({
          code: "TLS_FAILED",
          message: "Bytes followed the reply to STARTTLS in clear; this is an attack or a broken peer.",
        });
      } else {
        this.channel.startTls();
      }
      return;
    }
    if (settings.tls.startTls === "require") {
      this.channel.fail(startTlsRefused(reply));
      return;
    }
    this.channel.log.write(
      "warn",
      "tls-refused",
      'The host refused STARTTLS; the connection is in plain text (tls.starttls = "optional").',
    );
    this.authenticate();
  }

  /** The connection's own account (`remote.<id>.auth`). A login connection tries users' passwords instead. */
  private authenticate(): void {
    const { channel } = this;
    const { settings, purpose } = channel;
    if (purpose === "login" || settings.auth === undefined) {
      this.done();
      return;
    }
    logIn(channel, settings.auth, this.done);
  }

  private refused(command: string, reply: ReplyView): void {
    if (reply.code >= 400) {
      this.channel.fail(unavailable(`The host refused ${command}`, reply));
    } else {
      this.channel.fail(senseless(command, reply));
    }
  }
}

function unavailable(what: string, view: ReplyView): Failure {
  const reply = view.copy();
  return { code: "HOST_UNAVAILABLE", message: `${what}: ${reply.code} ${firstLine(reply.text)}`, reply };
}

function startTlsRefused(reply: ReplyView): Failure {
  return { code: "TLS_FAILED", message: "The host offers STARTTLS and refused it.", reply: reply.copy() };
}

function firstLine(text: string): string {
  return (text.split("\n", 1)[0] ?? "").slice(0, 200);
}
