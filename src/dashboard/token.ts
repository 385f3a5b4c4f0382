/** Tokens are kept and compared by their digests. Serves the page, the control listener, and the reader of their settings. */
import { createHash, timingSafeEqual } from "node:crypto";

export function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Digests are of one length, so that neither the token's length nor its beginning shows in the time. */
export function isToken(token: string, digest: string): boolean {
  return timingSafeEqual(digestOf(token), Buffer.from(digest, "hex"));
}
