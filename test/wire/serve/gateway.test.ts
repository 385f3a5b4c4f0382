/** The gateway through a whole daemon: what clients are told, and what stands in the mailboxes of a strict LMTP server. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { makeCertificate } from "../../../src/testing/index.js";
import { Client, House } from "./kit/house.js";

const TABLES = `
[serve.in]
protocol = "smtp"
listen = "127.0.0.1:0"
host = [ { if = "rcpt-domain", eq = "example.org", then = "lmtp" },
         { if = "authenticated-as", eq = "ann", then = "lmtp" },
         { else = "550 5.7.1 relaying denied" } ]
verify = [ { if = "rcpt", eq = "unchecked@example.org", then = false }, { else = true } ]
auth = { host = "imap", allow-plaintext = true }
limits = { message = "64KiB", recipients = 3 }
timeout = "2s"
hostname = "gateway.example.org"

[serve.lmtp]
protocol = "lmtp"
listen = "unix:FOLDER/lmtp"
host = "lmtp"
`;

describe("the gateway", { timeout: 30_000 }, () => {
  let house: House;

  before(async () => {
    house = await House.open(TABLES);
  });

  after(() => house[Symbol.asyncDispose]());

  beforeEach(() => {
    house.lmtp.ledger.transactions.length = 0;
  });

  const delivered = () => house.lmtp.ledger.deliveries.map(({ address }) => address);

  it("says 250 when the host has, and adds a trace line to a message that is otherwise untouched", async () => {
    using client = await house.greet("in");
    const replies = await client.converse("MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA");
    assert.match(replies.join(), /^250 .*,250 .*,354 /);
    const [end] = await client.converse("Subject: hi\r\n\r\n..dot\r\nlast\r\n.");
    assert.match(end!, /^250 2\./);
    const { content, address } = house.lmtp.ledger.deliveries.at(-1)!;
    assert.equal(address, "ann@example.org");
    assert.match(
      content.toString(),
      /^Received: from client\.test \(\[127\.0\.0\.1\]\)\r\n\tby gateway\.example\.org with ESMTP id [A-Z0-9]+\r\n\tfor <ann@example\.org>;\r\n\t[^\r\n]+\+0000\r\nSubject: hi\r\n\r\n\.dot\r\nlast\r\n$/,
    );
  });

  it("lets rules decide the host, and asks it about recipients", async () => {
    using client = await house.greet("in");
    const replies = await client.converse(
      "MAIL FROM:<me@example.net>",
      "RCPT TO:<ann@example.net>",
      "RCPT TO:<nobody@example.org>",
      "RCPT TO:<later@example.org>",
      "RCPT TO:<unchecked@example.org>",
    );
    assert.match(replies[1]!, /^550 5\.7\.1 relaying denied/);
    assert.match(replies[2]!, /^550 5\.1\.1 /);
    assert.match(replies[3]!, /^451 4\.4\.3 /);
    assert.match(replies[4]!, /^250 /);
    // The host refuses at DATA what was not checked before: nobody got it, and its own words come back.
    const [, end] = await client.converse("DATA", "x\r\n.");
    assert.match(end!, /^550 5\.1\.1 /);
  });

  it("checks passwords, and rules know who it is", async () => {
    using client = await house.greet("in");
    const plain = (secret: string) => `AUTH PLAIN ${Buffer.from(`\0ann\0${secret}`).toString("base64")}`;
    assert.match((await client.converse(plain("wrong")))[0]!, /^535 5\.7\.8 /);
    const withdraw = house.imap.order({ on: "login", reply: "NO [UNAVAILABLE] later" });
    assert.match((await client.converse(plain("other")))[0]!, /^454 4\.7\.0 /);
    withdraw();
    assert.match((await client.converse(plain("right")))[0]!, /^235 /);
    const replies = await client.converse("MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.net>");
    // Known to the rule now; the host has no such recipient.
    assert.match(replies[1]!, /^550 5\.1\.1 /);
  });

  it("has one reply for all in SMTP: 451 while anybody is without the message", async () => {
    const withdraw = house.lmtp.order({ on: "delivery", match: /^bob@/, reply: "552 5.2.2 full" });
    using client = await house.greet("in");
    const envelope = ["MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "RCPT TO:<bob@example.org>", "DATA"];
    await client.converse(...envelope);
    const [mixed] = await client.converse("x\r\n.");
    assert.match(mixed!, /^451 4\.3\.0 delivered to ann@example\.org; not to bob@example\.org: 5\.2\.2 full/);
    assert.equal((await house.event("serve-mixed")).hostId, "lmtp");
    await client.converse("MAIL FROM:<me@example.net>", "RCPT TO:<bob@example.org>", "DATA");
    assert.match((await client.converse("x\r\n."))[0]!, /^552 5\.2\.2 full/);
    withdraw();
    await client.converse(...envelope);
    assert.match((await client.converse("x\r\n."))[0]!, /^250 /);
  });

  it("has a reply for each recipient in LMTP, duplicates included", async () => {
    const withdraw = house.lmtp.order({ on: "delivery", match: /^bob@/, reply: "452 4.2.2 full" });
    using client = await house.greet("lmtp", "LHLO");
    await client.converse(
      "MAIL FROM:<>",
      "RCPT TO:<ann@example.org>",
      "RCPT TO:<bob@example.org>",
      "RCPT TO:<ann@example.org>",
      "DATA",
    );
    client.say("x\r\n.\r\n");
    const replies = (await client.until(/(?:.*\r\n){3}/)).trim().split("\r\n");
    assert.deepEqual(
      replies.map((reply) => reply.slice(0, 3)),
      ["250", "452", "250"],
    );
    assert.deepEqual(delivered().slice(-2), ["ann@example.org", "ann@example.org"]);
    withdraw();
  });

  it("says 451 when the host is lost or late after the end of the message", async () => {
    for (const order of [
      { on: "terminator", afterwards: "close" },
      { on: "terminator", reply: [], afterwards: "silence" },
    ] as const) {
      const withdraw = house.lmtp.order(order);
      using client = await house.greet("in");
      await client.converse("MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA");
      assert.match((await client.converse("x\r\n."))[0]!, /^451 4\.4\.2 /);
      withdraw();
    }
  });

  it("refuses what is too large or goes in circles, delivers none of it, and goes on", async () => {
    using client = await house.greet("in");
    for (const [content, expected] of [
      [`${"x".repeat(998)}\r\n`.repeat(100), /^552 5\.3\.4 /],
      [`${"Received: from a by b; now\r\n".repeat(101)}\r\nx\r\n`, /^554 5\.4\.6 /],
    ] as const) {
      const before = delivered().length;
      await client.converse("MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA");
      assert.match((await client.converse(`${content}.`))[0]!, expected);
      assert.equal(delivered().length, before);
    }
    await client.converse("MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA");
    assert.match((await client.converse("x\r\n."))[0]!, /^250 /);
  });

  it("delivers nothing of a message whose client goes away in the middle", async () => {
    const before = delivered().length;
    const client = await house.greet("in");
    await client.converse("MAIL FROM:<me@example.net>", "RCPT TO:<ann@example.org>", "DATA");
    client.say("Subject: half\r\n\r\nhalf a mess");
    await house.lmtp.ledger.until(() => house.lmtp.ledger.transactions.length > 0);
    client.socket.destroy();
    const { ledger } = house.lmtp;
    await ledger.until(() => ledger.connections.at(-1)?.isClosed === true);
    assert.equal(delivered().length, before);
  });

  it("takes so many recipients and no more", async () => {
    using client = await house.greet("in");
    const rcpt = ["ann", "bob", "cy", "ann"].map((user) => `RCPT TO:<${user}@example.org>`);
    const replies = await client.converse("MAIL FROM:<me@example.net>", ...rcpt);
    assert.match(replies[3]!, /^250 /);
    assert.match(replies[4]!, /^452 4\.5\.3 /);
  });
});

describe("the gateway with a certificate", { timeout: 30_000 }, () => {
  it("offers STARTTLS, and AUTH behind it only", async () => {
    const { cert, key, ca } = await makeCertificate({ kind: "own-ca" });
    const tables = `
[serve.in]
protocol = "smtp"
listen = "127.0.0.1:0"
host = "lmtp"
tls = { cert = "FOLDER/cert.pem", key = "FOLDER/key.pem" }
auth = { host = "imap", require = true }
`;
    await using house = await House.open("");
    writeFileSync(join(house.folder, "cert.pem"), cert);
    writeFileSync(join(house.folder, "key.pem"), key);
    house.write(tables);
    assert.equal(await house.daemon.reload(), true);
    using client = house.connect("in");
    await client.until(/^220 .*\r\n/m);
    assert.doesNotMatch(await client.say("EHLO me.test\r\n").until(/^250 .*\r\n/m), /AUTH/);
    await client.say("STARTTLS\r\n").until(/^220 .*\r\n/m);
    client.socket.removeAllListeners("data");
    using secure = new Client(connectTls({ socket: client.socket, ca, host: "127.0.0.1" }));
    assert.match(await secure.say("EHLO me.test\r\n").until(/^250 .*\r\n/m), /AUTH PLAIN LOGIN/);
    assert.match(await secure.say("MAIL FROM:<>\r\n").until(/\r\n/), /^530 /);
    const response = Buffer.from("\0ann\0right").toString("base64");
    assert.match(await secure.say(`AUTH PLAIN ${response}\r\n`).until(/\r\n/), /^235 /);
    assert.match(await secure.say("MAIL FROM:<>\r\n").until(/\r\n/), /^250 /);
  });
});
