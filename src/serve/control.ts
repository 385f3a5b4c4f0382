/**
 * The `control` listener: what an operator asks of the hosts and does with them while the daemon runs. HTTP with JSON on a unix socket
 * that only its owner can open, or on loopback with a token. The verbs are in control-verbs.ts; `relaypost ctl` is the other end.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isToken } from "../dashboard/token.js";
import { RelaypostError } from "../errors.js";
import type { RemoteHosts } from "../remote-hosts.js";
import { type ControlRequest, VERBS } from "./control-verbs.js";
import { HttpServer } from "./http-server.js";
import type { ListenAddress } from "./listen-address.js";
import type { LogThrottle } from "./log-throttle.js";
import type { ControlSettings } from "./settings.js";

/** A request is a verb and a few words. */
const MOST_BODY_OCTETS = 64 * 1024;
const LONGEST_NAME = 64;

/** Refused before a verb is looked at. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** One listener. */
export class ControlListener {
  readonly refusedLogins = 0;
  answers = 0;
  readonly #server: HttpServer;
  readonly #settings: ControlSettings;
  readonly #remotes: RemoteHosts;
  readonly #throttle: LogThrottle;

  constructor(settings: ControlSettings, remotes: RemoteHosts, throttle: LogThrottle) {
    this.#settings = settings;
    this.#remotes = remotes;
    this.#throttle = throttle;
    this.#server = new HttpServer(settings, (request, response) => this.#answer(request, response));
    remotes.monitor.start();
  }

  /** Clients now. */
  get count(): number {
    return this.#server.count;
  }

  listen(): Promise<ListenAddress> {
    return this.#server.listen();
  }

  async close(drainMs: number): Promise<void> {
    await this.#server.close(drainMs);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      this.#admit(request);
      const verb = (request.url ?? "").slice(1);
      const carryOut = Object.hasOwn(VERBS, verb) ? VERBS[verb as keyof typeof VERBS] : undefined;
      if (carryOut === undefined) {
        throw new Refusal(404, `the verbs are ${Object.keys(VERBS).join(", ")}`);
      }
      const asked = await readBody(request);
      const { name, addresses } = this.#settings;
      const by = `${nameOf(asked.by)} via serve.${name}`;
      const context = { remotes: this.#remotes, addresses, by, signal: gone.signal };
      response.setHeader("content-type", "application/x-ndjson");
      response.setHeader("cache-control", "no-store");
      for await (const value of carryOut(context, asked)) {
        if (!response.write(`${JSON.stringify(value)}\n`)) {
          await new Promise<void>((resolve) => {
            response.once("drain", resolve);
            response.once("close", resolve);
          });
        }
      }
      response.end();
      this.answers++;
    } catch (error) {
      this.#refuse(response, error as Error);
    }
  }

  /** Who may ask. On a unix socket its mode has decided already, unless there is a token, too. */
  #admit({ method, headers }: IncomingMessage): void {
    // Browsers name a page that asks, and no page has business here.
    if (headers.origin !== undefined || headers["sec-fetch-site"] !== undefined) {
      throw new Refusal(403, "no page of a browser may ask");
    }
    if (method !== "POST") {
      throw new Refusal(405, "only POST");
    }
    const { tokenDigest } = this.#settings;
    if (tokenDigest === undefined) {
      return;
    }
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
    if (!isToken(token, tokenDigest)) {
      this.#throttle.warn("serve-control-refused", "a client of the control listener had no token, or a wrong one");
      throw new Refusal(401, "a token is needed, and this was none or a wrong one");
    }
  }

  #refuse(response: ServerResponse, error: Error): void {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const isKnown = error instanceof RelaypostError;
    const status =
      error instanceof Refusal ? error.status : isKnown ? (error.code === "UNKNOWN_HOST" ? 404 : 400) : 500;
    const code = isKnown ? error.code : undefined;
    response.writeHead(status, { "content-type": "application/json", connection: "close" });
    response.end(`${JSON.stringify({ error: { code, message: error.message } })}\n`);
  }
}

async function readBody(request: IncomingMessage): Promise<ControlRequest> {
  const chunks: Buffer[] = [];
  let octets = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    octets += chunk.length;
    if (octets > MOST_BODY_OCTETS) {
      throw new Refusal(413, `a request has at most ${MOST_BODY_OCTETS} octets`);
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  try {
    const value: unknown = text === "" ? {} : JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as ControlRequest;
    }
  } catch {
    // Said below.
  }
  throw new Refusal(400, "a request is a JSON object");
}

/** Whoever it says that it is: on a unix socket Node cannot ask the kernel. */
function nameOf(by: unknown): string {
  const name = typeof by === "string" ? by.replace(/[^\w.@-]/g, "").slice(0, LONGEST_NAME) : "";
  return name === "" ? "somebody" : name;
}
