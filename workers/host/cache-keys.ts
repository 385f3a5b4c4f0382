/** The keys under which a host's answers stand in its cache. Serves cache.ts and actor.ts. */
import { createHmac } from "node:crypto";
import type { UserCredentials } from "../../src/messages/contract.js";

export { lookupKey } from "../../src/messages/lookup-key.js";

/** Stands between a key and the client whose it is: no address, list or hash holds it. */
export const OF_CLIENT = "\n";
/** All keys of credentials begin so, and no other does. */
const OF_CREDENTIALS = "auth:";

export function isOfCredentials(key: string): boolean {
  return key.startsWith(OF_CREDENTIALS);
}

/** Enough of the hash in a key of credentials to tell them apart, and short enough not to keep the whole of it alive. */
export function shortHashOf(key: string): string {
  return key.slice(OF_CREDENTIALS.length, OF_CREDENTIALS.length + 12);
}

/** What the keys of a host's credentials have in common. */
export function credentialsPrefix(hostId: string, generation: number): string {
  return netstring("AUTH") + netstring(hostId) + netstring(String(generation));
}

/**
 * The key of a user's credentials: a keyed hash, so that the cache holds no password. Each part stands with its length before
 * it, so that no two different credentials are one text, and as it is: usernames that differ in case are different users.
 *
 * @param prefix of {@link credentialsPrefix}
 */
export function credentialsKey(
  hmacKey: Uint8Array,
  prefix: string,
  credentials: UserCredentials,
  authzid: string,
): string {
  const parts =
    netstring(credentials.isToken ? "token" : "password") +
    netstring(authzid) +
    netstring(credentials.username) +
    netstring(credentials.secret);
  const digest = createHmac("sha256", hmacKey)
    .update(prefix + parts)
    .digest("base64");
  return `${OF_CREDENTIALS}${digest}`;
}

function netstring(text: string): string {
  return `${Buffer.byteLength(text)}:${text},`;
}
