/**
 * The client's side of an IMAP connection that answers one question: is this password right? A sans-IO session between
 * connection.ts, which moves its bytes, and the pool, which is its {@link LoginOwner}.
 *
 *   connecting → greeting → [capability → starttls → securing →] [capability →] ready
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
import type { Answer, UserCredentials } from "../../../src/messages/contract.js";
import type { Session, Wire } from "../session.js";
import { type ImapLogin, type ImapStatus, replyOf, startImapLogin } from "./login.js";
import { ImapResponseParser, splitCapabilities } from "./response.js";

/** Whom a session reports to: the pool. */
export interface LoginOwner {
  /** A login may be given now: the handshake is done, or the login before is out of the way. */
  ready(): void;
  /**
   * The one answer to the login in flight. It may come before `login()` returns, where the login is not possible at all.
   * @param mayContinue true: {@link ready} follows (at once, or when the user was logged out); false: {@link ended} follows
   */
  loginAnswered(answer: Answer | Failure, mayContinue: boolean): void;
  /** The connection is gone: why, for whoever waits for it. Called once; nothing follows. */
  ended(failure: Failure): void;
  /** Something that an operator should know. */
  notice(event: "alert" | "tls-missing" | "tls-refused", message: string): void;
}

type State =
  | "connecting"
  | "greeting"
  | "capability"
  | "starttls"
  | "securing"
  | "ready"
  | "login"
  | "unauthenticate"
  | "logout"
  | "closing"
  | "closed";

/** The answer to LOGOUT is a courtesy: the connection's place in the pool is worth more than a long wait for it. */
const LOGOUT_MS = 2000;
/** A peer does not fill our log. */
const MAX_ALERTS = 10;

/** One IMAP connection. */
export class ImapSession implements Session {
  private state: State = "connecting";
  private readonly parser = new ImapResponseParser();
  /** In upper case; null while the server has not said, or said it before TLS. */
  private offered: ReadonlySet<string> | null = null;
  private secure = false;
  /** Tag of the command in flight. */
  private tag: string | null = null;
  /** Why the connection ends, where this side knows better than the socket. */
  private cause: Failure | null = null;
  private alerts = 0;
  /** What {@link Wire.expectWithin} was given last. */
  private limitMs = 0;
  private announcement: "none" | "running" | "again" = "none";
  private writtenCredentials = false;
  #login: ImapLogin | null = null;
  /** The login in flight, or the one before: its credentials may be repeated as long as the connection lives. */
  #lastLogin: ImapLogin | null = null;

  constructor(
    private readonly wire: Wire,
    private readonly settings: HostSettings,
    private readonly randomBytes: (octets: number) => Uint8Array,
    private readonly owner: LoginOwner,
  ) {}

  /** What the server offers now, in upper case. */
  get capabilities(): readonly string[] {
    return [...(this.offered ?? [])];
  }

  /** Whether TLS stands. */
  get isSecure(): boolean {
    return this.secure;
  }

  /** Whether an octet of the credentials of the last login was written. If so, that login is not to be tried again. */
  get hasWrittenCredentials(): boolean {
    return this.#login?.hasWrittenCredentials ?? this.writtenCredentials;
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
    const { settings, secure: isSecure, randomBytes } = this;
    const capabilities = this.offered ?? new Set();
    this.writtenCredentials = false;
    const login = startImapLogin(credentials, { settings, isSecure, capabilities, randomBytes });
    if ("code" in login) {
      this.owner.loginAnswered(login, true);
      this.announceReady();
    } else {
      this.#login = login;
      this.#lastLogin = login;
      this.send("login", login.command);
    }
  }

  /** Ends the connection: with LOGOUT where nothing is in flight, else at once. */
  quit(): void {
    if (this.state === "ready") {
      this.leave(null);
    } else if (this.state !== "logout" && this.state !== "closed") {
      this.state = "closing";
      this.wire.destroy();
    }
  }

  connected(isSecure: boolean): void {
    this.secure = isSecure;
    this.state = "greeting";
    this.expectWithin(this.settings.timeouts.greetingMs);
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
    const message = `The server did not finish ${this.awaited()} within ${this.limitMs} ms.`;
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
    this.answer(cause, false);
    this.owner.ended(cause);
  }

  private takeStatus(status: ImapStatus): void {
    if (status.code === "ALERT") {
      this.alert(status.text);
    }
    if (this.state === "greeting") {
      this.greet(status);
    } else if (status.tag === null) {
      this.takeUntagged(status);
    } else if (status.tag !== this.tag) {
      this.breach("The server answered a command that is not in flight.");
    } else {
      this.tag = null;
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
    const reply = replyOf(status, this.withhold);
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
      this.becomeReady();
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
    this.expectWithin(this.settings.timeoutMs);
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
    if (status === null) {
      this.owner.notice("tls-missing", message);
    } else {
      this.owner.notice("tls-refused", message);
    }
    this.becomeReady();
  }

  private becomeReady(): void {
    this.state = "ready";
    this.expectWithin(0);
    this.announceReady();
  }

  /**
   * From a loop, not from within login(): a queue of a thousand logins that this server cannot serve at all is answered in one go,
   * and must not be a stack of a thousand calls.
   */
  private announceReady(): void {
    if (this.announcement !== "none") {
      this.announcement = "again";
      return;
    }
    do {
      this.announcement = "running";
      if (this.state === "ready") {
        this.owner.ready();
      }
    } while (this.wasAskedAgain());
    this.announcement = "none";
  }

  private wasAskedAgain(): boolean {
    return this.announcement === "again";
  }

  private continueLogin(text: string): void {
    const octets = this.state === "login" ? (this.#login?.respond(text) ?? null) : null;
    if (octets === null) {
      this.breach("The server asked for a continuation that is not due.");
      return;
    }
    this.parser.startReply();
    this.wire.write(octets);
    this.expectWithin(this.settings.timeouts.commandMs);
  }

  private concludeLogin(status: ImapStatus): void {
    const verdict = this.#login?.conclude(status);
    if (verdict === undefined) {
      return;
    }
    const { result, connection } = verdict;
    if (connection === "usable") {
      this.state = "ready";
      this.expectWithin(0);
      this.answer(result, true);
      this.announceReady();
    } else if (connection === "authenticated" && this.offered?.has("UNAUTHENTICATE") === true) {
      // What is offered to a user may differ from what is offered before a login.
      this.offered = null;
      this.send("unauthenticate", "UNAUTHENTICATE\r\n");
      this.answer(result, true);
    } else {
      this.leave("code" in result ? result : null);
      this.answer(result, false);
    }
  }

  private answer(result: Answer | Failure, mayContinue: boolean): void {
    if (this.#login === null) {
      return;
    }
    this.writtenCredentials = this.#login.hasWrittenCredentials;
    this.#login = null;
    this.owner.loginAnswered(result, mayContinue);
  }

  private learnCapabilities({ code, codeText }: ImapStatus): void {
    if (code === "CAPABILITY") {
      this.offered = new Set(splitCapabilities(codeText));
    }
  }

  /** Logged and nothing more (RFC 9051 7.1): a machine does not follow what a text asks of people. */
  private alert(text: string): void {
    if (++this.alerts <= MAX_ALERTS) {
      this.owner.notice("alert", this.withhold(text));
    }
  }

  private readonly withhold = (text: string): string => this.#lastLogin?.withhold(text) ?? text;

  private send(state: State, command: string | Uint8Array): void {
    this.state = state;
    this.tag = `r${Buffer.from(this.randomBytes(6)).toString("hex")}`;
    this.parser.startReply();
    this.wire.write(`${this.tag} `);
    this.wire.write(command);
    this.expectWithin(state === "logout" ? LOGOUT_MS : this.settings.timeouts.commandMs);
  }

  private expectWithin(ms: number): void {
    this.limitMs = ms;
    this.wire.expectWithin(ms);
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
    this.expectWithin(0);
    this.wire.destroy();
    this.answer(failure, false);
  }

  private awaited(): string {
    switch (this.state) {
      case "greeting":
        return "its greeting";
      case "securing":
        return "the TLS handshake";
      case "login":
        return "the login";
      default:
        return this.state.toUpperCase();
    }
  }
}
