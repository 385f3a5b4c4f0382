/** What operators and their machines ask by HTTP: the page, /metrics, /healthz, /readyz, /hosts. Made by listener.ts. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Dashboard, makePage } from "../dashboard/index.js";
import type { RemoteHosts } from "../remote-hosts.js";
import type { DaemonView } from "./daemon-view.js";
import { HttpServer } from "./http-server.js";
import type { ListenAddress } from "./listen-address.js";
import type { LogThrottle } from "./log-throttle.js";
import { type Page, Pages, TEXT } from "./pages.js";
import type { HttpSettings } from "./settings.js";

/** A page has this long to be made; a worker that is stuck would hold it. */
const PAGE_TIMEOUT_MS = 5_000;

/** What the pages show. */
export interface HttpSources {
  readonly remotes: RemoteHosts;
  readonly state: DaemonView;
  readonly throttle: LogThrottle;
}

/** One listener. */
export class HttpListener {
  readonly refusedLogins = 0;
  readonly #server: HttpServer;
  readonly #sources: HttpSources;
  readonly #pages: Pages;
  readonly #dashboard: Dashboard;
  #answers = 0;

  constructor(settings: HttpSettings, sources: HttpSources) {
    this.#sources = sources;
    this.#pages = new Pages(sources.remotes, sources.state);
    const { name, addresses, tokenDigest } = settings;
    this.#dashboard = makePage(sources.remotes, {
      addresses,
      place: `serve.${name}`,
      ...(tokenDigest === undefined ? {} : { tokenDigest }),
      onStranger: () =>
        sources.throttle.warn("serve-control-refused", "whoever acted on the page had no token, or a wrong one"),
    });
    this.#server = new HttpServer(
      settings,
      (request, response) => this.#answer(request, response),
      () => {
        const message = `a client was turned away: there are ${settings.clients} (limits.clients)`;
        sources.throttle.warn("serve-clients-limit", message);
      },
    );
  }

  /** Pages given so far. */
  get answers(): number {
    return this.#answers;
  }

  /** Clients now. */
  get count(): number {
    return this.#server.count;
  }

  listen(): Promise<ListenAddress> {
    return this.#server.listen();
  }

  async close(drainMs: number): Promise<void> {
    this.#dashboard.close();
    await this.#server.close(drainMs);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "/").split("?", 1)[0]!;
    let page: Page;
    try {
      // The page's files lie beside /, not below it.
      if (path.lastIndexOf("/") === 0 && (await this.#dashboard(request, response))) {
        return;
      }
      request.resume();
      if (request.method !== "GET" && request.method !== "HEAD") {
        response.setHeader("allow", "GET, HEAD");
        page = [405, TEXT, "only GET and HEAD\n"];
      } else {
        const query = new URLSearchParams((request.url ?? "").split("?", 2)[1] ?? "");
        const isForPeople = request.headers.accept?.includes("text/html") === true;
        page = await within(this.#pages.make({ path, query, isForPeople }));
      }
    } catch (error) {
      this.#sources.throttle.warn("serve-http-failed", `a page could not be made: ${(error as Error).message}`);
      page = [503, TEXT, "no answer from the hosts\n"];
    }
    this.#answers++;
    const [status, type, body] = page;
    response.writeHead(status, {
      "content-type": type,
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
    });
    response.end(request.method === "HEAD" ? undefined : body);
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
