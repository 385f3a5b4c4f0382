/** What is said of a token that could not be had. Thrown by token-client.ts and what it asks; read by token-source.ts. */

/** Why there is no token: what the server said, or that it said nothing. */
export class TokenError extends Error {
  /** The server read the request and does not like it: to ask again as soon would change nothing. */
  readonly isRefusal: boolean;
  /** It asks to be left alone for so long. */
  readonly retryAfterMs: number;
  /** RFC 6749 5.2; `undefined` where it is none, or repeats a secret. */
  readonly code: string | undefined;

  constructor(message: string, details: { code?: string; isRefusal?: boolean; retryAfterMs?: number } = {}) {
    super(message);
    this.code = details.code;
    this.isRefusal = details.isRefusal ?? false;
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}
