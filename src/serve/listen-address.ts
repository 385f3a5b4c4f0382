/** Where a listener of the daemon listens: a port of an address, or a unix socket. Serves the schema and listener.ts. */
import { BlockList, isIP } from "node:net";
import { isAddress, withoutBrackets } from "../config/host-name.js";

/** `unix`: a path; otherwise an address and a port, of which 0 is any free one. */
export type ListenAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** What would be right, for messages. */
export const LISTEN_FORM = '"127.0.0.1:10031", "[::1]:10031", "localhost:10031" or "unix:/run/relaypost/map"';

/** sun_path of Linux, its ending NUL included. */
const MOST_PATH_OCTETS = 107;

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** `undefined`: it is none. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    const isRight = path.startsWith("/") && Buffer.byteLength(path) <= MOST_PATH_OCTETS;
    return isRight ? { kind: "unix", path } : undefined;
  }
  const match = /^(.+):([0-9]{1,5})$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, name, digits] = match as unknown as [string, string, string];
  const host = withoutBrackets(name);
  const port = Number(digits);
  // An IPv6 address without brackets would leave open which colon is the port's.
  if (port > 65_535 || !isAddress(name) || (host === name && host.includes(":"))) {
    return undefined;
  }
  return { kind: "tcp", host, port };
}

/** As it would be written in the configuration. */
export function describeListenAddress(address: ListenAddress): string {
  if (address.kind === "unix") {
    return `unix:${address.path}`;
  }
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/** Whether only this machine can reach it. */
export function isLocal(address: ListenAddress): boolean {
  if (address.kind === "unix" || address.host.toLowerCase() === "localhost") {
    return true;
  }
  const version = isIP(address.host);
  return version !== 0 && loopback.check(address.host, version === 6 ? "ipv6" : "ipv4");
}
