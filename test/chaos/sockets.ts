/**
 * What the kernel knows of connections. Serves `house.ts`, whose own count is never too low and may be too high for a moment: a client's
 * FIN has arrived before the SYN of the connection that it opens next, but a server hears of an end only by reading. Data that stands
 * before the FIN is read first and the end a turn later, TLS lies between, and a socket that waits for its handshake is not read at all.
 * Node cannot ask a socket for an end that was not read; the client knows, but is the one on trial. So an excess is believed
 * only when the kernel has as many of the client's ends open.
 */
import { readFileSync } from "node:fs";

const ESTABLISHED = "01";

/** Connections to the port on 127.0.0.1 that their client has not closed; `Infinity` where the kernel does not tell. */
export function countEstablished(port: number): number {
  let table: string;
  try {
    table = readFileSync("/proc/net/tcp", "latin1");
  } catch {
    return Number.POSITIVE_INFINITY;
  }
  const peer = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  // sl, local address, remote address, state: a line whose remote address is the server's is the client's end.
  return table.split("\n").filter((line) => {
    const [, , remote, state] = line.trim().split(/\s+/);
    return remote === peer && state === ESTABLISHED;
  }).length;
}
