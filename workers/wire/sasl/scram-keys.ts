/**
 * The costly step of SCRAM for scram.ts: keys from a password by PBKDF2 (RFC 5802 3, "Hi").
 *
 * It runs on the worker's thread itself: 4,096 iterations take about a millisecond, and the most that scram.ts allows,
 * 100,000, about 25 ms, so sessions stay free of promises and a simulation stays reproducible. What would add up is the same
 * account over and over (each new connection of a relay host, a user who logs in again): RFC 5802 5.1 lets a client keep
 * ClientKey and ServerKey, so those that led to success are kept, a few of them, under a keyed digest of the password.
 */
import { createHmac, pbkdf2Sync, randomBytes } from "node:crypto";

/** The hash of a SCRAM mechanism, by its name in node:crypto. */
export type ScramHash = "sha1" | "sha256";

/** What SCRAM computes from a password. As good as the password for this server: keep it private. */
export interface ScramKeys {
  readonly clientKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

const HASH_OCTETS = { sha1: 20, sha256: 32 } as const;
const MAX_KEPT = 64;

/** Names passwords without holding them; never leaves this process. */
const nameKey = randomBytes(32);
const kept = new Map<string, ScramKeys>();

/** The name under which the keys of this password, salt and iteration count are kept. */
export function nameScramKeys(hash: ScramHash, password: string, salt: Uint8Array, iterations: number): string {
  const name = createHmac("sha256", nameKey).update(`${hash} ${iterations} ${salt.length} `);
  return name.update(salt).update(password).digest("base64");
}

/** The keys, from the kept ones if they are there. */
export function deriveScramKeys(
  hash: ScramHash,
  password: string,
  salt: Uint8Array,
  iterations: number,
  name = nameScramKeys(hash, password, salt, iterations),
): ScramKeys {
  const known = kept.get(name);
  if (known !== undefined) {
    return known;
  }
  const salted = pbkdf2Sync(password, salt, iterations, HASH_OCTETS[hash], hash);
  return {
    clientKey: createHmac(hash, salted).update("Client Key").digest(),
    serverKey: createHmac(hash, salted).update("Server Key").digest(),
  };
}

/** Keeps keys that led to success. Wrong passwords never get here, so guessing cannot push out what is in use. */
export function keepScramKeys(name: string, keys: ScramKeys): void {
  // Deleted first, so that the map's order is that of the last use and its head is the one to go.
  kept.delete(name);
  kept.set(name, keys);
  if (kept.size > MAX_KEPT) {
    for (const oldest of kept.keys()) {
      return void kept.delete(oldest);
    }
  }
}
