/**
 * What an IMAP server wants people to read (RFC 9051 7.1, ALERT). Logged and nothing more: a machine does not follow what a text asks
 * of people. Serves session.ts.
 *
 * A server may repeat, in an alert or in its last words, the credentials of any login that it was shown, also of one that was answered
 * long ago: they are all withheld as long as the connection lives.
 */
import type { HostLog } from "../../../src/messages/host-log.js";
import type { ImapLogin } from "./login.js";

/** A peer does not fill our log. */
const MAX_ALERTS = 10;
/** Logins whose credentials are remembered. Behind more of them a text is withheld as a whole. */
const MAX_LOGINS = 64;

export class Alerts {
  private count = 0;
  private followed = 0;
  readonly #logins: ImapLogin[] = [];

  constructor(private readonly log: HostLog) {}

  /** A login begins. */
  follow(login: ImapLogin): void {
    this.followed++;
    if (this.#logins.length < MAX_LOGINS) {
      this.#logins.push(login);
    }
  }

  tell(text: string): void {
    if (++this.count <= MAX_ALERTS) {
      this.log.write("warn", "alert", this.withhold(text));
    }
  }

  /** A text of the peer without credentials. */
  readonly withhold = (text: string): string => {
    if (this.followed > this.#logins.length) {
      return "(withheld: too many users have logged in on this connection)";
    }
    return this.#logins.reduce((kept, login) => login.withhold(kept), text);
  };
}
