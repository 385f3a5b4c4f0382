/** How many handshakes are whole ones: every connection behind the first resumes a session of the same host. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createServer, type SecureVersion } from "node:tls";
import { RemoteHosts } from "../../src/remote-hosts.js";
import { listenMail, makeCertificate } from "../../src/testing/index.js";

const MESSAGES = 6;

/** Relays messages on a connection each, over TLS of a version; which of them resumed a session. */
async function resumptions(version: SecureVersion): Promise<boolean[]> {
  await using mail = await listenMail({});
  const { cert, key } = await makeCertificate();
  const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
  const ca = join(folder, "ca.pem");
  await writeFile(ca, cert);
  const resumed: boolean[] = [];
  const front = createServer({ cert, key, minVersion: version, maxVersion: version }, (socket) => {
    resumed.push(socket.isSessionReused());
    const behind = connect(mail.port, "127.0.0.1");
    socket.pipe(behind).pipe(socket);
    socket.on("error", () => behind.destroy());
    behind.on("error", () => socket.destroy());
  }).listen(0, "127.0.0.1");
  await once(front, "listening");
  try {
    const { port } = front.address() as AddressInfo;
    await using remotes = await RemoteHosts.open({
      remote: {
        a: {
          address: "localhost",
          port,
          protocol: "smtp",
          concurrency: 1,
          limits: { requests: 1 },
          tls: { implicit: true, ca, "min-version": "1.2" },
        },
      },
    });
    for (let sent = 0; sent < MESSAGES; sent++) {
      const { recipients } = await remotes.host("a").relay({ from: "", to: "b@example.org" }, "Subject: x\r\n\r\n");
      assert.equal(recipients[0]!.status, "delivered");
    }
  } finally {
    front.close();
    await rm(folder, { recursive: true });
  }
  return resumed;
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`of ${MESSAGES} connections with ${version} one makes a whole handshake`, async () => {
    assert.deepEqual(await resumptions(version), [false, ...Array(MESSAGES - 1).fill(true)]);
  });
}
