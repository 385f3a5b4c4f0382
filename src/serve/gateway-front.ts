/**
 * What stands before smtp-server where clients come through proxies (`proxy-from`): listens, reads their headers, and gives sessions
 * the addresses of their clients. smtp-server reads version 1 only, so that it gets connections without a header. Made by gateway.ts.
 */
import { createServer, type Server } from "node:net";
import type { SMTPServer } from "smtp-server";
import { canonicalAddress } from "../ip-address.js";
import type { SeenClient } from "../request/client.js";
import type { IpRange } from "../rules/ip-range.js";
import { ProxyFront } from "./proxy-front.js";

/** One client of smtp-server, which does not export the type. */
type Connection = SMTPServer["connections"] extends Set<infer One> ? One : never;

export class GatewayFront {
  /** What listens. */
  readonly server: Server;
  readonly #front: ProxyFront;
  /** Whom proxies have named, by the proxy's own address and port, which a session has at first. */
  readonly #seen = new Map<string, SeenClient>();

  /**
   * @param most connections that may wait for their header
   * @param broken a proxy's connection had no header, and is closed
   */
  constructor(from: readonly IpRange[], most: number, smtp: SMTPServer, broken: (error: Error) => void) {
    this.#front = new ProxyFront(from, most, {
      accepted: (socket, seen) => {
        if (seen !== undefined) {
          const key = keyOf(socket.remoteAddress, socket.remotePort);
          this.#seen.set(key, seen);
          socket.once("close", () => this.#seen.delete(key));
        }
        smtp.server.emit("connection", socket);
      },
      broken: (_socket, error) => broken(error),
    });
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#front.take(socket));
  }

  /** A session begins: it is the client's from now on. */
  introduce(connection: Connection): void {
    const { session } = connection;
    const seen = this.#seen.get(keyOf(session.remoteAddress, session.remotePort));
    if (seen === undefined) {
      return;
    }
    const addresses = {
      remoteAddress: seen.address!,
      remotePort: seen.port ?? 0,
      localAddress: seen.local!.address,
      localPort: seen.local!.port ?? 0,
    };
    // It sets up its sessions from these.
    Object.assign(connection, addresses);
    Object.assign(session, addresses);
  }

  close(): void {
    this.server.close();
    this.#front.close();
  }
}

function keyOf(address = "", port = 0): string {
  return `${canonicalAddress(address) ?? address} ${port}`;
}
