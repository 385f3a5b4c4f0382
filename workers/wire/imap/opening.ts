/**
 * What comes before the first login on an IMAP connection: the greeting, what the server offers, and TLS. Serves session.ts, which
 * comes here again where a server must say anew what it offers.
 *
 *   greeting → [capability → starttls → securing →] [capability →] [id →] done
 */
import type { Failure } from "../../../src/errors.js";
import { idCommand, warnIfRefused } from "./client-id.js";
import type { CommandLine } from "./command-line.js";
import { type ImapStatus, replyOf } from "./login.js";
import type { ImapOptions } from "./login-owner.js";
import { type ImapResponseParser, splitCapabilities } from "./response.js";

type State = "connecting" | "greeting" | "capability" | "starttls" | "securing" | "id" | "done";

/** What is awaited in a state that is not named by its command. */
const AWAITED: Partial<Record<State, string>> = { greeting: "its greeting", securing: "the TLS handshake" };

/** What an opening asks of its session. */
export interface OpeningOwner {
  startTls(): void;
  /** Logins may come. */
  done(): void;
  /** Ends the connection as the protocol asks for. */
  leave(cause: Failure): void;
  /** The server broke the protocol. */
  breach(message: string, status?: ImapStatus): void;
}

export class Opening {
  /** What the server offers, in upper case; null while it has not said, or said it before TLS. */
  offered: ReadonlySet<string> | null = null;
  /** TLS stands. */
  isSecure = false;
  private state: State = "connecting";
  constructor(
    private readonly options: ImapOptions,
    private readonly line: CommandLine,
    private readonly parser: ImapResponseParser,
    private readonly owner: OpeningOwner,
  ) {}

  get isGreetingDue(): boolean {
    return this.state === "greeting";
  }

  /** Nothing may come in plain text. */
  get isSecuring(): boolean {
    return this.state === "securing";
  }

  /** For whoever waited too long. */
  get awaited(): string {
    return AWAITED[this.state] ?? this.state.toUpperCase();
  }

  begin(isSecure: boolean): void {
    this.isSecure = isSecure;
    this.state = "greeting";
    this.line.expectWithin(this.options.settings.timeouts.greetingMs);
  }

  learn(names: Iterable<string>): void {
    this.offered = new Set(names);
  }

  /** From a status response that may carry what is offered. */
  learnFrom({ code, codeText }: ImapStatus): void {
    if (code === "CAPABILITY") {
      this.learn(splitCapabilities(codeText));
    }
  }

  /** What is offered now may be something else. */
  forget(): void {
    this.offered = null;
  }

  /** The greeting, and no BYE. */
  greeted(status: ImapStatus): void {
    if (status.tag === null && status.condition === "OK") {
      this.learnFrom(status);
      this.resume();
    } else if (status.condition === "PREAUTH") {
      this.owner.breach("The server declares the connection authenticated (PREAUTH): no login can be checked on it.");
    } else {
      this.owner.breach("The server's greeting is neither OK nor BYE.");
    }
  }

  /** Goes on as far as it can: where the server has not said what it offers, it is asked. */
  resume(): void {
    if (this.offered === null) {
      this.send("capability", "CAPABILITY\r\n");
    } else {
      this.secureOrDone();
    }
  }

  secured(): void {
    this.isSecure = true;
    // Whatever was said before TLS may have been said by somebody else (RFC 9051 6.2.1).
    this.forget();
    this.resume();
  }

  /** The tagged reply to the command in flight. */
  replied(status: ImapStatus): void {
    if (this.state === "id") {
      warnIfRefused(this.options.log, status);
      this.done();
    } else if (this.state === "starttls" && status.condition === "OK") {
      this.startTls();
    } else if (this.state === "starttls") {
      this.withoutStartTls(status);
    } else if (status.condition === "OK" && this.offered !== null) {
      this.secureOrDone();
    } else {
      this.owner.breach("The server did not tell its capabilities.", status);
    }
  }

  private secureOrDone(): void {
    if (this.isSecure || this.options.settings.tls.startTls === "disable") {
      this.identify();
    } else if (this.offered?.has("STARTTLS") === true) {
      this.send("starttls", "STARTTLS\r\n");
    } else {
      this.withoutStartTls(null);
    }
  }

  private startTls(): void {
    if (this.parser.hasUnread) {
      // Whatever stands behind the OK was not sent by the peer of the handshake.
      this.owner.breach("The server sent plain text behind its reply to STARTTLS.");
      return;
    }
    this.state = "securing";
    this.line.expectWithin(this.options.settings.timeoutMs);
    this.owner.startTls();
  }

  /** STARTTLS is not offered, or was refused. */
  private withoutStartTls(status: ImapStatus | null): void {
    const reply = status === null ? {} : { reply: replyOf(status) };
    const what = status === null ? "does not offer STARTTLS" : "refused STARTTLS";
    if (this.options.settings.tls.startTls === "require") {
      const message = `The server ${what}. Use tls.implicit = true on its TLS port, or relax tls.starttls.`;
      this.state = "done";
      this.owner.leave({ code: "MISSING_STARTTLS", message, ...reply });
      return;
    }
    const message = `The server ${what}: the connection goes on in plain text (tls.starttls = "optional").`;
    this.options.log.write("warn", status === null ? "tls-missing" : "tls-refused", message);
    this.identify();
  }

  private identify(): void {
    const command = this.offered?.has("ID") === true ? idCommand(this.options) : undefined;
    if (command === undefined) {
      this.done();
    } else {
      this.send("id", command);
    }
  }

  private done(): void {
    this.state = "done";
    this.owner.done();
  }

  private send(state: State, command: string): void {
    this.state = state;
    this.line.send(command, this.options.settings.timeouts.commandMs);
  }
}
