/** Clients that come through a proxy (`proxy-from`): whom the daemon takes them for, and that nobody else can say who they are. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { encodeClient } from "../../../src/messages/client.js";
import { makeCertificate } from "../../../src/testing/index.js";
import { proxyHeader } from "../../../workers/wire/proxy-header.js";
import { Client, House } from "./kit/house.js";

const V1 = "PROXY TCP4 192.0.2.1 192.0.2.25 1025 25\r\n";
const V2 = Buffer.from(
  proxyHeader(encodeClient({ address: "2001:db8::1", port: 1025, local: { address: "2001:db8::25", port: 25 } })),
);

describe("a listener behind a proxy", { timeout: 30_000 }, () => {
  let house: House;
  let ca: string;

  before(async () => {
    house = await House.open("");
    const { cert, key, ca: root } = await makeCertificate({ kind: "own-ca" });
    ca = root!;
    writeFileSync(join(house.folder, "cert.pem"), cert);
    writeFileSync(join(house.folder, "key.pem"), key);
    const gateway = `protocol = "smtp"\nlisten = "127.0.0.1:0"\nhost = "lmtp"\nproxy-from = ["127.0.0.1/32"]`;
    const others = `protocol = "smtp"\nlisten = "127.0.0.1:0"\nhost = "lmtp"\nproxy-from = ["192.0.2.0/24", "::1"]`;
    house.write(`
[serve.in]
${gateway}
[serve.tls]
${gateway}
tls = { implicit = true, cert = "cert.pem", key = "key.pem" }
[serve.others]
${others}
[serve.map]
protocol = "tcp-table"
map = "lmtp-rcpt"
listen = "127.0.0.1:0"
proxy-from = ["127.0.0.1"]
`);
    await house.restart();
  });

  after(() => house[Symbol.asyncDispose]());

  beforeEach(() => {
    house.records.length = 0;
  });

  /** The trace line of a message that this client sends. */
  const traceOf = async (client: Client): Promise<string> => {
    await client.until(/^220 .*\r\n/m);
    for (const line of ["EHLO c", "MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA", "hi\r\n."]) {
      await client.say(`${line}\r\n`).until(/^[23]\d\d .*\r\n/m);
    }
    return /^Received: .*/.exec(house.lmtp.ledger.deliveries.at(-1)!.content.toString())![0];
  };

  it("takes clients for whom the proxy names, by version 1 and 2, whatever follows the header", async () => {
    using first = house.connect("in").say(V1);
    assert.equal(await traceOf(first), "Received: from c ([192.0.2.1])");
    using second = house.connect("in").say(V2);
    assert.equal(await traceOf(second), "Received: from c ([IPv6:2001:db8::1])");
    using local = house.connect("in").say(proxyHeader(""));
    assert.equal(await traceOf(local), "Received: from c ([127.0.0.1])");
    assert.equal((await house.event("serve-relayed")).client, "192.0.2.1");
  });

  it("reads the header in front of TLS, and TLS in the same segment", async () => {
    const { port } = house.address("tls") as { port: number };
    const { Socket } = await import("node:net");
    const socket = new Socket().connect(port, "127.0.0.1");
    socket.cork();
    socket.write(V2);
    const secured = connectTls({ socket, ca, servername: "localhost", checkServerIdentity: () => undefined });
    setImmediate(() => socket.uncork());
    using client = new Client(secured);
    assert.equal(await traceOf(client), "Received: from c ([IPv6:2001:db8::1])");
  });

  it("closes connections that end within their header, at every octet, and serves on", async () => {
    for (const header of [Buffer.from(V1), V2]) {
      for (let cut = 0; cut < header.length; cut++) {
        for (const listener of ["in", "map"]) {
          using client = house.connect(listener);
          client.socket.end(header.subarray(0, cut));
          await assert.rejects(client.until(/./), /closed after ""/, `cut at ${cut}`);
        }
      }
    }
    using client = house.connect("in").say(V1);
    assert.equal(await traceOf(client), "Received: from c ([192.0.2.1])");
  });

  it("closes connections of its proxy without a header, and says so", async () => {
    using client = house.connect("in").say("EHLO c\r\n");
    await assert.rejects(client.until(/./), /closed/);
    assert.match((await house.event("serve-client-broken")).msg, /does not begin with a header of the PROXY protocol/);
  });

  it("takes a header from nobody else", async () => {
    using client = house.connect("others");
    await client.until(/^220 .*\r\n/m);
    assert.match(await client.say(V1).until(/\r\n/), /^5\d\d /, "a command that is not known");
    using own = house.connect("others");
    assert.equal(await traceOf(own), "Received: from c ([127.0.0.1])");
  });

  it("of another protocol does the same", async () => {
    using client = house.connect("map").say(`${V1}get ann@example.org\n`);
    assert.equal(await client.until(/\n/), "200 OK\n");
    using broken = house.connect("map").say(`${V1}what\n${"x".repeat(5_000)}`);
    await assert.rejects(broken.until(/^never/), /closed/);
    assert.equal((await house.event("serve-client-broken")).client, "192.0.2.1");
  });
});
