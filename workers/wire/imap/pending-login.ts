/** The login in flight on an IMAP connection, and what is known of those before it. Serves session.ts. */
import type { Failure } from "../../../src/errors.js";
import type { Answer, UserCredentials } from "../../../src/messages/contract.js";
import type { ImapLogin, ImapStatus, ImapVerdict } from "./login.js";
import type { LoginOwner } from "./login-owner.js";

export class PendingLogin {
  /** The server has answered a login on this connection, or it had to wait for its first. */
  isReused = false;
  /** It has answered something to the login in flight. */
  private isAnswered = false;
  #login: ImapLogin | null = null;
  #credentials: UserCredentials | null = null;
  /** The one in flight, or the one before. */
  #latest: ImapLogin | null = null;

  constructor(private readonly owner: LoginOwner) {}

  /** Whether an octet of the credentials of the latest login was written. */
  get hasWrittenCredentials(): boolean {
    return this.#latest?.hasWrittenCredentials ?? false;
  }

  /** Those of the login in flight. */
  get credentials(): UserCredentials | null {
    return this.#credentials;
  }

  begin(login: ImapLogin, credentials: UserCredentials): void {
    this.#login = login;
    this.#credentials = credentials;
    this.#latest = login;
    this.isAnswered = false;
  }

  /** What is to be written when the server asks for more; null where nothing can be due. */
  respond(text: string): Uint8Array | null {
    this.isAnswered = true;
    return this.#login?.respond(text) ?? null;
  }

  conclude(status: ImapStatus): ImapVerdict | undefined {
    return this.#login?.conclude(status);
  }

  /** Whether the connection may take one more command for it. */
  mayRepeat(): boolean {
    return this.owner.mayRepeat();
  }

  /** No login is possible with these credentials. */
  refuse(failure: Failure): void {
    this.#login = null;
    this.#credentials = null;
    this.owner.loginAnswered(failure, true);
  }

  /** The server has answered. */
  answer(result: Answer | Failure, mayContinue: boolean): void {
    this.#login = null;
    this.#credentials = null;
    this.isReused = true;
    this.owner.loginAnswered(result, mayContinue);
  }

  /** The connection ends; nothing where no login is in flight. */
  lose(failure: Failure): void {
    const login = this.#login;
    if (login === null) {
      return;
    }
    this.#login = null;
    this.#credentials = null;
    const { isReused, isAnswered } = this;
    const shown = login.hasWrittenCredentials ? "credentials" : "command";
    this.owner.loginLost(failure, { isReused, isAnswered, shown });
  }
}
