/**
 * The client's side of an IMAP connection that answers one question: is this password right? A sans-IO session between
 * connection.ts, which moves its bytes, and the pool, which is its {@link LoginOwner}.
 *
 *   connecting → opening → ready                         see opening.ts
 *   ready → login → ready                                refused, or no verdict
 *                 → unauthenticate → [opening →] ready         accepted, RFC 8437 offered
 *                 → logout                                     accepted otherwise; the peer broke the rules of SASL
 *   ready → logout → closing → closed;  anything → closing → closed
 *
 * One command is in flight at a time, under a tag that cannot be guessed, so a peer (or who injects into its bytes before TLS)
 * cannot answer what was not asked yet.
 */
import type { HostSettings } from "../../../src/config/settings.js";
import { type Failure, isFailure } from "../../../src/errors.js";
import type { UserCredentials } from "../../../src/messages/contract.js";
import type { Session, Wire } from "../session.js";
import { Alerts } from "./alerts.js";
import { CommandLine } from "./command-line.js";
import { type ImapStatus, replyOf, startImapLogin } from "./login.js";
import type { ImapOptions } from "./login-owner.js";
import { Opening } from "./opening.js";
import { PendingLogin } from "./pending-login.js";
import { ReadyLoop } from "./ready-loop.js";
import { ImapResponseParser } from "./response.js";

type State = "connecting" | "opening" | "ready" | "login" | "unauthenticate" | "logout" | "closing" | "closed";

/** The answer to LOGOUT is a courtesy: the connection's place in the pool is worth more than a long wait for it. */
const LOGOUT_MS = 2000;

/** One IMAP connection. */
export class ImapSession implements Session {
  private state: State = "connecting";
  private readonly parser = new ImapResponseParser();
  private readonly line: CommandLine;
  private readonly alerts: Alerts;
  /** Why the connection ends, where this side knows better than the socket. */
  private cause: Failure | null = null;
  private readonly announcement = new ReadyLoop(
    () => this.isReady,
    () => this.options.owner.ready(),
  );
  private readonly pending: PendingLogin;
  private readonly opening: Opening;
  private readonly settings: HostSettings;

  constructor(
    private readonly wire: Wire,
    private readonly options: ImapOptions,
  ) {
    this.settings = options.settings;
    this.line = new CommandLine(wire, this.parser, options.randomBytes);
    this.pending = new PendingLogin(options.owner);
    this.alerts = new Alerts(options.log);
    this.opening = new Opening(options, this.line, this.parser, {
      startTls: () => wire.startTls(),
      done: () => this.becomeReady(),
      leave: (cause) => this.leave(cause),
      breach: (message, status) => this.breach(message, status),
    });
  }

  /** What the server offers now, in upper case. */
  get capabilities(): readonly string[] {
    return [...(this.opening.offered ?? [])];
  }

  /** Whether TLS stands. */
  get isSecure(): boolean {
    return this.opening.isSecure;
  }

  /** Whether an octet of the credentials of the latest login was written. */
  get hasWrittenCredentials(): boolean {
    return this.pending.hasWrittenCredentials;
  }

  /** Whether a login may be given now. It may have ended since {@link LoginOwner.ready} was called. */
  get isReady(): boolean {
    return this.state === "ready";
  }

  /** It waits for its first login: the server may end it before that comes. */
  hasRested(): void {
    this.pending.isReused = true;
  }

  /** Asks whether these credentials are right. Only after {@link LoginOwner.ready}, once for each. */
  login(credentials: UserCredentials): void {
    if (this.state !== "ready") {
      throw new Error(`no login may be given while the session is in state "${this.state}"`);
    }
    this.begin(credentials);
  }

  private begin(credentials: UserCredentials): void {
    const { isSecure, offered } = this.opening;
    const login = startImapLogin(credentials, { ...this.options, isSecure, capabilities: offered ?? new Set() });
    if (isFailure(login)) {
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
    this.state = "opening";
    this.opening.begin(isSecure);
  }

  received(bytes: Uint8Array): void {
    if (this.isSecuring) {
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
      } else if (this.opening.isGreetingDue) {
        this.breach("The server's first response is no greeting.");
      } else if (response.kind === "continuation") {
        this.continueLogin(response.text);
      } else if (response.kind === "capability") {
        this.opening.learn(response.names);
      }
    }
  }

  secured(): void {
    this.opening.secured();
  }

  timedOut(): void {
    // Whoever waits may have had less patience than the command's own limit.
    const message = `The server did not finish ${this.awaited} in time.`;
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

  /** What the server takes too long for. */
  private get awaited(): string {
    if (this.state === "opening") {
      return this.opening.awaited;
    }
    return this.state === "login" ? "the login" : this.state.toUpperCase();
  }

  private takeStatus(status: ImapStatus): void {
    if (status.code === "ALERT") {
      this.alerts.tell(status.text);
    }
    if (this.opening.isGreetingDue) {
      this.greet(status);
    } else if (status.tag === null) {
      this.takeUntagged(status);
    } else if (!this.line.take(status.tag)) {
      this.breach("The server answered a command that is not in flight.");
    } else {
      if (status.condition === "OK") {
        this.opening.learnFrom(status);
      }
      this.complete(status);
    }
  }

  private greet(status: ImapStatus): void {
    if (status.condition === "BYE") {
      this.takeBye(status);
    } else {
      this.opening.greeted(status);
    }
  }

  private takeUntagged(status: ImapStatus): void {
    if (status.condition === "OK") {
      this.opening.learnFrom(status);
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
      case "opening":
        this.opening.replied(status);
        break;
      case "login":
        this.concludeLogin(status);
        break;
      case "unauthenticate":
        if (status.condition !== "OK") {
          this.leave(null);
        } else if (this.opening.offered === null) {
          this.state = "opening";
          this.opening.resume();
        } else {
          this.becomeReady();
        }
        break;
      default:
        this.state = "closing";
        this.wire.end();
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
    } else if (connection === "authenticated" && this.opening.offered?.has("UNAUTHENTICATE") === true) {
      // What is offered to a user may differ from what is offered before a login.
      this.opening.forget();
      this.send("unauthenticate", "UNAUTHENTICATE\r\n");
      this.pending.answer(result, true);
    } else {
      this.leave(isFailure(result) ? result : null);
      this.pending.answer(result, false);
    }
  }

  private send(state: State, command: string | Uint8Array): void {
    this.state = state;
    this.line.send(command, state === "logout" ? LOGOUT_MS : this.settings.timeouts.commandMs);
  }

  /** The next octets are those of TLS. */
  private get isSecuring(): boolean {
    return this.state === "opening" && this.opening.isSecuring;
  }

  private isReading(): boolean {
    return !this.isSecuring && this.state !== "closing" && this.state !== "closed";
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
