/**
 * Connections of a listener before it has them: those from its proxies (`proxy-from`) begin with a header that names the client; all
 * others are handed on as they are, and a header of theirs is what any wrong octets are. Serves connections.ts and gateway.ts.
 */
import type { Socket } from "node:net";
import type { SeenClient } from "../request/client.js";
import { canonicalAddress, type IpRange, IpSet } from "../rules/ip-range.js";
import { readProxyHeader } from "./proxy-header.js";

/** A proxy sends its header at once; the specification asks for three seconds at least. */
const HEADER_MS = 5_000;

/** Who gets the connections. */
export interface FrontOwner {
  /** @param seen whom the proxy names; undefined: the peer is the client */
  accepted(socket: Socket, seen: SeenClient | undefined): void;
  /** A proxy's connection had no header, or was one too many; it is closed. */
  broken(socket: Socket, error: Error): void;
}

export class ProxyFront {
  readonly #from = new IpSet();
  readonly #most: number;
  readonly #owner: FrontOwner;
  /** Those whose header is not whole. */
  readonly #waiting = new Set<Socket>();

  /** @param most connections that may wait for their header */
  constructor(from: readonly IpRange[], most: number, owner: FrontOwner) {
    for (const range of from) {
      this.#from.add(range);
    }
    this.#most = most;
    this.#owner = owner;
  }

  take(socket: Socket): void {
    if (!this.#from.has(canonicalAddress(socket.remoteAddress ?? "") ?? "")) {
      this.#owner.accepted(socket, undefined);
    } else if (this.#waiting.size >= this.#most) {
      this.#fail(socket, new Error(`more than ${this.#most} connections wait for their PROXY header`));
    } else {
      this.#readHeader(socket);
    }
  }

  /** No more are handed on. */
  close(): void {
    for (const socket of this.#waiting) {
      socket.destroy();
    }
  }

  #readHeader(socket: Socket): void {
    this.#waiting.add(socket);
    let octets = Buffer.alloc(0);
    const leave = (): void => {
      this.#waiting.delete(socket);
      clearTimeout(timer);
      socket.off("readable", read).off("end", end).off("close", leave).off("error", ignore);
    };
    const fail = (error: Error): void => {
      leave();
      this.#fail(socket, error);
    };
    // A check whether anybody listens is nothing to tell of.
    const end = (): void => {
      leave();
      socket.destroy();
    };
    const read = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) {
        return;
      }
      octets = Buffer.concat([octets, chunk]);
      try {
        const header = readProxyHeader(octets);
        if (header === undefined) {
          return;
        }
        leave();
        if (octets.length > header.octets) {
          socket.unshift(octets.subarray(header.octets));
        }
        this.#handOn(socket, header.client);
      } catch (error) {
        fail(error as Error);
      }
    };
    const timer = setTimeout(() => fail(new Error("no PROXY header came in time")), HEADER_MS);
    timer.unref();
    socket.on("readable", read).on("end", end).on("close", leave).on("error", ignore);
  }

  /** When the stream has understood that nobody waits for "readable" any more: else "data" would never come. */
  #handOn(socket: Socket, client: SeenClient | undefined): void {
    socket.on("error", ignore);
    setImmediate(() => {
      socket.off("error", ignore);
      if (!socket.destroyed) {
        this.#owner.accepted(socket, client);
      }
    });
  }

  #fail(socket: Socket, error: Error): void {
    socket.on("error", ignore);
    socket.destroy();
    this.#owner.broken(socket, error);
  }
}

function ignore(): void {}
