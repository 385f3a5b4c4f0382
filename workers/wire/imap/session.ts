/**
 * The client's side of an IMAP connection that answers one question: is this password right? A sans-IO session between
 * connection.ts, which moves its bytes, and the pool, which is its {@link LoginOwner}.
 *
 *   connecting → greeting → [capability → starttls → securing →] [capability →] [id →] ready
 *   ready → login → ready                                refused, or no verdict
 *                 → unauthenticate → [capability →] ready      accepted, RFC 8437 offered
 *                 → logout                                     accepted otherwise; the peer broke the rules of SASL
 *   ready → logout → closing → closed;  anything → closing → closed
 *
 * One command is in flight at a time, under a tag that cannot be guessed, so a peer (or who injects into its bytes before TLS)
 * cannot answer what was not asked yet.
 */
import type { HostSettings } from "../../../src/config/settings.js";
import type { Failure } from "../../../src/errors.js";
import type { UserCredentials } from "../../../src/messages/contract.js";
import type { Session, Wire } from "../session.js";
import { Alerts } from "./alerts.js";
import { idCommand, warnIfRefused } from "./client-id.js";
import { CommandLine } from "./command-line.js";
import { type ImapStatus, replyOf, startImapLogin } from "./login.js";
import type { ImapOptions } from "./login-owner.js";
import { PendingLogin } from "./pending-login.js";
import { ReadyLoop } from "./ready-loop.js";
import { ImapResponseParser, splitCapabilities } from "./response.js";

type State =
  | "connecting"
  | "greeting"
  | "capability"
  | "starttls"
  | "securing"
  | "id"
  | "ready"
  | "login"
  | "unauthenticate"
  | "logout"
  | "closing"
  | "closed";

/** The answer to LOGOUT is a courtesy: the connection's place in the pool is worth more than a long wait for it. */
const LOGOUT_MS = 2000;

/** What is awaited in a state that is not named by its command. */
const AWAITED: Partial<Record<State, string>> = {
  greeting: "its greeting",
  securing: "the TLS handshake",
  login: "the login",
};

/** One IMAP connection. */
export class ImapSession implements Session {
  private state: State = "connecting";
  private readonly parser = new ImapResponseParser();
  /** In upper case; null while the server has not said, or said it before TLS. */
  private offered: ReadonlySet<string> | null = null;
  private secure = false;
  private readonly line: CommandLine;
  private readonly alerts: Alerts;
  /** Why the connection ends, where this side knows better than the socket. */
  private cause: Failure | null = null;
  private readonly announcement = new ReadyLoop(
    () => this.isReady,
    () => this.options.owner.ready(),
  );
  private readonly pending: PendingLogin;

  private readonly settings: HostSettings;

  constructor(
    private readonly wire: Wire,
    private readonly options: ImapOptions,
  ) {
    this.settings = options.settings;
    this.line = new CommandLine(wire, this.parser, options.randomBytes);
    this.pending = new PendingLogin(options.owner);
    this.alerts = new Alerts(options.log);
  }

  /** What the server offers now, in upper case. */
  get capabilities(): readonly string[] {
    return [...(this.offered ?? [])];
  }

  /** Whether TLS stands. */
  get isSecure(): boolean {
    return this.secure;
  }

  /** Whether an octet of the credentials of the latest login was written. */
  get hasWrittenCredentials(): boolean {
    return this.pending.hasWrittenCredentials;
  }

  /** Whether a login may be given now. It may have ended since {@link LoginOwner.ready} was called. */
  get isReady(): boolean {
    return this.state === "ready";
  }

  /** Asks whether these credentials are right. Only after {@link LoginOwner.ready}, once for each. */
  login(credentials: UserCredentials): void {
    if (this.state !== "ready") {
      throw new Error(`no login may be given while the session is in state "${this.state}"`);
    }
    this.begin(credentials);
  }

  private begin(credentials: UserCredentials): void {
    const capabilities = this.offered ?? new Set();
    const login = startImapLogin(credentials, { ...this.options, isSecure: this.secure, capabilities });
    if ("code" in login) {
      this.state = "ready";
      this.pending.refuse(login);
      this.announcement.run();
    } else {
      this.pending.begin(login, credentials);
      this.alerts.follow(login);
      this.send("login", login.command);
    }
  }

  /**
   * Ends the connection: with LOGOUT where nothing is in flight, else at once.
   *
   * @param isHurried others wait for the slot: LOGOUT is said and its reply is not awaited
   */
  quit(isHurried: boolean): void {
    if (this.state === "ready") {
      this.leave(null);
      if (isHurried) {
        this.hurry();
      }
    } else if (this.state !== "logout" && this.state !== "closed") {
      this.state = "closing";
      this.wire.destroy();
    }
  }

  /** Others wait for the slot of a connection that is being closed. */
  hurry(): void {
    if (this.state === "logout") {
      this.state = "closing";
      this.line.expectWithin(0);
      this.wire.end();
    }
  }

  connected(isSecure: boolean): void {
    this.secure = isSecure;
    this.state = "greeting";
    this.line.expectWithin(this.settings.timeouts.greetingMs);
  }

  received(bytes: Uint8Array): void {
    if (this.state === "securing") {
      this.breach("The server sent plain text where its TLS handshake was due.");
    }
    this.parser.push(bytes);
    while (this.isReading()) {
      const response = this.parser.next();
      if (response === null) {
        return;
      }
      if (response.kind === "malformed") {
        this.breach(`The server broke the protocol: ${response.reason}.`);
      } else if (response.kind === "status") {
        this.takeStatus(response);
      } else if (this.state === "greeting") {
        this.breach("The server's first response is no greeting.");
      } else if (response.kind === "continuation") {
        this.continueLogin(response.text);
      } else if (response.kind === "capability") {
        this.offered = new Set(response.names);
      }
    }
  }

  secured(): void {
    this.secure = true;
    // Whatever was said before TLS may have been said by somebody else (RFC 9051 6.2.1).
    this.offered = null;
    this.send("capability", "CAPABILITY\r\n");
  }

  timedOut(): void {
    const message = `The server did not finish ${AWAITED[this.state] ?? this.state.toUpperCase()} within ${this.line.limitMs} ms.`;
    if (this.state === "logout") {
      this.wire.destroy();
    } else {
      this.fail({ code: "COMMAND_TIMEOUT", message });
    }
  }

  drained(): void {
    // Logins are small: nothing waits for room.
  }

  closed(failure: Failure): void {
    if (this.state === "closed") {
      return;
    }
    this.state = "closed";
    const cause = this.cause ?? failure;
    this.pending.lose(cause);
    this.options.owner.ended(cause);
  }

  private takeStatus(status: ImapStatus): void {
    if (status.code === "ALERT") {
      this.alerts.tell(status.text);
    }
    if (this.state === "greeting") {
      this.greet(status);
    } else if (status.tag === null) {
      this.takeUntagged(status);
    } else if (!this.line.take(status.tag)) {
      this.breach("The server answered a command that is not in flight.");
    } else {
      if (status.condition === "OK") {
        this.learnCapabilities(status);
      }
      this.complete(status);
    }
  }

  private greet(status: ImapStatus): void {
    if (status.tag === null && status.condition === "OK") {
      this.learnCapabilities(status);
      if (this.offered === null) {
        this.send("capability", "CAPABILITY\r\n");
      } else {
        this.secureOrReady();
      }
    } else if (status.condition === "BYE") {
      this.takeBye(status);
    } else if (status.condition === "PREAUTH") {
      this.breach("The server declares the connection authenticated (PREAUTH): no login can be checked on it.");
    } else {
      this.breach("The server's greeting is neither OK nor BYE.");
    }
  }

  private takeUntagged(status: ImapStatus): void {
    if (status.condition === "OK") {
      this.learnCapabilities(status);
    } else if (status.condition === "PREAUTH") {
      this.breach("The server sent a second greeting.");
    } else if (status.condition === "BYE" && this.state !== "logout") {
      this.takeBye(status);
    }
  }

  private takeBye(status: ImapStatus): void {
    const reply = replyOf(status, this.alerts.withhold);
    const isServing = this.state === "ready" || this.state === "login" || this.state === "unauthenticate";
    const code = isServing ? "REMOTE_CLOSED" : "HOST_UNAVAILABLE";
    this.fail({ code, message: `The server ended the connection: BYE ${reply.text}`, reply });
  }

  /** The tagged reply to the command in flight. */
  private complete(status: ImapStatus): void {
    switch (this.state) {
      case "capability":
        if (status.condition === "OK" && this.offered !== null) {
          this.secureOrReady();
        } else {
          this.breach("The server did not tell its capabilities.", status);
        }
        break;
      case "id":
        warnIfRefused(this.options.log, status);
        this.becomeReady();
        break;
      case "starttls":
        if (status.condition === "OK") {
          this.startTls();
        } else {
          this.withoutStartTls(status);
        }
        break;
      case "login":
        this.concludeLogin(status);
        break;
      case "unauthenticate":
        if (status.condition !== "OK") {
          this.leave(null);
        } else if (this.offered === null) {
          this.send("capability", "CAPABILITY\r\n");
        } else {
          this.becomeReady();
        }
        break;
      default:
        this.state = "closing";
        this.wire.end();
    }
  }

  private secureOrReady(): void {
    if (this.secure || this.settings.tls.startTls === "disable") {
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
      this.breach("The server sent plain text behind its reply to STARTTLS.");
      return;
    }
    this.state = "securing";
    this.line.expectWithin(this.settings.timeoutMs);
    this.wire.startTls();
  }

  /** STARTTLS is not offered, or was refused. */
  private withoutStartTls(status: ImapStatus | null): void {
    const reply = status === null ? {} : { reply: replyOf(status) };
    const what = status === null ? "does not offer STARTTLS" : "refused STARTTLS";
    if (this.settings.tls.startTls === "require") {
      const message = `The server ${what}. Use tls.implicit = true on its TLS port, or relax tls.starttls.`;
      this.leave({ code: "MISSING_STARTTLS", message, ...reply });
      return;
    }
    const message = `The server ${what}: the connection goes on in plain text (tls.starttls = "optional").`;
    this.options.log.write("warn", status === null ? "tls-missing" : "tls-refused", message);
    this.identify();
  }

  private identify(): void {
    const command = this.offered?.has("ID") === true ? idCommand(this.options) : undefined;
    if (command === undefined) {
      this.becomeReady();
    } else {
      this.send("id", command);
    }
  }

  private becomeReady(): void {
    this.state = "ready";
    this.line.expectWithin(0);
    this.announcement.run();
  }

  private continueLogin(text: string): void {
    const octets = this.state === "login" ? this.pending.respond(text) : null;
    if (octets === null) {
      this.breach("The server asked for a continuation that is not due.");
      return;
    }
    this.line.goOn(octets, this.settings.timeouts.commandMs);
  }

  private concludeLogin(status: ImapStatus): void {
    const verdict = this.pending.conclude(status);
    if (verdict === undefined) {
      return;
    }
    const { result, connection } = verdict;
    if (connection === "again" && this.pending.mayRepeat()) {
      this.begin(this.pending.credentials!);
    } else if (connection === "usable" || connection === "again") {
      this.state = "ready";
      this.line.expectWithin(0);
      this.pending.answer(result, true);
      this.announcement.run();
    } else if (connection === "authenticated" && this.offered?.has("UNAUTHENTICATE") === true) {
      // What is offered to a user may differ from what is offered before a login.
      this.offered = null;
      this.send("unauthenticate", "UNAUTHENTICATE\r\n");
      this.pending.answer(result, true);
    } else {
      this.leave("code" in result ? result : null);
      this.pending.answer(result, false);
    }
  }

  private learnCapabilities({ code, codeText }: ImapStatus): void {
    if (code === "CAPABILITY") {
      this.offered = new Set(splitCapabilities(codeText));
    }
  }

  private send(state: State, command: string | Uint8Array): void {
    this.state = state;
    this.line.send(command, state === "logout" ? LOGOUT_MS : this.settings.timeouts.commandMs);
  }

  private isReading(): boolean {
    return this.state !== "securing" && this.state !== "closing" && this.state !== "closed";
  }

  /** Ends the connection as the protocol asks for. */
  private leave(cause: Failure | null): void {
    this.cause ??= cause;
    this.send("logout", "LOGOUT\r\n");
  }

  private breach(message: string, status?: ImapStatus): void {
    this.fail({ code: "REMOTE_PROTOCOL", message, ...(status === undefined ? {} : { reply: replyOf(status) }) });
  }

  /** Ends the connection at once. */
  private fail(failure: Failure): void {
    this.cause ??= failure;
    this.state = "closing";
    this.line.expectWithin(0);
    this.wire.destroy();
    this.pending.lose(failure);
  }
}
