/**
 * Domains that are not ASCII, and the one ASCII form that each of them has (A-labels, RFC 5890 2.3.2.1; UTS 46). A local part has none
 * (RFC 6531 3.2). Serves the checks of callers' addresses, the cache's keys, and the commands that addresses stand in.
 */
import { isIPv4 } from "node:net";
import { domainToASCII } from "node:url";

/** RFC 5321 4.5.3.1, in octets: a domain, and an address without the angle brackets of its path. */
const MAX_DOMAIN_OCTETS = 255;
const MAX_ADDRESS_OCTETS = 254;

export function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) > 126) {
      return false;
    }
  }
  return true;
}

/** The A-labels of a domain that is not ASCII, in lower case; undefined where it is none by UTS 46. */
export function asciiDomain(domain: string): string | undefined {
  const ascii = domainToASCII(domain);
  // A URL's host may also be a number that is an IPv4 address; a mail domain never is.
  const isDomain = ascii !== "" && !ascii.includes("..") && !ascii.endsWith(".") && !isIPv4(ascii);
  return isDomain && ascii.length <= MAX_DOMAIN_OCTETS ? ascii : undefined;
}

/** An address that is not ASCII as a host without SMTPUTF8 can be told it; undefined where it has no such form. */
export function asciiAddress(address: string): string | undefined {
  const at = address.lastIndexOf("@");
  const local = address.slice(0, at);
  if (at === -1 || !isAscii(local)) {
    return undefined;
  }
  const domain = asciiDomain(address.slice(at + 1));
  const isShort = domain !== undefined && at + 1 + domain.length <= MAX_ADDRESS_OCTETS;
  return isShort ? `${local}@${domain}` : undefined;
}
