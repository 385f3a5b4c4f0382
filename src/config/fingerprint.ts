/** Fingerprints of certificates and of public keys, as a configuration writes them. Serves the schema and host.ts. */

const FORM = /^sha256:(?:[0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31})$/i;

/** Whether a text is `sha256:` and 64 hexadecimal digits, in pairs with colons or without. */
export function isFingerprint(text: string): boolean {
  return FORM.test(text);
}

/** Its digits, as they are compared: lower case, without colons. */
export function digitsOf(fingerprint: string): string {
  return fingerprint.slice("sha256:".length).replaceAll(":", "").toLowerCase();
}
