/** `tls.fingerprints` behind the PROXY protocol's header: the header goes first, in clear, and nothing else before the certificate is known. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { RemoteHosts } from "../../src/index.js";
import { encodeClient } from "../../src/messages/client.js";
import { makeCertificate, type ScriptedPeer, ScriptedServer } from "../../src/testing/index.js";
import { proxyHeader } from "../../workers/wire/proxy-header.js";

const CLIENT = {
  address: "192.0.2.7",
  port: 1_025,
  local: { address: "198.51.100.1", port: 465 },
} as const;
const HEADER = proxyHeader(encodeClient(CLIENT));

for (const isTrusted of [true, false]) {
  test(`the server's certificate ${isTrusted ? "is trusted by its fingerprint" : "is refused for another one"} behind the header of a client`, async () => {
    const certificate = await makeCertificate({ kind: "wrong-name" });
    let served = 0;
    await using server = await ScriptedServer.listen(async (peer) => {
      await peer.expect(HEADER);
      if (isTrusted) {
        await peer.startTls(certificate);
        await takeOne(peer);
        served++;
        return;
      }
      // With TLS 1.3 a client that turns away may do so before or behind the server's end of the handshake.
      if (
        await peer.startTls(certificate).then(
          () => true,
          () => false,
        )
      ) {
        await peer.reply("220 server.example");
        assert.equal((await peer.rest()).length, 0, "a word for a server that is not trusted");
      }
    });
    await using hosts = await RemoteHosts.open({
      remote: {
        x: {
          address: server.address,
          port: server.port,
          protocol: "smtp",
          lookup: true,
          client: "proxy-v2",
          concurrency: 1,
          timeout: "5s",
          tls: {
            implicit: true,
            fingerprints: [
              isTrusted ? `sha256:${new X509Certificate(certificate.cert).fingerprint256}` : `sha256:${"0".repeat(64)}`,
            ],
          },
        },
      },
    });
    const answer = hosts.host("x").verifyRecipient("a@example.org", { client: CLIENT });
    if (isTrusted) {
      assert.equal((await answer).found, true);
    } else {
      await assert.rejects(answer, { code: "TLS_FAILED", message: /tls\.fingerprints/ });
    }
    await hosts.close();
    assert.ok(server.accepted >= 1);
    assert.equal(served, isTrusted ? 1 : 0);
  });
}

async function takeOne(peer: ScriptedPeer): Promise<void> {
  await peer.reply("220 server.example");
  await peer.expect(/^EHLO /);
  await peer.reply("250 server.example");
  await peer.expect(/^MAIL FROM:/);
  await peer.reply("250 ok");
  await peer.expect("RCPT TO:<a@example.org>");
  await peer.reply("250 ok");
}
