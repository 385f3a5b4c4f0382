/**
 * What every SASL mechanism of this folder looks like to the sessions that carry it (smtp/, imap/):
 * challenges in, responses out, no socket and no base64 lines. A session keeps one exchange per login.
 */

/** Most octets of one base64 challenge (RFC 4954 4). */
export const MAX_CHALLENGE_OCTETS = 12_288;

/** The peer's challenge cannot be answered: the session sends `*` and fails the login with this reason. */
export interface SaslRefusal {
  /** One sentence; names nothing that was said in the exchange. */
  readonly refusal: string;
}

/** The client's side of one authentication. */
export interface SaslExchange {
  readonly mechanism: string;
  /** Its answers do not depend on what the server asks: a challenge that is no base64 (`334 Username:`) is as good as any. */
  readonly ignoresChallenges: boolean;
  /**
   * The first octets of the client, called when they are about to be written: with the command, or (where the protocol has
   * no room for them there) when the server's first challenge has come and is empty. null: the server speaks first.
   */
  initialResponse(): Uint8Array | null;
  /** The response to a challenge, both without base64. */
  respond(challenge: Uint8Array): Uint8Array | SaslRefusal;
  /** What the server said of the credentials beside its reply, in a few words; only bearer mechanisms have room for that. */
  readonly complaint?: string | undefined;
  /**
   * The peer claims success; `data` is what it sent with that claim, where the protocol has room for it.
   * false: it did so before the credentials were shown, or before it proved that it knows them (SCRAM).
   */
  acceptSuccess(data: Uint8Array | null): boolean;
}

/** Whether an exchange refused. */
export function isRefusal(result: Uint8Array | SaslRefusal): result is SaslRefusal {
  return !(result instanceof Uint8Array);
}

/** The challenge of a server for this exchange; see {@link decodeChallenge}. */
export function readChallenge(text: string, exchange: SaslExchange): Uint8Array | SaslRefusal {
  const challenge = decodeChallenge(text);
  return isRefusal(challenge) && exchange.ignoresChallenges && text.length <= MAX_CHALLENGE_OCTETS
    ? new Uint8Array(0)
    : challenge;
}

/** Decodes the base64 of a challenge. Strict, because what a lenient decoder drops could be read differently by others. */
export function decodeChallenge(text: string): Uint8Array | SaslRefusal {
  if (text.length > MAX_CHALLENGE_OCTETS) {
    return { refusal: "the server's challenge is too long" };
  }
  const octets = Buffer.from(text, "base64");
  if (octets.toString("base64") !== text) {
    return { refusal: "the server's challenge is not base64" };
  }
  return octets;
}

/** The refusal of a challenge that the mechanism does not know. */
export function unexpectedChallenge(mechanism: string): SaslRefusal {
  return { refusal: `the server sent a challenge that ${mechanism} does not have` };
}
