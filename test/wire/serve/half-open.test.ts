/** Clients of the gateway that end their side of the connection and wait for replies, as Exim does behind its last message. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { makeCertificate } from "../../../src/testing/index.js";
import { Client, House } from "./kit/house.js";

const MESSAGE = "Subject: hi\r\n\r\nhi\r\n";
const V1 = "PROXY TCP4 192.0.2.1 192.0.2.25 1025 25\r\n";

describe("the gateway, where clients end their side", { timeout: 30_000 }, () => {
  let house: House;
  let ca: string;

  before(async () => {
    house = await House.open("");
    const certificate = await makeCertificate({ kind: "own-ca" });
    ca = certificate.ca;
    writeFileSync(join(house.folder, "cert.pem"), certificate.cert);
    writeFileSync(join(house.folder, "key.pem"), certificate.key);
    const gateway = `protocol = "smtp"\nlisten = "127.0.0.1:0"\nhost = "lmtp"`;
    house.write(`
[serve.plain]
${gateway}
[serve.starttls]
${gateway}
tls = { cert = "cert.pem", key = "key.pem" }
[serve.tls]
${gateway}
tls = { implicit = true, cert = "cert.pem", key = "key.pem" }
[serve.proxied]
${gateway}
proxy-from = ["127.0.0.1/32"]
`);
    await house.restart();
  });

  after(() => house[Symbol.asyncDispose]());

  /** Greeted, and inside TLS where the listener has it. */
  async function open(listener: string): Promise<Client> {
    const client = house.connect(listener);
    if (listener === "proxied") {
      client.say(V1);
    }
    if (listener === "starttls") {
      await client.until(/^220 .*\r\n/);
      await client.say("EHLO c\r\n").until(/^250 .*\r\n/m);
      await client.say("STARTTLS\r\n").until(/^220 .*\r\n/m);
    }
    if (!listener.endsWith("tls")) {
      await client.until(/^220 .*\r\n/);
      return client;
    }
    client.socket.removeAllListeners("data").removeAllListeners("end");
    const secured = new Client(connectTls({ socket: client.socket, ca, servername: "localhost" }));
    if (listener === "tls") {
      await secured.until(/^220 .*\r\n/);
    }
    return secured;
  }

  async function untilContent(listener: string): Promise<Client> {
    const client = await open(listener);
    for (const line of ["EHLO c", "MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA"]) {
      await client.say(`${line}\r\n`).until(/^[23]\d\d .*\r\n/m);
    }
    return client;
  }

  for (const listener of ["plain", "starttls", "tls", "proxied"]) {
    it(`hear what became of their message, and of QUIT (${listener})`, async () => {
      using client = await untilContent(listener);
      client.socket.end(`${MESSAGE}.\r\nQUIT\r\n`);
      assert.match(await client.rest(), /^250 .*\r\n221 .*\r\n$/);
    });

    it(`hear it without QUIT too, and are closed then (${listener})`, async () => {
      using client = await untilContent(listener);
      client.socket.end(`${MESSAGE}.\r\n`);
      assert.match(await client.rest(), /^250 .*\r\n$/);
    });

    it(`are closed at once inside a message, which nobody receives (${listener})`, async () => {
      const before = house.lmtp.ledger.deliveries.length;
      using client = await untilContent(listener);
      client.socket.end(MESSAGE);
      assert.equal(await client.rest(), "");
      assert.equal(house.lmtp.ledger.deliveries.length, before);
    });

    it(`are closed at once between commands (${listener})`, async () => {
      using client = await open(listener);
      client.socket.end("NOOP\r\n");
      assert.match(await client.rest(), /^250 .*\r\n$/);
    });
  }
});
