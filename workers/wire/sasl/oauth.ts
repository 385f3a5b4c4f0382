/**
 * Bearer tokens: OAUTHBEARER (RFC 7628) and its forerunner XOAUTH2 (Google's, also Microsoft's). They differ in the wrapping and in
 * how the client acknowledges the error that a server sends as a challenge before its negative reply.
 */
import type { UserCredentials } from "../../../src/messages/contract.js";
import { type SaslExchange, type SaslRefusal, unexpectedChallenge } from "./exchange.js";
import { escapeName } from "./scram.js";

abstract class BearerExchange implements SaslExchange {
  abstract readonly mechanism: string;
  readonly ignoresChallenges = false;
  complaint: string | undefined;
  #state: "start" | "sent" | "refused" = "start";

  protected abstract message(): string;
  protected abstract acknowledgement(): string;

  initialResponse(): Uint8Array {
    this.#state = "sent";
    return Buffer.from(this.message());
  }

  /** The only challenge is a JSON error. What it says is for operators: the reply that follows is the verdict. */
  respond(challenge: Uint8Array): Uint8Array | SaslRefusal {
    if (this.#state !== "sent") {
      return unexpectedChallenge(this.mechanism);
    }
    this.#state = "refused";
    this.complaint = readComplaint(challenge);
    return Buffer.from(this.acknowledgement());
  }

  acceptSuccess(): boolean {
    return this.#state === "sent";
  }
}

/** OAUTHBEARER (RFC 7628 3.1): names the host and port that the token is meant for. A unix socket (port 0) has neither, and both may be left out. */
export class OAuthBearerExchange extends BearerExchange {
  readonly mechanism = "OAUTHBEARER";
  readonly #credentials: UserCredentials;
  readonly #target: { readonly host: string; readonly port: number };

  constructor(credentials: UserCredentials, host: string, port: number) {
    super();
    this.#credentials = credentials;
    this.#target = { host, port };
  }

  protected message(): string {
    const { username, secret } = this.#credentials;
    const { host, port } = this.#target;
    const target = port === 0 ? "" : `host=${host}\x01port=${port}\x01`;
    return `n,a=${escapeName(username)},\x01${target}auth=Bearer ${secret}\x01\x01`;
  }

  /** RFC 7628 3.2.3. */
  protected acknowledgement(): string {
    return "\x01";
  }
}

/** XOAUTH2. */
export class XOAuth2Exchange extends BearerExchange {
  readonly mechanism = "XOAUTH2";
  readonly #credentials: UserCredentials;

  constructor(credentials: UserCredentials) {
    super();
    this.#credentials = credentials;
  }

  protected message(): string {
    return `user=${this.#credentials.username}\x01auth=Bearer ${this.#credentials.secret}\x01\x01`;
  }

  protected acknowledgement(): string {
    return "";
  }
}

/** What is worth showing of a server's JSON error (RFC 7628 3.2.2, Google's and Microsoft's XOAUTH2): its status, and the scope that it asks for. */
function readComplaint(challenge: Uint8Array): string | undefined {
  let error: unknown;
  try {
    error = JSON.parse(Buffer.from(challenge).toString());
  } catch {
    return undefined;
  }
  const { status, scope } = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
  const shown = Object.entries({ status, scope }).flatMap(([name, value]) =>
    (typeof value === "string" || typeof value === "number") && value !== "" ? [`${name} ${inOneLine(value)}`] : [],
  );
  return shown.length === 0 ? undefined : shown.join(", ");
}

function inOneLine(value: string | number): string {
  return String(value)
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .slice(0, 200);
}
