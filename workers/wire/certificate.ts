/** What a peer's certificate is to us: whether its fingerprint is one of those that are trusted, and when it ends. Serves tls.ts and the probe. */
import { createHash, type X509Certificate } from "node:crypto";

const DAY_MS = 86_400_000;
/** Long enough to have a certificate renewed by hand. */
const SOON_MS = 14 * DAY_MS;

/** SHA-256 in hexadecimal digits, of the certificate and of its public key (SubjectPublicKeyInfo, as in RFC 7469 2.4). */
export interface Fingerprints {
  readonly certificate: string;
  readonly publicKey: string;
}

/** Of one certificate. A new certificate with the same key keeps the second. */
export function fingerprintsOf(certificate: X509Certificate): Fingerprints {
  const publicKey = certificate.publicKey.export({ type: "spki", format: "der" });
  return { certificate: digest(certificate.raw), publicKey: digest(publicKey) };
}

/** How many days are left, where they are few; negative when it has ended. */
export function daysLeft(certificate: X509Certificate, nowMs: number): number | undefined {
  const leftMs = Date.parse(certificate.validTo) - nowMs;
  return leftMs < SOON_MS ? Math.floor(leftMs / DAY_MS) : undefined;
}

function digest(octets: Buffer): string {
  return createHash("sha256").update(octets).digest("hex");
}
