/**
 * The PROXY protocol's header as a proxy sends it before everything else (HAProxy's proxy-protocol.txt): version 1 is a line of text,
 * version 2 is binary. Pure; proxy-front.ts reads the octets.
 */
import { isIP } from "node:net";
import { addressOf } from "../ip-address.js";
import type { SeenClient } from "../request/client.js";
import { ProtocolError } from "./input-buffer.js";

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const FIXED_OCTETS = 16;
/** A proxy may add what it knows of the client's TLS; more than this is no header. */
const MOST_OCTETS = 4_096;
const TEXT_START = Buffer.from("PROXY ", "latin1");
/** CRLF included (2.1). */
const MOST_TEXT_OCTETS = 107;

/** Octets of the addresses and ports in version 2, by address family and transport. Others are no TCP. */
const ADDRESS_OCTETS: Readonly<Record<number, number>> = { 17: 4, 33: 16 };

/** A header that is whole. */
export interface ProxyHeader {
  readonly octets: number;
  /** Whom the proxy names; undefined: the connection is the proxy's own, or of no family that is known here. */
  readonly client: SeenClient | undefined;
}

/**
 * Reads a header.
 *
 * @param octets what has come so far; what follows the header is not looked at
 * @returns undefined while the header is not whole
 * @throws ProtocolError as soon as it can be no header
 */
export function readProxyHeader(octets: Buffer): ProxyHeader | undefined {
  if (isPrefix(octets, SIGNATURE)) {
    return octets.length < FIXED_OCTETS ? undefined : readBinary(octets);
  }
  if (isPrefix(octets, TEXT_START)) {
    return readText(octets);
  }
  throw new ProtocolError("the connection does not begin with a header of the PROXY protocol");
}

/** Both begin alike, as far as they go. */
function isPrefix(octets: Buffer, start: Buffer): boolean {
  const length = Math.min(octets.length, start.length);
  return octets.subarray(0, length).equals(start.subarray(0, length));
}

function readBinary(octets: Buffer): ProxyHeader | undefined {
  const versionAndCommand = octets[12]!;
  const length = FIXED_OCTETS + octets.readUInt16BE(14);
  const command = versionAndCommand & 0x0f;
  if (versionAndCommand >> 4 !== 2 || command > 1) {
    throw new ProtocolError("the PROXY header has a version or a command that is not known");
  }
  if (length > MOST_OCTETS) {
    throw new ProtocolError(`the PROXY header is longer than ${MOST_OCTETS} octets`);
  }
  if (octets.length < length) {
    return undefined;
  }
  const size = command === 0 ? undefined : ADDRESS_OCTETS[octets[13]!];
  if (size === undefined) {
    return { octets: length, client: undefined };
  }
  if (length < FIXED_OCTETS + 2 * size + 4) {
    throw new ProtocolError("the PROXY header is too short for its addresses");
  }
  const at = (offset: number, octetCount: number) =>
    octets.subarray(FIXED_OCTETS + offset, FIXED_OCTETS + offset + octetCount);
  const port = (offset: number) => at(offset, 2).readUInt16BE();
  const client = {
    address: addressOf(at(0, size)),
    port: port(2 * size),
    local: { address: addressOf(at(size, size)), port: port(2 * size + 2) },
  };
  return { octets: length, client };
}

function readText(octets: Buffer): ProxyHeader | undefined {
  const end = octets.subarray(0, MOST_TEXT_OCTETS).indexOf("\r\n");
  if (end === -1) {
    if (octets.length >= MOST_TEXT_OCTETS) {
      throw new ProtocolError(`the PROXY line is longer than ${MOST_TEXT_OCTETS} octets`);
    }
    return undefined;
  }
  const [, family, ...words] = octets.toString("latin1", 0, end).split(" ");
  if (family === "UNKNOWN") {
    return { octets: end + 2, client: undefined };
  }
  const [address = "", localAddress = "", port = "", localPort = ""] = words;
  const version = family === "TCP4" ? 4 : family === "TCP6" ? 6 : -1;
  const isRight = words.length === 4 && [address, localAddress].every((each) => isAddress(each, version));
  if (!isRight || !isPort(port) || !isPort(localPort)) {
    throw new ProtocolError("the PROXY line makes no sense");
  }
  const local = { address: localAddress, port: Number(localPort) };
  return { octets: end + 2, client: { address, port: Number(port), local } };
}

/** A zone means nothing to another machine. */
function isAddress(text: string, version: number): boolean {
  return isIP(text) === version && !text.includes("%");
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) < 65536;
}
