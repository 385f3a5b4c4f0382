/**
 * One TCP connection, or one to a unix socket, on its way to a host: what it reads into, and what its failures mean. Made by
 * connection.ts for itself, and by race.ts for those that are tried side by side.
 */
import { connect, type OnReadOpts, type Socket } from "node:net";
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { Target } from "./tls.js";

/** Replies are short; a larger buffer would only cost memory for each idle connection. */
const READ_OCTETS = 16 * 1024;

/** Where the octets of a socket go. It can be told once the socket has its session. */
export interface Reading {
  receive: (octets: Uint8Array) => void;
}

export interface PlainSocket {
  readonly socket: Socket;
  /** Undefined where the socket may be wrapped by TLS: then it tells of octets by its event `data`. */
  readonly reading: Reading | undefined;
}

/** Starts to connect. */
export function connectPlain(settings: HostSettings, address: string): PlainSocket {
  const target = { ...targetOf(settings, address), noDelay: true };
  if (settings.tls.implicit || settings.tls.startTls !== "disable") {
    return { socket: connect(target), reading: undefined };
  }
  const reading: Reading = { receive: () => {} };
  return { socket: connect({ ...target, ...readInto(reading) }), reading };
}

/** Reading into one buffer of our own spares an allocation a read; a socket that may be wrapped by TLS cannot have it. */
function readInto(reading: Reading): { onread: OnReadOpts } {
  const buffer = Buffer.allocUnsafeSlow(READ_OCTETS);
  return {
    onread: {
      buffer,
      callback: (octets) => {
        reading.receive(buffer.subarray(0, octets));
        return true;
      },
    },
  };
}

export function targetOf({ port, socketPath, sourceAddress }: HostSettings, address: string): Target {
  if (socketPath !== undefined) {
    return { path: socketPath };
  }
  return { host: address, port, ...(sourceAddress === undefined ? {} : { localAddress: sourceAddress }) };
}

/** How messages name who was dialled. */
export function peerName({ address: name, port, socketPath }: HostSettings, address: string): string {
  if (socketPath !== undefined) {
    return name;
  }
  return `${name}${name === address ? "" : ` (${address})`}, port ${port},`;
}

export function unreachable(settings: HostSettings, address: string, error: NodeJS.ErrnoException): Failure {
  const what = error.code ?? error.message;
  const why = settings.socketPath === undefined ? undefined : SOCKET_FAILURES[what];
  return {
    code: "CONNECT_FAILED",
    message: `${peerName(settings, address)} could not be reached: ${why === undefined ? what : `${why} (${what})`}.`,
    cause: error.message,
  };
}

export function unanswered(settings: HostSettings, address: string): Failure {
  return { code: "CONNECT_TIMEOUT", message: `${peerName(settings, address)} did not answer in time (timeout).` };
}

/** What went wrong with a unix socket, as an operator would look for it. */
const SOCKET_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket; either its server does not run, or it listens elsewhere",
  EACCES: "this user may not connect to it; that takes the right to write to it, and to search its directories",
  EAGAIN: "its server does not keep up: as many connections wait as its backlog takes",
  ECONNREFUSED: "nobody listens there; the socket was left by a server that has ended",
  EPROTOTYPE: "it is no stream socket",
};
