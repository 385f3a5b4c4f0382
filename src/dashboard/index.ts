/**
 * `relaypost/dashboard`: the operator's page as a plain `(request, response)` handler, for Node's http, Express, Fastify and whatever
 * else hands both on. `relaypost serve` uses it for its `http` listeners. What it shows is said by src/operator/.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { RemoteHosts } from "../remote-hosts.js";
import { Actions } from "./actions.js";
import { type Asset, findAsset } from "./assets.js";
import { LiveStreams, type PageSource } from "./live-streams.js";
import { digestOf } from "./token.js";

/** Options of {@link dashboard}. */
export interface DashboardOptions {
  /** Whether replies of hosts may be shown with the recipients' addresses in them. Default `false`. */
  addresses?: boolean;
  /**
   * Whoever types this token into the page may pause, resume and reconnect hosts, and have their cached answers forgotten. At least 16
   * characters. Without it the page only shows.
   */
  token?: string;
}

/** How the page of a daemon differs from that of a gateway. */
export interface PageSettings {
  readonly addresses: boolean;
  /** SHA-256 of the token, in hexadecimal. */
  readonly tokenDigest?: string;
  /** What stands in events for whoever acts. */
  readonly place: string;
  /** An action was refused for want of the token. */
  readonly onStranger?: () => void;
}

const LEAST_TOKEN = 16;

/** Answers a request; resolves to whether the path is one of the page. Where it is not, nothing was answered. */
export interface Dashboard {
  (request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  /** Viewers now. */
  readonly viewers: number;
  /** Ends the viewers' streams. */
  close(): void;
}

/** Nothing inline, nothing from elsewhere, in no frame. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/**
 * The page of all hosts. Mount it at a path of its own: `/` is the page, and its files and its stream lie beside it.
 * It asks nobody who looks at it who they are: put it behind what the gateway has for that, or on loopback.
 *
 * @throws RangeError for a token that is too short
 */
export function dashboard(remotes: RemoteHosts, { addresses = false, token }: DashboardOptions = {}): Dashboard {
  if (token !== undefined && token.length < LEAST_TOKEN) {
    throw new RangeError(`A token has at least ${LEAST_TOKEN} characters.`);
  }
  const given = token === undefined ? {} : { tokenDigest: digestOf(token).toString("hex") };
  return makePage(remotes, { addresses, ...given, place: "the page" });
}

/** The same for whoever has the token's digest only. */
export function makePage(remotes: PageSource, { addresses, tokenDigest, place, onStranger }: PageSettings): Dashboard {
  const { monitor } = remotes;
  monitor.start();
  const actions = tokenDigest === undefined ? undefined : new Actions(remotes, tokenDigest, place);
  const streams = new LiveStreams(remotes, addresses, actions !== undefined);

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://page.invalid");
    const name = pathname.slice(pathname.lastIndexOf("/") + 1);
    const asset = findAsset(name === "" ? "index.html" : name);
    const isAction = name === "act" && actions !== undefined;
    if (asset === undefined && name !== "live" && name !== "reports" && !isAction) {
      return false;
    }
    for (const [header, value] of Object.entries(SECURITY_HEADERS)) {
      response.setHeader(header, value);
    }
    if (isAction && isOwnOrigin(request)) {
      const { status, body } = await actions.answer(request);
      if (status === 401) {
        onStranger?.();
      }
      sendJson(request, response, body, status);
    } else if (!isAction && request.method !== "GET" && request.method !== "HEAD") {
      refuse(response, 405, "only GET and HEAD\n", { allow: "GET, HEAD" });
    } else if (!isOwnOrigin(request)) {
      refuse(response, 403, "this page answers to no other one\n");
    } else if (asset !== undefined) {
      sendAsset(request, response, await asset);
    } else if (name === "reports") {
      const hosts = await monitor.reports({ addresses });
      sendJson(request, response, { atMs: Date.now(), hosts });
    } else {
      sendStream(request, response, searchParams.get("host") ?? undefined);
    }
    return true;
  };

  function sendStream(request: IncomingMessage, response: ServerResponse, hostId: string | undefined): void {
    if (request.method === "HEAD") {
      response.writeHead(200, { "content-type": "text/event-stream" }).end();
      return;
    }
    response.setHeader("content-type", "text/event-stream");
    response.setHeader("cache-control", "no-store");
    // A reverse proxy that gathers events would hold them back.
    response.setHeader("x-accel-buffering", "no");
    if (!streams.add(response, hostId)) {
      response.removeHeader("content-type");
      refuse(response, 503, "too many look at this page already\n", { "retry-after": "10", connection: "close" });
    }
  }

  return Object.defineProperties(handle as Dashboard, {
    viewers: { get: () => streams.count },
    close: { value: () => streams.close() },
  });
}

/** A browser names the page that asks; programs name none. */
function isOwnOrigin({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers;
  const site = headers["sec-fetch-site"];
  // A link from elsewhere may lead here; no other page may read what is here.
  if (site !== undefined && site !== "same-origin" && site !== "none" && headers["sec-fetch-mode"] !== "navigate") {
    return false;
  }
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
}

function sendAsset({ method, headers }: IncomingMessage, response: ServerResponse, { type, body, etag }: Asset): void {
  response.setHeader("etag", etag);
  // Asked for again each time, since the next version of the package has the same names.
  response.setHeader("cache-control", "no-cache");
  if (headers["if-none-match"] === etag) {
    response.writeHead(304).end();
    return;
  }
  response.writeHead(200, { "content-type": type, "content-length": body.length });
  response.end(method === "HEAD" ? undefined : body);
}

function sendJson({ method }: IncomingMessage, response: ServerResponse, value: unknown, status = 200): void {
  const body = `${JSON.stringify(value)}\n`;
  const headers = {
    "content-type": "application/json",
    "cache-control": "no-store",
    // What is refused may have more to come, which nobody reads.
    ...(status < 400 ? {} : { connection: "close" }),
  };
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  response.end(method === "HEAD" ? undefined : body);
}

function refuse(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", ...headers });
  response.end(text);
}
