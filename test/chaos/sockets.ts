/** What the kernel knows of connections: the servers' process may hear of an end a few turns late, above all in a TLS handshake. Serves `house.ts`. */
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
