/** Scripts of relaypost/testing do to a connection what they say. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, Socket } from "node:net";
import { test } from "node:test";
import { connect as tlsConnect } from "node:tls";
import {
  type CertificateKind,
  close,
  expect,
  expectContent,
  expectEnd,
  expectLines,
  halfClose,
  inTurn,
  listenMail,
  makeCertificate,
  reply,
  reset,
  ScriptError,
  ScriptedServer,
  send,
  sendForEver,
  sendOctets,
  silence,
  startTls,
  stopReading,
  strictMailService,
  waitFor,
} from "../../../src/testing/index.js";
import { ScriptedPeer } from "../../../src/testing/peer.js";
import { RawClient } from "../../kit/raw-client.js";

test("a dialogue as a list of steps, each connection with its own script", async () => {
  const judge = strictMailService();
  await using server = await ScriptedServer.listen(
    inTurn([reply("220 hi"), expect(/^EHLO /), reply("250-x", "250 y"), expectLines("QUIT"), close()], judge.script),
  );
  {
    await using client = await RawClient.connect(server.port);
    await client.replies(1);
    assert.equal(await client.ask("EHLO me"), "250-x\r\n250 y");
    client.write("quit\r\n");
    assert.equal(await client.rest(), "");
  }
  await using client = await RawClient.connect(server.port);
  assert.match((await client.replies(1))[0]!, /^220/);
  assert.equal(server.accepted, 2);
  assert.equal(judge.ledger.connections[0]!.number, 2);
});

test("a script that meets something else fails its server", async () => {
  const server = await ScriptedServer.listen([reply("220 hi"), expect("EHLO me"), silence()]);
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  client.write("HELO me\r\n");
  await client.rest();
  await assert.rejects(server.done(), ScriptError);
  await assert.rejects(server.close(), /expected EHLO me, received "HELO me"/);
});

test("a script's patience is limited, and so is its tolerance at the end", async () => {
  const server = await ScriptedServer.listen([expect("never")], { patienceMs: 5 });
  await using client = await RawClient.connect(server.port);
  await client.rest();
  await assert.rejects(server.close(), /nothing more came/);
  const strict = await ScriptedServer.listen([reply("220 hi"), expectEnd()]);
  await using talker = await RawClient.connect(strict.port);
  talker.write("QUIT\r\n");
  await talker.rest();
  await assert.rejects(strict.close(), /expected the end, received "QUIT/);
});

test("segments and single octets arrive as they were sent", async () => {
  const certificate = await makeCertificate();
  // Each write is a TLS record of its own, so that the receiver sees it apart from the others for certain.
  await using server = await ScriptedServer.listen(
    [send(["220 ", "hello", "\r\n"]), sendOctets("250 x\r\n"), silence()],
    {
      implicitTls: certificate,
    },
  );
  await using client = await RawClient.connect(server.port, { ca: certificate.ca });
  assert.deepEqual(await client.replies(2), ["220 hello", "250 x"]);
  assert.deepEqual(client.pieces, [4, 5, 2, 1, 1, 1, 1, 1, 1, 1]);
});

test("each kind of certificate is refused for its own reason", async () => {
  const reasons: [CertificateKind, string][] = [
    ["self-signed", "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["expired", "CERT_HAS_EXPIRED"],
    ["not-yet-valid", "CERT_NOT_YET_VALID"],
    ["wrong-name", "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["own-ca", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ];
  for (const [kind, code] of reasons) {
    const certificate = await makeCertificate({ kind });
    await using server = await listenMail({ implicitTls: certificate });
    const ca = kind === "self-signed" || kind === "own-ca" ? undefined : certificate.ca;
    const socket = tlsConnect({ port: server.port, host: "127.0.0.1", ...(ca === undefined ? {} : { ca }) });
    const [error] = await once(socket, "error");
    assert.equal((error as NodeJS.ErrnoException).code, code, kind);
  }
  const trusted = await makeCertificate({ kind: "own-ca" });
  await using server = await listenMail({ implicitTls: trusted });
  await using client = await RawClient.connect(server.port, { ca: trusted.ca });
  await client.replies(1);
});

test("an old version of TLS can be forced", async () => {
  const certificate = await makeCertificate();
  await using server = await ScriptedServer.listen([silence()], {
    implicitTls: certificate,
    tlsOptions: { maxVersion: "TLSv1.1" },
  });
  const socket = tlsConnect({ port: server.port, host: "127.0.0.1", ca: certificate.ca });
  await once(socket, "error");
  const old = tlsConnect({
    port: server.port,
    host: "127.0.0.1",
    ca: certificate.ca,
    minVersion: "TLSv1",
    ciphers: "DEFAULT@SECLEVEL=0",
  });
  await once(old, "secureConnect");
  assert.equal(old.getProtocol(), "TLSv1.1");
  old.destroy();
});

test("STARTTLS in a script, with injected plain text in the same segment", async () => {
  const certificate = await makeCertificate();
  await using server = await ScriptedServer.listen(
    inTurn(
      [reply("220 go"), startTls(certificate), reply("250 safe"), silence()],
      [send("220 go\r\n250 injected\r\n"), silence()],
    ),
  );
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
  await client.startTls(certificate.ca);
  assert.deepEqual(await client.replies(1), ["250 safe"]);
  await using second = await RawClient.connect(server.port);
  assert.deepEqual(await second.replies(2), ["220 go", "250 injected"]);
  assert.equal(second.pieces.length, 1);
});

test("half-close lets the other side go on speaking", async () => {
  await using server = await ScriptedServer.listen([halfClose(), expect("still here"), close()]);
  const client = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
  client.resume();
  await once(client, "end");
  client.end("still here\r\n");
  await once(client, "close");
  await server.done();
});

test("reset, and a peer that does not read", async () => {
  const certificate = await makeCertificate();
  for (const implicitTls of [undefined, certificate]) {
    await using server = await ScriptedServer.listen(
      inTurn([expect("x"), reset()], [stopReading(), reply("220 hi"), waitFor((peer) => peer.closed)]),
      implicitTls === undefined ? {} : { implicitTls },
    );
    const tls = implicitTls === undefined ? undefined : { ca: implicitTls.ca };
    await using first = await RawClient.connect(server.port, tls);
    first.write("x\r\n");
    assert.equal(await first.rest(), "");
    await using second = await RawClient.connect(server.port, tls);
    await second.replies(1);
    const peer = await server.connection(2);
    const before = peer.receivedOctets;
    second.write(Buffer.alloc(1 << 20));
    await using third = await RawClient.connect(server.port, tls);
    await third.replies(1);
    assert.ok(peer.receivedOctets - before <= 65_536);
  }
});

test("endless replies stop when the client goes, and content is read to its dot", async () => {
  await using server = await ScriptedServer.listen(
    inTurn([sendForEver("250-x\r\n")], [reply("354 go"), expectContent(), reply("250 ok"), expectEnd()]),
  );
  const client = await RawClient.connect(server.port);
  await server.connection(1);
  await client[Symbol.asyncDispose]();
  await using second = await RawClient.connect(server.port);
  await second.replies(1);
  assert.equal(await second.ask("..x\r\n."), "250 ok");
  second.end();
  await server.done();
});

test("a server refuses for a while and comes back on the same port", async () => {
  await using server = await listenMail();
  server.refuse();
  await assert.rejects(RawClient.connect(server.port), /ECONNREFUSED/);
  await server.accept();
  await using client = await RawClient.connect(server.port);
  await client.replies(1);
});

test("a connection counts as ended as soon as its reset is read, not when its socket has closed", () => {
  const socket = new Socket();
  const peer = new ScriptedPeer(1, socket, 1_000);
  socket.emit("error", new Error("ECONNRESET"));
  assert.ok(peer.hasEnded);
});
