/** IP addresses between their text and their octets. Serves the checks of clients, the pool, and both ends of the PROXY protocol. */
import { isIPv4, isIPv6, SocketAddress } from "node:net";

const IPV4_OCTETS = 4;
/** `::ffff:0:0/96`: an IPv4 address as a socket for both families names it. */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/**
 * The one text of an address: IPv6 as RFC 5952 writes it, an IPv4 address in IPv6's clothes as IPv4.
 *
 * @returns undefined where the text is no address, or holds a zone, which means nothing to another machine
 */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) {
    return text;
  }
  return isIPv6(text) && !text.includes("%") ? addressOf(octetsOf(text)) : undefined;
}

/** The 4 or 16 octets of an address without a zone. */
export function octetsOf(address: string): Uint8Array {
  if (isIPv4(address)) {
    return Uint8Array.from(address.split("."), Number);
  }
  const [head = "", tail] = address.split("::");
  const front = octetsOfGroups(head);
  const back = tail === undefined ? [] : octetsOfGroups(tail);
  const octets = new Uint8Array(16);
  octets.set(front);
  octets.set(back, octets.length - back.length);
  return octets;
}

/** The text of 4 or 16 octets, see {@link canonicalAddress}. */
export function addressOf(octets: Uint8Array): string {
  if (octets.length === IPV4_OCTETS) {
    return octets.join(".");
  }
  if (MAPPED.every((octet, index) => octets[index] === octet)) {
    return octets.subarray(MAPPED.length).join(".");
  }
  const groups: string[] = [];
  for (let at = 0; at < octets.length; at += 2) {
    groups.push(((octets[at]! << 8) | octets[at + 1]!).toString(16));
  }
  return new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address;
}

/** Whom an address belongs to, as far as can be told: an IPv4 address is one client's, of IPv6 the /64. */
export function networkOf(address: string): string {
  if (isIPv4(address)) {
    return address;
  }
  return `${addressOf(octetsOf(address).fill(0, 8))}/64`;
}

function octetsOfGroups(text: string): number[] {
  if (text === "") {
    return [];
  }
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) {
      return group.split(".").map(Number);
    }
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
