/** How an HTTP listener opens, counts its clients, lets go of idle ones and closes. Serves control.ts and http.ts, which answer. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { bind } from "./bind.js";
import type { ListenAddress } from "./listen-address.js";

/** What both listeners' settings have. */
export interface HttpServerSettings {
  readonly listen: ListenAddress;
  /** Of a unix socket. */
  readonly mode: number;
  readonly clients: number;
  readonly idleMs: number;
}

const MOST_KEEP_ALIVE_MS = 60_000;
const MOST_HEADER_OCTETS = 16 * 1024;
/** So long after the last answer nobody is waited for. */
const LINGER_MS = 1_000;

export class HttpServer {
  readonly #server: Server;
  readonly #settings: HttpServerSettings;
  #count = 0;

  /** @param turnedAway a client found as many as there may be */
  constructor(
    settings: HttpServerSettings,
    answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
    turnedAway?: () => void,
  ) {
    this.#settings = settings;
    const { idleMs } = settings;
    // Idle time counts while a request comes, while the answer is not read, and between two of them.
    const timeouts = {
      requestTimeout: idleMs,
      headersTimeout: idleMs,
      keepAliveTimeout: Math.min(idleMs, MOST_KEEP_ALIVE_MS),
    };
    const server = createServer({ ...timeouts, maxHeaderSize: MOST_HEADER_OCTETS, connectionsCheckingInterval: 1000 });
    server.maxConnections = settings.clients;
    server.setTimeout(idleMs);
    server.on("connection", (socket) => {
      this.#count++;
      socket.once("close", () => this.#count--);
    });
    server.on("drop", () => turnedAway?.());
    server.on("request", (request, response) => void answer(request, response));
    this.#server = server;
  }

  /** Clients now. */
  get count(): number {
    return this.#count;
  }

  listen(): Promise<ListenAddress> {
    return bind(this.#server, this.#settings.listen, this.#settings.mode);
  }

  async close(drainMs: number): Promise<void> {
    this.#server.close();
    this.#server.closeIdleConnections();
    const closing = setTimeout(() => this.#server.closeAllConnections(), Math.min(drainMs, LINGER_MS));
    closing.unref();
  }
}
