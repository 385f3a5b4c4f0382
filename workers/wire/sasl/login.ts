/**
 * LOGIN (draft-murchison-sasl-login): user name and password, each to a prompt. Obsolete, and for some peers the only one.
 * The prompts are told apart by their order: their texts differ between servers.
 */
import type { UserCredentials } from "../../../src/messages/contract.js";
import { type SaslExchange, type SaslRefusal, unexpectedChallenge } from "./exchange.js";

export class LoginExchange implements SaslExchange {
  readonly mechanism = "LOGIN";
  readonly ignoresChallenges = true;
  readonly #credentials: UserCredentials;
  #state: "username" | "password" | "done" = "username";

  constructor(credentials: UserCredentials) {
    this.#credentials = credentials;
  }

  initialResponse(): null {
    return null;
  }

  respond(_challenge: Uint8Array): Uint8Array | SaslRefusal {
    switch (this.#state) {
      case "username":
        this.#state = "password";
        return Buffer.from(this.#credentials.username);
      case "password":
        this.#state = "done";
        return Buffer.from(this.#credentials.secret);
      case "done":
        return unexpectedChallenge(this.mechanism);
    }
  }

  acceptSuccess(): boolean {
    return this.#state === "done";
  }
}
