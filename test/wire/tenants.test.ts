/** The whole house on loopback with tenants: whose messages go next, whose part of the queue is full, and what is told of them. */
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { pino } from "pino";
import { type ConfigInput, RemoteHosts, type RequestOptions } from "../../src/index.js";
import { collectMetrics } from "../../src/metrics.js";
import { listenMail } from "../../src/testing/index.js";

let closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  const all = closing;
  closing = [];
  for (const close of all.toReversed()) {
    await close();
  }
});

/** One connection, one message at a time, to a host that waits with its first reply to DATA until it may go on. */
async function openHouse(tenant: ConfigInput["tenant"] = {}, queue = 100) {
  let go!: () => void;
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  let atGate!: () => void;
  const reached = new Promise<void>((resolve) => {
    atGate = resolve;
  });
  const waitFor = (): Promise<void> => {
    atGate();
    return gate;
  };
  const server = await listenMail({ overrides: [{ on: "terminator", times: 1, waitFor }] });
  closing.push(() => server.close());
  const { address, port } = server;
  const tls = { implicit: false, starttls: "disable" } as const;
  const limits = { queue, pipeline: 1, requests: 1000, errors: 1000 };
  const store = { address, port, protocol: "smtp", lookup: true, tls, limits, concurrency: 1 } as const;
  const remotes = await RemoteHosts.open({ remote: { store }, tenant }, { logger: pino({ level: "silent" }) });
  closing.push(() => remotes.close({ drainMs: 0 }));
  const host = remotes.host("store");
  const settled: string[] = [];
  const relay = async (name: string, options: RequestOptions): Promise<void> => {
    await host.relay({ from: "me@example.org", to: `${name}@example.net` }, "Subject: hi\r\n\r\nHello.\r\n", options);
    settled.push(name);
  };
  return { remotes, host, relay, settled, go, reached };
}

describe("messages of several tenants", () => {
  test("go in turns, though one tenant's came first", async () => {
    const { relay, settled, go } = await openHouse();
    const sent = [relay("first", { tenant: "bulk" })];
    for (let count = 0; count < 30; count++) {
      sent.push(relay(`bulk${count}`, { tenant: "bulk" }));
    }
    sent.push(relay("small", { tenant: "small" }));
    go();
    await Promise.all(sent);
    // A turn of one tenant is 8 KiB: with what an envelope counts for that is some eight of these messages.
    assert.ok(settled.indexOf("small") < 20, settled.join());
  });

  test("go by priority within one tenant, and nobody is forgotten", async () => {
    const { relay, settled, go } = await openHouse();
    const sent = [relay("first", { tenant: "a", priority: "high" })];
    for (let count = 0; count < 20; count++) {
      sent.push(relay("bulk", { tenant: "a", priority: "bulk" }));
    }
    for (let count = 0; count < 20; count++) {
      sent.push(relay("high", { tenant: "a", priority: "high" }));
    }
    go();
    await Promise.all(sent);
    const early = settled.slice(1, 19);
    const high = early.filter((name) => name === "high").length;
    assert.equal(high, 16, settled.join());
  });

  test("fill at most half of the queue, where others have none, and less where the settings say so", async () => {
    const { remotes, relay, go, reached } = await openHouse({ small: { queue: 2 } }, 20);
    const sent: Promise<unknown>[] = [];
    const refusals: unknown[] = [];
    const send = (tenant: string): void => {
      const message = tenant === "" ? relay("x", {}) : relay("x", { tenant });
      sent.push(message.catch(({ code }) => refusals.push(code)));
    };
    send("big");
    await reached;
    for (let count = 0; count < 15; count++) {
      send("big");
    }
    await new Promise(setImmediate);
    const ofBig = refusals.length;
    assert.ok(ofBig >= 5 && ofBig <= 6, `${ofBig}`);
    for (let count = 0; count < 4; count++) {
      send("small");
    }
    send("");
    await new Promise(setImmediate);
    assert.deepEqual(refusals, new Array(ofBig + 2).fill("MAILBOX_FULL"));
    const { tenants, turnedAway } = (await remotes.stats()).hosts.store!;
    assert.deepEqual(tenants, [
      { name: "big", requests: 16 - ofBig, turnedAway: ofBig, pending: 16 - ofBig },
      { name: "small", requests: 2, turnedAway: 2, pending: 2 },
    ]);
    assert.equal(turnedAway, ofBig + 2);
    go();
    await Promise.all(sent);
    const text = await collectMetrics(remotes);
    assert.match(text, /relaypost_tenant_requests_total\{host="store",tenant="small"\} 2\n/);
    assert.match(text, /relaypost_tenant_requests_turned_away_total\{host="store",tenant="small"\} 2\n/);
    assert.equal((await remotes.stats()).hosts.store!.tenants![0]!.pending, 0);
  });

  test("are told of for the hundred busiest, however many names there are", async () => {
    const { remotes, host } = await openHouse();
    await host.verifyRecipient("anna@example.org", { tenant: "busy" });
    for (let count = 0; count < 300; count++) {
      const asked = [host.verifyRecipient(`${count}@example.org`, { tenant: `rare${count}` })];
      asked.push(host.verifyRecipient(`x${count}@example.org`, { tenant: "busy" }));
      await Promise.all(asked);
    }
    const { tenants = [] } = (await remotes.stats()).hosts.store!;
    assert.equal(tenants.length, 100);
    assert.deepEqual(tenants[0], { name: "busy", requests: 301, turnedAway: 0, pending: 0 });
  });

  test("need a name that can be one", async () => {
    const { host } = await openHouse();
    const wrong: unknown[] = [
      { tenant: 1 },
      { tenant: "a\nb" },
      { tenant: "é".repeat(128) },
      { priority: "urgent" },
      { priority: 1 },
    ];
    for (const options of wrong as RequestOptions[]) {
      await assert.rejects(host.verifyRecipient("anna@example.org", options), { code: "INVALID_ARGUMENT" });
    }
    await host.verifyRecipient("anna@example.org", { tenant: "é".repeat(127), priority: "bulk" });
    assert.equal((await host.verifyRecipient("anna@example.org")).source, "cache");
  });
});
