/**
 * The header of the PROXY protocol, version 2 (HAProxy's specification, proxy-protocol.txt 2.2): what a connection says of its
 * client before everything else, TLS included. Written by connection.ts.
 */
import { isIPv4 } from "node:net";
import { octetsOf } from "../../src/ip-address.js";
import { decodeClient } from "../../src/messages/client.js";

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/** Version 2 with its command in the low half. */
const LOCAL = 0x20;
const PROXY = 0x21;
const UNSPECIFIED = 0x00;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;

/** @param client see src/messages/client.ts; a connection without one is the gateway's own: LOCAL */
export function proxyHeader(client: string): Uint8Array {
  const known = decodeClient(client);
  if (known === undefined) {
    return Uint8Array.from([...SIGNATURE, LOCAL, UNSPECIFIED, 0, 0]);
  }
  const { address, port = 0, local } = known;
  const isV4 = isIPv4(address) && (local === undefined || isIPv4(local.address));
  const addresses = [address, local?.address ?? (isV4 ? "0.0.0.0" : "::")].flatMap((each) => [
    ...octetsOf(isV4 || !isIPv4(each) ? each : `::ffff:${each}`),
  ]);
  const ports = [port, local?.port ?? 0].flatMap((each) => [each >> 8, each & 0xff]);
  const family = isV4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6;
  return Uint8Array.from([...SIGNATURE, PROXY, family, 0, addresses.length + ports.length, ...addresses, ...ports]);
}
