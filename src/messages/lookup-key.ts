/** When two questions about an address are one. Serves the worker's cache, and the answers that gateways share. */
import type { AddressLookupKind } from "../lookup-kinds.js";

/** The key of a lookup by address. The local part is compared as it is, the domain without regard to case (RFC 5321 2.4). */
export function lookupKey(kind: AddressLookupKind, value: string): string {
  return `${kind}:${foldDomain(value)}`;
}

/** An address, its domain in lower case. */
export function foldDomain(value: string): string {
  const at = value.lastIndexOf("@");
  for (let position = at + 1; at !== -1 && position < value.length; position++) {
    const code = value.charCodeAt(position);
    if (code >= 65 && code <= 90) {
      return value.slice(0, at) + foldAscii(value.slice(at));
    }
  }
  return value;
}

/** Only A to Z: Unicode folding would make one of letters that are different domains. */
function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
