/** The IMAP judge of relaypost/testing against a client that says exactly what it is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listenImap, makeCertificate } from "../../../src/testing/index.js";
import { RawClient } from "../../kit/raw-client.js";

const base64 = (text: string) => Buffer.from(text).toString("base64");

test("capabilities stand in the greeting; LOGIN is answered right and wrong", async () => {
  await using server = await listenImap({ users: { ann: 'p"\\ q' } });
  await using client = await RawClient.connect(server.port);
  assert.match((await client.replies(1))[0]!, /^\* OK \[CAPABILITY IMAP4rev2 .*AUTH=PLAIN\]/);
  assert.match(await client.ask('a1 LOGIN ann "wrong"'), /^a1 NO \[AUTHENTICATIONFAILED\]/);
  assert.match(await client.ask('a2 LOGIN "ann" "p\\"\\\\ q"'), /^a2 OK \[CAPABILITY /);
  client.write("a3 LOGOUT\r\n");
  assert.equal(await client.rest(), "* BYE goodbye\r\na3 OK done\r\n");
  assert.deepEqual(server.ledger.violations, []);
  assert.equal(server.ledger.connections[0]!.saidGoodbye, true);
});

test("literals, synchronizing and not", async () => {
  await using server = await listenImap({ users: { "ä n": "s\r\nx" } });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  assert.equal(await client.ask("a1 LOGIN {4}"), "+ go ahead");
  client.write("ä n {4}\r\n");
  assert.equal((await client.replies(1))[0], "+ go ahead");
  assert.match(await client.ask("s\r\nx"), /^a1 OK/);
  await using other = await RawClient.connect(server.port);
  await other.replies(1);
  assert.match(await other.ask("b1 LOGIN {4+}\r\nä n {4+}\r\ns\r\nx"), /^b1 OK/);
  assert.deepEqual(server.ledger.violations, []);
  await using hasty = await RawClient.connect(server.port);
  await hasty.replies(1);
  hasty.write("c1 LOGIN {4}\r\nä n {4}\r\n");
  await hasty.replies(2);
  assert.match(server.ledger.violations.join(), /literal sent before/);
});

test("AUTHENTICATE with and without an initial response, cancelled, and with a mechanism that was not offered", async () => {
  await using server = await listenImap({ users: { u: "p" }, mechanisms: ["PLAIN", "CRAM-MD5"] });
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  assert.equal(await client.ask("a1 AUTHENTICATE PLAIN"), "+ ");
  assert.match(await client.ask("*"), /^a1 BAD/);
  await client.ask("a2 AUTHENTICATE PLAIN");
  assert.match(await client.ask(base64("\0u\0wrong")), /^a2 NO/);
  assert.match(await client.ask(`a3 AUTHENTICATE PLAIN ${base64("\0u\0p")}`), /^a3 OK/);
  assert.deepEqual(server.ledger.violations, []);
  assert.match(await client.ask("a4 AUTHENTICATE LOGIN"), /^a4 NO/);
  assert.match(server.ledger.violations.join(), /LOGIN, which was not offered/);
});

test("UNAUTHENTICATE lets a connection log in again, where it is offered", async () => {
  await using server = await listenImap({ users: { u: "p" }, unauthenticate: true });
  await using client = await RawClient.connect(server.port);
  assert.match((await client.replies(1))[0]!, /UNAUTHENTICATE/);
  await client.ask("a1 LOGIN u p");
  assert.match(await client.ask("a2 UNAUTHENTICATE"), /^a2 OK/);
  assert.match(await client.ask("a3 LOGIN u p"), /^a3 OK/);
  assert.deepEqual(server.ledger.violations, []);
});

test("STARTTLS brings what was hidden in the clear", async () => {
  const certificate = await makeCertificate();
  await using server = await listenImap({ users: { u: "p" }, startTls: certificate, authNeedsTls: true });
  await using client = await RawClient.connect(server.port);
  assert.match((await client.replies(1))[0]!, /STARTTLS LOGINDISABLED\]/);
  assert.match(await client.ask("a1 STARTTLS"), /^a1 OK/);
  await client.startTls(certificate.ca);
  client.write("a2 CAPABILITY\r\n");
  const [capabilities, done] = await client.replies(2);
  assert.match(capabilities!, /AUTH=PLAIN/);
  assert.doesNotMatch(capabilities!, /STARTTLS|LOGINDISABLED/);
  assert.match(done!, /^a2 OK/);
  assert.match(await client.ask("a3 LOGIN u p"), /^a3 OK/);
  assert.deepEqual(server.ledger.violations, []);
});

test("orders fill in the tag", async () => {
  await using server = await listenImap({
    users: { u: "p" },
    overrides: [
      { on: "greeting", reply: "* OK hello" },
      { on: "login", match: /^u$/, reply: "{tag} NO [UNAVAILABLE] later" },
      { on: "NOOP", bytes: "{tag} OK", afterwards: "close" },
    ],
  });
  await using client = await RawClient.connect(server.port);
  assert.deepEqual(await client.replies(1), ["* OK hello"]);
  assert.equal(await client.ask("x LOGIN u p"), "x NO [UNAVAILABLE] later");
  client.write("y NOOP\r\n");
  assert.equal(await client.rest(), "y OK");
  assert.equal(server.ledger.connections[0]!.logins[0]!.isAccepted, false);
});
