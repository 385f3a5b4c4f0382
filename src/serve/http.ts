/** What operators and their machines ask by HTTP: /metrics, /healthz, /readyz, /hosts. Made by listener.ts. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { collectMetrics } from "../metrics.js";
import type { RemoteHosts } from "../remote-hosts.js";
import { bind } from "./bind.js";
import type { ListenAddress } from "./listen-address.js";
import type { LogThrottle } from "./log-throttle.js";
import type { HttpSettings } from "./settings.js";

/** A page has this long to be made; a worker that is stuck would hold it. */
const PAGE_TIMEOUT_MS = 5_000;

/** What the pages show. */
export interface HttpSources {
  readonly remotes: RemoteHosts;
  /** Whether the daemon takes work now. */
  readonly isReady: () => boolean;
  /** Clients of each listener. */
  readonly clients: () => Readonly<Record<string, number>>;
  readonly throttle: LogThrottle;
}

/** A page: its status, its type, and what stands on it. */
type Page = readonly [status: number, type: string, body: string];

const TEXT = "text/plain; charset=utf-8";
const METRICS = "text/plain; version=0.0.4; charset=utf-8";
const JSON_TYPE = "application/json";

/** One listener. */
export class HttpListener {
  readonly refusedLogins = 0;
  readonly #server: Server;
  readonly #settings: HttpSettings;
  readonly #sources: HttpSources;
  #count = 0;

  constructor(settings: HttpSettings, sources: HttpSources) {
    this.#settings = settings;
    this.#sources = sources;
    const { idleMs } = settings;
    // Idle time counts while a request comes, while the answer is not read, and between two of them.
    const timeouts = { requestTimeout: idleMs, headersTimeout: idleMs, keepAliveTimeout: Math.min(idleMs, 60_000) };
    const server = createServer({ ...timeouts, maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 1000 });
    server.maxConnections = settings.clients;
    server.setTimeout(idleMs);
    server.on("connection", (socket) => {
      this.#count++;
      socket.once("close", () => this.#count--);
    });
    server.on("drop", () => {
      const message = `a client was turned away: there are ${settings.clients} (limits.clients)`;
      sources.throttle.warn("serve-clients-limit", message);
    });
    server.on("request", (request, response) => void this.#answer(request, response));
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
    const closing = setTimeout(() => this.#server.closeAllConnections(), Math.min(drainMs, 1000));
    closing.unref();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    let page: Page;
    try {
      if (request.method !== "GET" && request.method !== "HEAD") {
        response.setHeader("allow", "GET, HEAD");
        page = [405, TEXT, "only GET and HEAD\n"];
      } else {
        page = await within(this.#page((request.url ?? "/").split("?", 1)[0]!));
      }
    } catch (error) {
      this.#sources.throttle.warn("serve-http-failed", `a page could not be made: ${(error as Error).message}`);
      page = [503, TEXT, "no answer from the hosts\n"];
    }
    const [status, type, body] = page;
    response.writeHead(status, {
      "content-type": type,
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
    });
    response.end(request.method === "HEAD" ? undefined : body);
  }

  async #page(path: string): Promise<Page> {
    const { remotes, isReady, clients } = this.#sources;
    switch (path) {
      case "/healthz":
        return [200, TEXT, "ok\n"];
      case "/readyz": {
        if (!isReady()) {
          return [503, TEXT, "not ready\n"];
        }
        const hosts = Object.values((await remotes.stats()).hosts);
        const isAnyUp = hosts.length === 0 || hosts.some(({ state }) => state !== "failed");
        return isAnyUp ? [200, TEXT, "ready\n"] : [503, TEXT, "the workers of all hosts have failed\n"];
      }
      case "/hosts": {
        const { threads, hosts } = await remotes.stats();
        return [200, JSON_TYPE, `${JSON.stringify({ threads, clients: clients(), hosts })}\n`];
      }
      case "/metrics":
        return [200, METRICS, await collectMetrics(remotes)];
      default:
        return [404, TEXT, "/metrics, /healthz, /readyz and /hosts are here\n"];
    }
  }
}

/** Rejects when it takes too long. */
async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it took too long")), PAGE_TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
