/** A real HAProxy in front of `relaypost serve`: the daemon knows the clients that came through it, by both versions of the protocol. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { Client, House } from "../wire/serve/kit/house.js";
import { HaProxy } from "./kit/haproxy.js";
import { reasonToSkip } from "./kit/sandbox.js";

describe("HAProxy in front of the gateway", { skip: reasonToSkip("haproxy") }, () => {
  let house: House;
  let haproxy: HaProxy<"v1" | "v2" | "silent">;

  before(async () => {
    house = await House.open(`
[serve.in]
protocol = "smtp"
listen = "127.0.0.1:0"
host = "lmtp"
proxy-from = ["127.0.0.1/32"]
`);
    const { port: to } = house.address("in") as { port: number };
    haproxy = await HaProxy.start({
      v1: { to, send: "send-proxy" },
      v2: { to, send: "send-proxy-v2" },
      silent: { to },
    });
  });

  after(async () => {
    await haproxy?.[Symbol.asyncDispose]();
    await house?.[Symbol.asyncDispose]();
  });

  for (const [way, from] of [
    ["v1", "127.0.0.9"],
    ["v2", "127.0.0.10"],
  ] as const) {
    test(`the client is known (${way})`, async () => {
      using client = new Client(connect({ host: "127.0.0.1", port: haproxy.ports[way], localAddress: from }));
      await client.until(/^220 .*\r\n/m);
      for (const line of ["EHLO c", "MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA", "hi\r\n."]) {
        await client.say(`${line}\r\n`).until(/^[23]\d\d .*\r\n/m);
      }
      const { content } = house.lmtp.ledger.deliveries.at(-1)!;
      assert.ok(content.toString().startsWith(`Received: from c ([${from}])`), content.toString());
    });
  }

  test("nobody is served whom it does not name", async () => {
    using client = new Client(connect({ host: "127.0.0.1", port: haproxy.ports.silent }));
    client.say("EHLO c\r\n");
    await assert.rejects(client.until(/^220/), /closed/);
  });
});
