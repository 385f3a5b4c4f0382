/** EXTERNAL (RFC 4422 A): the peer knows who we are by the certificate that TLS showed it. For the connection's own account only. */
import type { Failure } from "../../../src/errors.js";
import { type SaslExchange, type SaslRefusal, unexpectedChallenge } from "./exchange.js";

/** @param username whom to act as; empty: whoever the certificate says */
export function chooseExternal(
  offered: readonly string[],
  username: string,
  isSecure: boolean,
): SaslExchange | Failure {
  if (isSecure && offered.includes("EXTERNAL")) {
    return new ExternalExchange(username);
  }
  const why = isSecure
    ? "The server does not offer EXTERNAL: it asks for no client certificate, or does not trust ours (tls.cert)."
    : "EXTERNAL needs TLS, which shows the certificate, and the connection is in plain text.";
  return { code: "MISSING_AUTH", message: `${why} auth.external = true needs it.` };
}

class ExternalExchange implements SaslExchange {
  readonly mechanism = "EXTERNAL";
  readonly ignoresChallenges = false;
  private isSent = false;

  constructor(private readonly username: string) {}

  initialResponse(): Uint8Array {
    this.isSent = true;
    return Buffer.from(this.username);
  }

  respond(): SaslRefusal {
    return unexpectedChallenge(this.mechanism);
  }

  acceptSuccess(): boolean {
    return this.isSent;
  }
}
