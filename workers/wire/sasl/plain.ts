/** PLAIN (RFC 4616): the password itself, in one message. choose.ts offers it only where it may be shown. */
import type { UserCredentials } from "../../../src/messages/contract.js";
import { type SaslExchange, type SaslRefusal, unexpectedChallenge } from "./exchange.js";

export class PlainExchange implements SaslExchange {
  readonly mechanism = "PLAIN";
  readonly ignoresChallenges = true;
  readonly #credentials: UserCredentials;
  #isSent = false;

  constructor(credentials: UserCredentials) {
    this.#credentials = credentials;
  }

  initialResponse(): Uint8Array {
    this.#isSent = true;
    // No authorization identity: the server derives it from the user name.
    return Buffer.from(`\0${this.#credentials.username}\0${this.#credentials.secret}`);
  }

  respond(_challenge: Uint8Array): SaslRefusal {
    return unexpectedChallenge(this.mechanism);
  }

  acceptSuccess(): boolean {
    return this.#isSent;
  }
}
