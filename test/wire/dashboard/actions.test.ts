/** What may be done on the page, and by whom: with the token, from the page itself, in bounds; each action is an event with who and when. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { pino } from "pino";
import { type Dashboard, dashboard } from "../../../src/dashboard/index.js";
import { RemoteHosts } from "../../../src/remote-hosts.js";
import { listenMail, type StrictServer } from "../../../src/testing/index.js";
import { serveWith } from "../kit/page-server.js";

const TOKEN = "a token of some length";

describe("an action on the page", { timeout: 60_000 }, () => {
  let judge: StrictServer;
  let remotes: RemoteHosts;
  let handler: Dashboard;
  let server: Server;
  let url: string;

  before(async () => {
    judge = await listenMail({ protocol: "lmtp", recipients: ["ann@example.org"] });
    const { address, port } = judge;
    const tls = { implicit: false, starttls: "disable" } as const;
    const config = { remote: { store: { address, port, protocol: "lmtp", lookup: true, tls } } } as const;
    remotes = await RemoteHosts.open(config, { logger: pino({ level: "silent" }) });
    handler = dashboard(remotes, { token: TOKEN });
    ({ server, url } = await serveWith(handler));
  });

  after(async () => {
    handler?.close();
    server?.closeAllConnections();
    server?.close();
    await remotes?.close({ drainMs: 0 });
    await judge?.close();
  });

  /** As the page sends it. */
  async function act(
    asked: unknown,
    headers: Readonly<Record<string, string>> = {},
    method = "POST",
  ): Promise<{ status: number; done?: string; error?: string }> {
    const body = typeof asked === "string" ? asked : JSON.stringify(asked);
    const response = await fetch(`${url}/act`, {
      method,
      headers: { "content-type": "application/json", authorization: `Bearer ${TOKEN}`, origin: url, ...headers },
      ...(method === "GET" ? {} : { body }),
    });
    const text = await response.text();
    return { status: response.status, ...(text.startsWith("{") ? JSON.parse(text) : {}) };
  }

  /** How often it was paused. */
  const pauses = () => remotes.events({ hostId: "store" }).filter(({ event }) => event === "host-paused").length;
  const PAUSE = { action: "pause", id: "store" };

  it("pauses and resumes, and says who did", async () => {
    assert.deepEqual(await act({ ...PAUSE, requests: "refuse" }), { status: 200, done: "It is paused." });
    assert.equal(pauses(), 1);
    await assert.rejects(remotes.host("store").verifyRecipient("ann@example.org"), { code: "HOST_UNAVAILABLE" });
    assert.deepEqual(await act({ action: "resume", id: "store" }), { status: 200, done: "It goes on." });
    assert.equal((await remotes.host("store").verifyRecipient("ann@example.org")).found, true);
    const events = remotes.events({ hostId: "store" }).filter(({ event }) => /^host-(?:paused|resumed)$/.test(event));
    assert.equal(events.length, 2);
    for (const { message } of events) {
      assert.match(message, /^somebody at 127\.0\.0\.1 via the page /);
    }
  });

  it("forgets answers, and replaces connections", async () => {
    const store = remotes.host("store");
    await store.verifyRecipient("new@example.org");
    await store.verifyRecipient("other@example.org");
    const forget = { action: "forget", id: "store" };
    assert.equal((await act({ ...forget, recipient: "new@example.org" })).done, "One answer is forgotten.");
    assert.equal((await act({ ...forget, recipient: "new@example.org" })).done, "0 answers are forgotten.");
    assert.equal((await store.verifyRecipient("other@example.org")).source, "cache");
    assert.equal((await act(forget)).status, 200);
    assert.equal((await store.verifyRecipient("other@example.org")).source, "remote");
    const { opened } = (await remotes.stats()).hosts.store!;
    assert.equal((await act({ action: "reconnect", id: "store" })).status, 200);
    await store.verifyRecipient("third@example.org");
    assert.equal((await remotes.stats()).hosts.store!.opened, opened + 1);
  });

  it("needs the whole token", async () => {
    for (const authorization of ["", "Bearer ", `Bearer ${TOKEN.slice(0, -1)}`, `Bearer ${TOKEN}x`, `Basic ${TOKEN}`]) {
      const { status, error } = await act(PAUSE, { authorization });
      assert.equal(status, 401, authorization);
      assert.ok(!error?.includes(TOKEN.slice(0, 8)));
    }
    assert.equal(pauses(), 1, "only the one that was meant");
  });

  it("is the page's own: no other page, form or frame may ask for it, token or not", async () => {
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors" },
      { "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors" },
      { origin: "https://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
    ]) {
      assert.equal((await act(PAUSE, headers)).status, 403, JSON.stringify(headers));
    }
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
      assert.equal((await act(PAUSE, { "content-type": type })).status, 415, type);
    }
    assert.equal((await act(PAUSE, {}, "GET")).status, 405);
    const { status, headers } = await fetch(`${url}/act`, { method: "OPTIONS" });
    assert.equal(status, 405);
    assert.equal(headers.get("access-control-allow-origin"), null);
    assert.equal(pauses(), 1, "only the one that was meant");
  });

  it("is one of four, of a host that there is, and small", async () => {
    for (const asked of [
      { action: "toString", id: "store" },
      { action: "trace", id: "store" },
      { action: "pause" },
      { action: "pause", id: "other" },
      { ...PAUSE, requests: "vanish" },
      { ...PAUSE, forMs: -1 },
      [],
      "null",
      "{",
    ]) {
      const { status, error } = await act(asked);
      assert.equal(status, 400, JSON.stringify(asked));
      assert.notEqual(error, undefined);
    }
    assert.equal((await act({ ...PAUSE, requests: "x".repeat(5_000) })).status, 413);
    assert.equal(pauses(), 1, "only the one that was meant");
  });

  it("is offered where there is a token, beside the connections one by one", async () => {
    await remotes.host("store").verifyRecipient("fourth@example.org");
    const { body } = await fetch(`${url}/live?host=store`);
    const reader = body!.getReader();
    let told = "";
    while (!/^event: connections\ndata: .*\n\n/m.test(told)) {
      const { value, done } = await reader.read();
      assert.equal(done, false);
      told += Buffer.from(value!).toString();
    }
    await reader.cancel();
    assert.equal(JSON.parse(/^event: hosts\ndata: (.*)$/m.exec(told)![1]!).canAct, true);
    const { id, connections, total } = JSON.parse(/^event: connections\ndata: (.*)$/m.exec(told)![1]!);
    assert.deepEqual([id, total, connections.length], ["store", 1, 1]);
    const [{ state, address, tls, requests }] = connections;
    assert.deepEqual([state, address, tls], ["idle", judge.address, null]);
    assert.ok(requests >= 1);
  });

  it("is not the end of the gateway where somebody looks at a host that is not there", async () => {
    const { body } = await fetch(`${url}/live?host=nobody`);
    const reader = body!.getReader();
    let told = "";
    while ((told.match(/^event: hosts$/gm) ?? []).length < 2) {
      told += Buffer.from((await reader.read()).value!).toString();
    }
    await reader.cancel();
    assert.doesNotMatch(told, /^event: connections$/m);
  });

  it("is not there without a token, and a token is long", async () => {
    const mute = dashboard(remotes);
    const quiet = createServer(async (incoming, response) => {
      if (!(await mute(incoming, response))) {
        response.writeHead(404).end();
      }
    }).listen(0, "127.0.0.1");
    await once(quiet, "listening");
    try {
      const place = `http://127.0.0.1:${(quiet.address() as AddressInfo).port}/act`;
      const headers = { "content-type": "application/json", authorization: `Bearer ${TOKEN}` };
      const { status } = await fetch(place, { method: "POST", headers, body: JSON.stringify(PAUSE) });
      assert.equal(status, 404);
      assert.equal(pauses(), 1, "only the one that was meant");
    } finally {
      quiet.closeAllConnections();
      quiet.close();
    }
    assert.throws(() => dashboard(remotes, { token: "short" }), RangeError);
  });
});
