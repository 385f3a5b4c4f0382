/**
 * SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding. Both sides prove that they know the password
 * and neither shows it; success only counts once the server's proof was seen.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { type SaslExchange, type SaslRefusal, unexpectedChallenge } from "./exchange.js";
import { deriveScramKeys, keepScramKeys, nameScramKeys, type ScramHash, type ScramKeys } from "./scram-keys.js";

/** More would let a peer keep the worker's thread busy with one line. */
const MAX_ITERATIONS = 100_000;
/** What RFC 5802 5.1 and RFC 7677 4 ask servers for. Over plain text an attacker in between could ask for less, to guess from the proof. */
const MIN_PLAINTEXT_ITERATIONS = 4_096;

/** No channel binding, no authorization identity: `n,,` and its base64 (RFC 5802 7, `c=`). */
const GS2_HEADER = "n,,";
const CHANNEL_BINDING = "biws";

/** What an exchange is started with. */
export interface ScramOptions {
  readonly hash: ScramHash;
  /** After SASLprep. */
  readonly username: string;
  /** After SASLprep. */
  readonly password: string;
  /** Printable ASCII without a comma, unpredictable. */
  readonly nonce: string;
  readonly isSecure: boolean;
}

interface ServerFirst {
  readonly nonce: string;
  readonly salt: Uint8Array;
  readonly iterations: number;
}

/** One SCRAM authentication. */
export class ScramExchange implements SaslExchange {
  readonly mechanism: string;
  readonly ignoresChallenges = false;
  readonly #options: ScramOptions;
  readonly #clientFirstBare: string;
  #state: "start" | "client-first" | "client-final" | "proved" | "failed" = "start";
  #serverSignature: Uint8Array = new Uint8Array(0);
  #keys: { readonly name: string; readonly keys: ScramKeys } | undefined;

  constructor(options: ScramOptions) {
    this.mechanism = options.hash === "sha256" ? "SCRAM-SHA-256" : "SCRAM-SHA-1";
    this.#options = options;
    this.#clientFirstBare = `n=${escapeName(options.username)},r=${options.nonce}`;
  }

  initialResponse(): Uint8Array {
    this.#state = "client-first";
    return Buffer.from(GS2_HEADER + this.#clientFirstBare);
  }

  respond(challenge: Uint8Array): Uint8Array | SaslRefusal {
    switch (this.#state) {
      case "client-first":
        return this.#answerServerFirst(Buffer.from(challenge).toString());
      case "client-final":
        return this.#answerServerFinal(Buffer.from(challenge).toString());
      default:
        return unexpectedChallenge(this.mechanism);
    }
  }

  acceptSuccess(data: Uint8Array | null): boolean {
    // The server's last message may come with its claim, where the protocol has room for that (RFC 4422 3.6).
    if (data !== null && data.length > 0) {
      if (this.#state !== "client-final" || "refusal" in this.#answerServerFinal(Buffer.from(data).toString())) {
        return false;
      }
    }
    if (this.#state !== "proved") {
      return false;
    }
    if (this.#keys !== undefined) {
      keepScramKeys(this.#keys.name, this.#keys.keys);
    }
    return true;
  }

  #answerServerFirst(message: string): Uint8Array | SaslRefusal {
    this.#state = "failed";
    const first = this.#readServerFirst(message);
    if ("refusal" in first) {
      return first;
    }
    const { hash, password } = this.#options;
    const name = nameScramKeys(hash, password, first.salt, first.iterations);
    const keys = deriveScramKeys(hash, password, first.salt, first.iterations, name);
    this.#keys = { name, keys };
    const withoutProof = `c=${CHANNEL_BINDING},r=${first.nonce}`;
    const authMessage = `${this.#clientFirstBare},${message},${withoutProof}`;
    const storedKey = createHash(hash).update(keys.clientKey).digest();
    const proof = createHmac(hash, storedKey).update(authMessage).digest();
    for (let i = 0; i < proof.length; i++) {
      proof[i] = proof[i]! ^ keys.clientKey[i]!;
    }
    this.#serverSignature = createHmac(hash, keys.serverKey).update(authMessage).digest();
    this.#state = "client-final";
    return Buffer.from(`${withoutProof},p=${proof.toString("base64")}`);
  }

  /** `r=`, `s=` and `i=` in this order; extensions may follow, a mandatory one (`m=`) may stand before and must be refused. */
  #readServerFirst(message: string): ServerFirst | SaslRefusal {
    const [r, s, i] = message.split(",", 3);
    if (!r?.startsWith("r=") || !s?.startsWith("s=") || !i?.startsWith("i=")) {
      return { refusal: "the server's first SCRAM message is malformed or has an unknown mandatory extension" };
    }
    const nonce = r.slice(2);
    if (!nonce.startsWith(this.#options.nonce) || nonce.length === this.#options.nonce.length) {
      return { refusal: "the server's SCRAM nonce does not extend ours" };
    }
    const salt = Buffer.from(s.slice(2), "base64");
    if (salt.length === 0 || salt.toString("base64") !== s.slice(2)) {
      return { refusal: "the server's SCRAM salt is not base64" };
    }
    const digits = i.slice(2);
    const iterations = /^[1-9][0-9]{0,9}$/.test(digits) ? Number(digits) : 0;
    if (iterations < 1 || iterations > MAX_ITERATIONS) {
      return { refusal: `the server's SCRAM iteration count is not between 1 and ${MAX_ITERATIONS}` };
    }
    if (!this.#options.isSecure && iterations < MIN_PLAINTEXT_ITERATIONS) {
      return { refusal: `the server's SCRAM iteration count is under ${MIN_PLAINTEXT_ITERATIONS}, without TLS` };
    }
    return { nonce, salt, iterations };
  }

  #answerServerFinal(message: string): Uint8Array | SaslRefusal {
    this.#state = "failed";
    // An error of the server's (RFC 5802 7, `e=`): its verdict follows as the reply, so let it come.
    if (message.startsWith("e=")) {
      return new Uint8Array(0);
    }
    const text = message.split(",", 1)[0] ?? "";
    const signature = text.startsWith("v=") ? Buffer.from(text.slice(2), "base64") : Buffer.alloc(0);
    const isRight =
      signature.length === this.#serverSignature.length && timingSafeEqual(signature, this.#serverSignature);
    if (!isRight) {
      return { refusal: "the server's SCRAM signature is wrong: it does not know the password" };
    }
    this.#state = "proved";
    return new Uint8Array(0);
  }
}

/** `=` and `,` of a saslname (RFC 5802 5.1). */
export function escapeName(name: string): string {
  return name.replaceAll("=", "=3D").replaceAll(",", "=2C");
}
