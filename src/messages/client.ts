/**
 * The client on whose behalf a request is made, as it crosses between the threads and as a worker keeps it: one string, so that
 * equal clients are equal strings, and a request without a client carries the empty one and costs nothing.
 * Written by src/request/client.ts, read by the pool (whose turn it is) and by sessions (what the host is told).
 */
import type { Client } from "../api.js";
import { networkOf } from "../ip-address.js";

/** No client is known. */
export const NO_CLIENT = "";

/** Parts the fields: no field holds a control character. */
const SEPARATOR = "\n";

/** What a session may tell a host; what is not known is undefined. */
export type KnownClient = Readonly<Client>;

/** One string for a client whose fields were checked. */
export function encodeClient(client: Client): string {
  const { address, port, name, helo, login, protocol, session, local } = client;
  return [address, port, name, helo, login, protocol, session, local?.address, local?.port]
    .map((field) => field ?? "")
    .join(SEPARATOR);
}

/** What {@link encodeClient} was given; undefined for {@link NO_CLIENT}. */
export function decodeClient(text: string): KnownClient | undefined {
  if (text === NO_CLIENT) {
    return undefined;
  }
  const [address, port, name, helo, login, protocol, session, localAddress, localPort] = text.split(SEPARATOR);
  const known: Client = { address: address! };
  Object.assign(
    known,
    port === "" ? {} : { port: Number(port) },
    name === "" ? {} : { name },
    helo === "" ? {} : { helo },
    login === "" ? {} : { login },
    protocol === "" ? {} : { protocol },
    session === "" ? {} : { session },
  );
  if (localAddress !== "") {
    known.local = localPort === "" ? { address: localAddress! } : { address: localAddress!, port: Number(localPort) };
  }
  return known;
}

/** The address of a client that is known. */
export function addressOfClient(text: string): string {
  return text.slice(0, text.indexOf(SEPARATOR));
}

/** Who shares a turn with a client: its IPv4 address, or its IPv6 /64; all clients that are not known are one. */
export function networkOfClient(text: string): string {
  return text === NO_CLIENT ? NO_CLIENT : networkOf(addressOfClient(text));
}
