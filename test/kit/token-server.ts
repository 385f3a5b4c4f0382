/**
 * A token server on loopback (RFC 6749) that hands out tokens, or answers as a test orders, and tells a real mail server which of them
 * are good (RFC 7662). Serves the tests of accounts by OAuth 2.0.
 */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Certificate } from "../../src/testing/index.js";

/** One answer: fields of a token's JSON that differ from the usual, or whatever a test does with the response. */
export type TokenOrder = Readonly<Record<string, unknown>> | ((response: ServerResponse) => void);

const INTROSPECTION = "/introspect";

/** An answer with a status, further headers and a body, which is JSON where it is no string. */
export function answer(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): (response: ServerResponse) => void {
  return (response) => {
    const isText = typeof body === "string";
    response.writeHead(status, { "content-type": isText ? "text/html" : "application/json", ...headers });
    response.end(isText ? body : JSON.stringify(body));
  };
}

export class TokenServer implements AsyncDisposable {
  /** What was asked for, in order. */
  readonly requests: URLSearchParams[] = [];
  /** For the next requests; then tokens are handed out: token-1, token-2 and so on. */
  readonly orders: TokenOrder[] = [];
  /** What is answered where no order is left. */
  always: TokenOrder = {};
  /** Tokens that are good for a mail server which asks at `introspectionUrl`, and whose they are. */
  readonly active = new Map<string, string>();
  /** Whether a request proves that it comes from a client of this server; it is refused otherwise. */
  knows: (request: URLSearchParams, headers: IncomingHttpHeaders) => boolean = () => true;
  /** Called with each token that is handed out in the usual way. */
  onToken: (token: string) => void = () => {};
  private count = 0;
  private readonly server: ReturnType<typeof createServer>;

  private constructor(private readonly certificate: Certificate | undefined) {
    this.server =
      certificate === undefined ? createServer() : createSecureServer({ cert: certificate.cert, key: certificate.key });
    this.server.on("request", async (request, response: ServerResponse) => {
      let body = "";
      for await (const part of request as AsyncIterable<Buffer>) {
        body += part.toString();
      }
      const parameters = new URLSearchParams(body);
      if (request.url === INTROSPECTION) {
        const username = this.active.get(parameters.get("token") ?? "");
        answer(200, username === undefined ? { active: false } : { active: true, username })(response);
        return;
      }
      this.requests.push(parameters);
      if (this.knows(parameters, request.headers)) {
        this.serve(response);
      } else {
        answer(401, { error: "invalid_client" })(response);
      }
    });
  }

  static async listen(certificate?: Certificate): Promise<TokenServer> {
    const server = new TokenServer(certificate);
    server.server.listen(0, "127.0.0.1");
    await once(server.server, "listening");
    return server;
  }

  get url(): string {
    const { port } = this.server.address() as AddressInfo;
    return `${this.certificate === undefined ? "http" : "https"}://127.0.0.1:${port}/token`;
  }

  get introspectionUrl(): string {
    return new URL(INTROSPECTION, this.url).href;
  }

  get host(): string {
    return new URL(this.url).host;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(response: ServerResponse): void {
    const order = this.orders.shift() ?? this.always;
    if (typeof order === "function") {
      order(response);
      return;
    }
    const token = `token-${++this.count}`;
    this.onToken(token);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ access_token: token, token_type: "Bearer", expires_in: 3600, ...order }));
  }
}
