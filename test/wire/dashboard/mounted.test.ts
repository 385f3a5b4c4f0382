/** The page mounted as docs/observability.md says, in Node's http, Express and Fastify: the lines of the docs run, with the real packages. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import express from "express";
import { fastify } from "fastify";
import { pino } from "pino";
import { type Dashboard, dashboard } from "../../../src/dashboard/index.js";
import { RemoteHosts } from "../../../src/remote-hosts.js";

const DOCS = readFileSync(new URL("../../../../docs/observability.md", import.meta.url), "utf8");
const TOKEN = "a token of some length";

/** The lines that begin with this comment, as a function of what they use. */
function linesFor(comment: string, ...names: readonly string[]): (...values: unknown[]) => unknown {
  const [, code] = new RegExp(`^\`\`\`js\\n(// ${comment}[^]*?)^\`\`\`$`, "m").exec(DOCS) ?? [];
  assert.ok(code !== undefined, `docs/observability.md has no lines for ${comment}`);
  return new Function(...names, `${code}\nreturn typeof server === "undefined" ? undefined : server;`) as never;
}

describe("the page as the docs mount it", { timeout: 60_000 }, () => {
  let remotes: RemoteHosts;
  let page: Dashboard;
  const endings: (() => unknown)[] = [];

  before(async () => {
    const tls = { implicit: false, starttls: "disable" } as const;
    const config = { remote: { store: { address: "127.0.0.1", port: 9, protocol: "lmtp", tls } } } as const;
    remotes = await RemoteHosts.open(config, { logger: pino({ level: "silent" }) });
    page = dashboard(remotes, { token: TOKEN });
  });

  after(async () => {
    page?.close();
    for (const end of endings) {
      await end();
    }
    await remotes?.close({ drainMs: 0 });
  });

  async function listening(server: Server): Promise<string> {
    server.listen(0, "127.0.0.1");
    endings.push(() => {
      server.closeAllConnections();
      server.close();
    });
    await once(server, "listening");
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** All that the page is: its files, its stream, its actions; and that the rest of the gateway is left alone. */
  async function holds(origin: string, path: string, other: number): Promise<void> {
    const index = await fetch(`${origin}${path}`);
    assert.equal(index.status, 200);
    assert.match(await index.text(), /<script type="module" src="dashboard\.js">/);
    assert.match(index.headers.get("content-security-policy") ?? "", /default-src 'none'/);
    for (const file of ["dashboard.js", "dashboard.css", "favicon.svg", "reports"]) {
      const answer = await fetch(`${origin}${path}${file}`);
      assert.equal(answer.status, 200, file);
      await answer.arrayBuffer();
    }
    const reader = (await fetch(`${origin}${path}live`)).body!.getReader();
    let told = "";
    while (!told.includes("event: hosts")) {
      told += Buffer.from((await reader.read()).value!).toString();
    }
    await reader.cancel();
    const act = (token: string) =>
      fetch(`${origin}${path}act`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${token}`, origin },
        body: JSON.stringify({ action: "resume", id: "store" }),
      });
    assert.deepEqual(await (await act(TOKEN)).json(), { done: "It goes on." });
    assert.equal((await act("another one of some length")).status, 401);
    assert.equal((await fetch(`${origin}${path}metrics`)).status, 404);
    assert.equal((await fetch(`${origin}/own`)).status, other);
  }

  it("in Node's http", async () => {
    const server = linesFor("Node's http", "createServer", "page")(createServer, page) as Server;
    await holds(await listening(server), "/", 404);
  });

  it("in Express", async () => {
    const app = express();
    linesFor("Express", "app", "page")(app, page);
    app.use(express.json());
    app.get("/own", (_request, response) => void response.send("own"));
    await holds(await listening(createServer(app)), "/relaypost/", 200);
  });

  it("in Fastify, whose own routes read bodies as before", async () => {
    const server = fastify();
    linesFor("Fastify", "fastify", "page")(server, page);
    server.get("/own", async () => "own");
    server.post("/echo", async ({ body }) => body);
    const origin = await server.listen({ port: 0, host: "127.0.0.1" });
    endings.push(() => server.close());
    await holds(origin, "/relaypost/", 200);
    const echoed = await fetch(`${origin}/echo`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"a":1}',
    });
    assert.deepEqual(await echoed.json(), { a: 1 });
  });
});
