/** `relaypost/dashboard` as an embedding gateway and a stranger meet it: what it answers, whom it refuses, and what slow readers cost. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type Dashboard, dashboard } from "../../../src/dashboard/index.js";
import { RemoteHosts } from "../../../src/remote-hosts.js";
import { listenMail, type StrictServer } from "../../../src/testing/index.js";
import { serveWith } from "../kit/page-server.js";

describe("the dashboard", { timeout: 60_000 }, () => {
  let judge: StrictServer;
  let remotes: RemoteHosts;
  let handler: Dashboard;
  let server: Server;
  let url: string;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    judge = await listenMail({ protocol: "lmtp" });
    const { address, port } = judge;
    const tls = { implicit: false, starttls: "disable" } as const;
    remotes = await RemoteHosts.open({ remote: { store: { address, port, protocol: "lmtp", lookup: true, tls } } });
    handler = dashboard(remotes);
    ({ server, url } = await serveWith(handler));
  });

  afterEach(async () => {
    handler.close();
    server.closeAllConnections();
    server.close();
    await remotes.close({ drainMs: 0 });
    await judge.close();
  });

  /** What a stream tells, from its beginning up to a pattern. */
  async function streamed(path: string, until: RegExp): Promise<string> {
    const { body } = await fetch(`${url}${path}`);
    const reader = body!.getReader();
    let told = "";
    while (!until.test(told)) {
      const { value, done } = await reader.read();
      assert.equal(done, false, `the stream ended after ${told}`);
      told += Buffer.from(value!).toString();
    }
    await reader.cancel();
    return told;
  }

  it("serves its files with a policy that lets nothing else in, and leaves other paths to the gateway", async () => {
    for (const [path, type] of [
      ["/", "text/html; charset=utf-8"],
      ["/anywhere/below/", "text/html; charset=utf-8"],
      ["/dashboard.js", "text/javascript; charset=utf-8"],
      ["/dashboard.css", "text/css; charset=utf-8"],
      ["/favicon.svg", "image/svg+xml"],
    ]) {
      const response = await fetch(`${url}${path}`);
      assert.equal(response.status, 200, path);
      assert.equal(response.headers.get("content-type"), type);
      const policy = response.headers.get("content-security-policy") ?? "";
      assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
      assert.doesNotMatch(policy, /unsafe|https?:|\*/);
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      const again = await fetch(`${url}${path}`, { headers: { "if-none-match": response.headers.get("etag")! } });
      assert.equal(again.status, 304);
      const body = await response.text();
      assert.doesNotMatch(path === "/" ? body : "", /<script(?! type="module" src="dashboard\.js">)|<style|style=/);
    }
    assert.equal((await fetch(`${url}/metrics`)).status, 404);
    assert.equal((await fetch(`${url}/toString`)).status, 404);
  });

  it("refuses other methods and other pages", async () => {
    const post = await fetch(`${url}/`, { method: "POST" });
    assert.equal(post.status, 405);
    assert.equal(post.headers.get("allow"), "GET, HEAD");
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors" },
    ]) {
      assert.equal((await fetch(`${url}/reports`, { headers })).status, 403, JSON.stringify(headers));
    }
    assert.equal((await fetch(`${url}/reports`, { headers: { origin: url } })).status, 200);
    const headers = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    const [link] = await once(request(url, { headers }).end(), "response");
    assert.equal(link.resume().statusCode, 200, "a link may lead here");
  });

  it("tells of all hosts each second, and of the one that is looked at", async () => {
    await remotes.host("store").verifyRecipient("ann@example.org");
    const told = await streamed("/live?host=store", /(event: hosts\n[\s\S]*){2}event: host\n.*\n\n/);
    const hosts = [...told.matchAll(/^event: hosts\ndata: (.*)$/gm)].map(([, data]) => JSON.parse(data!));
    assert.equal(hosts.at(-1).hosts[0].id, "store");
    assert.equal(hosts.at(-1).hosts[0].connections.idle, 1);
    assert.match(told, /event: sparks\ndata: \{"store":\{"span":"minute"/);
    const host = JSON.parse(/^event: host\ndata: (.*)$/m.exec(told)![1]!);
    assert.equal(host.id, "store");
    assert.deepEqual(Object.fromEntries(host.settings).protocol, "lmtp");
  });

  it("bears a thousand readers that do not read: a few are told, the rest is turned away, others are served", async () => {
    const port = Number(new URL(url).port);
    let refused = 0;
    const ended = new Promise<void>((resolve) => {
      for (let number = 0; number < 1_000; number++) {
        const socket = connect(port, "127.0.0.1");
        sockets.push(socket);
        socket.on("error", () => {});
        socket.write("GET /live?host=store HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
        socket.once("data", (data) => {
          if (data.toString().startsWith("HTTP/1.1 503")) {
            refused++;
          }
          socket.pause();
          if (refused === 1_000 - 32) {
            resolve();
          }
        });
      }
    });
    await ended;
    assert.equal(handler.viewers, 32);
    const before = process.memoryUsage().rss;
    assert.equal((await fetch(`${url}/reports`)).status, 200);
    const { found } = await remotes.host("store").verifyRecipient("bob@example.org");
    assert.equal(found, true);
    for (const socket of sockets) {
      socket.destroy();
    }
    while (handler.viewers > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(process.memoryUsage().rss - before < 64 * 2 ** 20);
    await streamed("/live", /event: hosts/);
  });
});
