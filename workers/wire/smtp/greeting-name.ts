/** What a client calls itself in EHLO, LHLO and HELO (RFC 5321 4.1.4). Serves session.ts, and the probe. */

/** An IPv4 address that came in IPv6's notation (RFC 4291 2.5.5.2). */
const MAPPED = /^::ffff:(?=[0-9.]+$)/i;

/**
 * The host's own name; where none is known that servers would take, the address that the connection comes from.
 *
 * @param localAddress an IP address, maybe with a zone; a unix socket has none
 */
export function greetingName(hostname: string | undefined, localAddress: string | undefined): string {
  if (hostname !== undefined) {
    return hostname;
  }
  if (localAddress === undefined) {
    return "localhost";
  }
  const [address = ""] = localAddress.replace(MAPPED, "").split("%", 1);
  return address.includes(":") ? `[IPv6:${address}]` : `[${address}]`;
}
