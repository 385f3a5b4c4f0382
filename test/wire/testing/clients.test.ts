/** The judges of relaypost/testing hear whose a connection or a message is: XCLIENT, XFORWARD and IMAP's ID, from a client that says exactly what it is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listenImap, listenMail } from "../../../src/testing/index.js";
import { RawClient } from "../../kit/raw-client.js";

const MESSAGE = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n";

/** A client of a server that offers both, behind EHLO. */
async function greeted(port: number): Promise<RawClient> {
  const client = await RawClient.connect(port);
  await client.replies(1);
  await client.ask("EHLO me.example");
  return client;
}

async function sendMessage(client: RawClient): Promise<void> {
  client.write(MESSAGE);
  await client.replies(3);
  assert.match(await client.ask("x\r\n."), /^250/);
}

test("XCLIENT gives the connection to a client, and everything that was said before is forgotten", async () => {
  await using server = await listenMail({ capabilities: { xclient: ["NAME", "ADDR", "PORT"] }, users: { u: "p" } });
  await using client = await greeted(server.port);
  assert.match(await client.ask("AUTH PLAIN AHUAcA=="), /^235/);
  assert.match(await client.ask("XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=4000"), /^220/);
  assert.match(await client.ask("EHLO me.example"), /XCLIENT NAME ADDR PORT\r\n/);
  assert.match(await client.ask("AUTH PLAIN AHUAcA=="), /^235/);
  await sendMessage(client);
  assert.equal(server.ledger.transactions[0]!.client, "2001:db8::1");
  const [connection] = server.ledger.connections;
  assert.deepEqual(
    connection!.logins.map((login) => login.client),
    [undefined, "2001:db8::1"],
  );
  assert.match(await client.ask("XCLIENT ADDR=[UNAVAILABLE]"), /^220/);
  assert.equal(connection!.client, undefined);
  assert.match(await client.ask("MAIL FROM:<>"), /^503/);
  assert.deepEqual(server.ledger.violations, ["connection 1: 503 5.5.1 say hello first (MAIL)"]);
});

test("an XCLIENT that is refused by an order changes nothing", async () => {
  const overrides = [{ on: "XCLIENT", reply: "550 5.7.0 not allowed" }] as const;
  await using server = await listenMail({ capabilities: { xclient: ["ADDR"] }, overrides });
  await using client = await greeted(server.port);
  assert.match(await client.ask("XCLIENT ADDR=192.0.2.1"), /^550/);
  await sendMessage(client);
  assert.equal(server.ledger.transactions[0]!.client, undefined);
  assert.deepEqual(server.ledger.violations, []);
});

test("XFORWARD speaks of the next message only, in the command group of its MAIL", async () => {
  await using server = await listenMail({ capabilities: { xforward: ["ADDR", "HELO"] } });
  await using client = await greeted(server.port);
  client.write(`XFORWARD ADDR=192.0.2.1\r\nXFORWARD HELO=one+3Dfirst\r\n${MESSAGE}`);
  await client.replies(5);
  await client.ask("x\r\n.");
  await sendMessage(client);
  client.write(`XFORWARD ADDR=192.0.2.2\r\nXFORWARD ADDR=[UNAVAILABLE]\r\n${MESSAGE}`);
  await client.replies(5);
  await client.ask("x\r\n.");
  assert.deepEqual(
    server.ledger.transactions.map((transaction) => transaction.client),
    ["192.0.2.1", undefined, undefined],
  );
  assert.deepEqual(server.ledger.violations, []);
});

test("what was not offered, and what is no value, is a violation", async () => {
  await using silent = await listenMail();
  await using untold = await greeted(silent.port);
  assert.match(await untold.ask("XCLIENT ADDR=192.0.2.1"), /^500/);
  assert.match(await untold.ask("XFORWARD ADDR=192.0.2.1"), /^500/);
  assert.equal(silent.ledger.violations.length, 2);

  await using server = await listenMail({ capabilities: { xforward: ["ADDR", "PORT", "PROTO", "HELO"] } });
  await using client = await greeted(server.port);
  const wrong = [
    "",
    "NAME=one.example",
    "addr=192.0.2.1",
    "ADDR=2001:db8::1",
    "ADDR=IPV6:192.0.2.1",
    "ADDR=nowhere",
    "PORT=high",
    "PROTO=[UNAVAILABLE]",
    "HELO=one=first",
    "HELO=",
    "ADDR=192.0.2.1 ADDR=192.0.2.2",
  ];
  for (const attributes of wrong) {
    assert.match(await client.ask(`XFORWARD ${attributes}`), /^501/, attributes);
  }
  await client.ask("MAIL FROM:<>");
  assert.match(await client.ask("XFORWARD ADDR=192.0.2.1"), /^503/);
  assert.equal(server.ledger.violations.length, wrong.length + 1);
});

test("ID names the client of an IMAP connection, where it is offered", async () => {
  await using server = await listenImap({ users: { u: "p" }, extraCapabilities: ["ID"] });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  assert.match(await client.ask('a1 ID ("x-originating-ip" "192.0.2.1" "x-session-id" "s \\"1\\"")'), /^a1 OK/);
  await client.ask("a2 LOGIN u p");
  const [connection] = server.ledger.connections;
  assert.equal(connection!.logins[0]!.client, "192.0.2.1");
  assert.match(await client.ask("a3 ID NIL"), /^a3 OK/);
  assert.equal(connection!.client, undefined);
  assert.deepEqual(server.ledger.violations, []);

  await using other = await listenImap();
  await using untold = await RawClient.connect(other.port);
  await untold.replies(1);
  await untold.ask("a1 ID NIL");
  assert.deepEqual(other.ledger.violations, ["connection 1: ID was not offered"]);
});
