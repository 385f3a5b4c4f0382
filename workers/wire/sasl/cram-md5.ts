/** CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge. The password is never shown, and the server proves nothing. */
import { createHmac } from "node:crypto";
import type { UserCredentials } from "../../../src/messages/contract.js";
import { type SaslExchange, type SaslRefusal, unexpectedChallenge } from "./exchange.js";

export class CramMd5Exchange implements SaslExchange {
  readonly mechanism = "CRAM-MD5";
  readonly ignoresChallenges = false;
  readonly #credentials: UserCredentials;
  #isSent = false;

  constructor(credentials: UserCredentials) {
    this.#credentials = credentials;
  }

  initialResponse(): null {
    return null;
  }

  respond(challenge: Uint8Array): Uint8Array | SaslRefusal {
    if (this.#isSent) {
      return unexpectedChallenge(this.mechanism);
    }
    // The same empty challenge each time would make the response a replayable password.
    if (challenge.length === 0) {
      return { refusal: "the server's CRAM-MD5 challenge is empty" };
    }
    this.#isSent = true;
    const digest = createHmac("md5", this.#credentials.secret).update(challenge).digest("hex");
    return Buffer.from(`${this.#credentials.username} ${digest}`);
  }

  acceptSuccess(): boolean {
    return this.#isSent;
  }
}
