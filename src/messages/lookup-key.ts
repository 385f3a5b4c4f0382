/** When two questions about an address are one. Serves the worker's cache, and the answers that gateways share. */
import type { AddressLookupKind } from "../lookup-kinds.js";
import { asciiDomain } from "../mail-domain.js";

/**
 * The key of a lookup by address. The local part is compared as it is, the domain without regard to case (RFC 5321 2.4), and one that is
 * not ASCII by its A-labels: both forms are one domain.
 */
export function lookupKey(kind: AddressLookupKind, value: string): string {
  return `${kind}:${foldDomain(value)}`;
}

/** An address, its domain in lower case and in ASCII. */
export function foldDomain(value: string): string {
  const at = value.lastIndexOf("@");
  let isFolded = true;
  for (let position = at + 1; at !== -1 && position < value.length; position++) {
    const code = value.charCodeAt(position);
    if (code > 127) {
      const domain = value.slice(at + 1);
      return value.slice(0, at + 1) + (asciiDomain(domain) ?? foldAscii(domain));
    }
    isFolded &&= code < 65 || code > 90;
  }
  return isFolded ? value : value.slice(0, at) + foldAscii(value.slice(at));
}

/** Only A to Z: Unicode folding would make one of letters that are different domains. */
function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
