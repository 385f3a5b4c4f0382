/** `tls.fingerprints`: exactly those certificates and keys are trusted, on each connection; and what is said of a certificate that ends. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadSettings } from "../../src/config/load.js";
import { type HostInput, RemoteHosts } from "../../src/index.js";
import { type LogRecord, recordLogger } from "../../src/runtime/loggers.js";
import { type Certificate, listenMail, makeCertificate } from "../../src/testing/index.js";
import { fingerprintsOf } from "../../workers/wire/certificate.js";

const NOBODY = `sha256:${"0".repeat(64)}`;

/** As `probe` prints them. */
function printed({ cert }: Certificate): { certificate: string; publicKey: string; colons: string } {
  const x509 = new X509Certificate(cert);
  const { certificate, publicKey } = fingerprintsOf(x509);
  return {
    certificate: `sha256:${certificate}`,
    publicKey: `sha256:${publicKey}`,
    colons: `SHA256:${x509.fingerprint256}`,
  };
}

/** Asks a server with this certificate about three recipients, each on a connection of its own. */
async function ask(certificate: Certificate, isImplicit: boolean, tls: HostInput["tls"]) {
  const recipients = ["a@example.org", "b@example.org", "c@example.org"];
  await using server = await listenMail({
    recipients,
    ...(isImplicit ? { implicitTls: certificate } : { startTls: certificate }),
  });
  const records: LogRecord[] = [];
  const host: HostInput = {
    address: "localhost",
    port: server.port,
    protocol: "smtp",
    lookup: true,
    limits: { requests: 1 },
    tls: { implicit: isImplicit, ...tls },
  };
  await using hosts = await RemoteHosts.open(
    { remote: { x: host } },
    { logger: recordLogger((record) => records.push(record)) },
  );
  const verdicts: string[] = [];
  for (const recipient of recipients) {
    try {
      verdicts.push(String((await hosts.host("x").verifyRecipient(recipient)).found));
    } catch (error) {
      verdicts.push((error as { code: string }).code);
    }
  }
  return {
    verdicts,
    records,
    connections: server.ledger.connections.length,
    transactions: server.ledger.transactions.length,
  };
}

const ALL_FOUND = ["true", "true", "true"];

for (const isImplicit of [true, false]) {
  const how = isImplicit ? "implicit TLS" : "STARTTLS";

  for (const form of ["certificate", "publicKey", "colons"] as const) {
    test(`a stranger's certificate with another name is trusted by its fingerprint (${form}, ${how})`, async () => {
      const certificate = await makeCertificate({ kind: "wrong-name" });
      const { verdicts, connections } = await ask(certificate, isImplicit, {
        fingerprints: [NOBODY, printed(certificate)[form]],
      });
      assert.deepEqual(verdicts, ALL_FOUND);
      assert.equal(connections, 3);
    });
  }

  test(`a certificate that a CA vouches for is refused when its fingerprint is another's (${how})`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    const certificate = await makeCertificate({ kind: "own-ca" });
    const ca = join(folder, "ca.pem");
    await writeFile(ca, certificate.ca);
    assert.deepEqual((await ask(certificate, isImplicit, { ca })).verdicts, ALL_FOUND);
    const { verdicts, records, transactions } = await ask(certificate, isImplicit, { ca, fingerprints: [NOBODY] });
    await rm(folder, { recursive: true });
    assert.equal(verdicts[0], "TLS_FAILED");
    assert.ok(!verdicts.includes("true"));
    assert.equal(transactions, 0);
    const failed = records.find(({ event }) => event === "connect-failed");
    assert.match(failed?.msg ?? "", /a certificate that is not one of tls\.fingerprints/);
  });
}

test("a certificate that has ended is told of once, and its fingerprint is trusted all the same", async () => {
  const certificate = await makeCertificate({ kind: "expired" });
  const { verdicts, records } = await ask(certificate, true, { fingerprints: [printed(certificate).certificate] });
  assert.deepEqual(verdicts, ALL_FOUND);
  const told = records.filter(({ event }) => event === "certificate-ending");
  assert.deepEqual(
    told.map(({ level, hostId }) => [level, hostId]),
    [["warn", "x"]],
  );
  assert.match(told[0]?.msg ?? "", /ended \d+ days ago/);
});

test("nothing is told of a certificate that lasts", async () => {
  const { verdicts, records } = await ask(await makeCertificate(), true, { "allow-invalid-certs": true });
  assert.deepEqual(verdicts, ALL_FOUND);
  assert.deepEqual(
    records.filter(({ event }) => event === "certificate-ending"),
    [],
  );
});

test("a certificate of our own that has ended is warned of when it is read", async () => {
  const folder = await mkdtemp(join(tmpdir(), "relaypost-"));
  const { cert, key } = await makeCertificate({ kind: "expired" });
  await writeFile(join(folder, "cert.pem"), cert);
  await writeFile(join(folder, "key.pem"), key, { mode: 0o600 });
  const tls = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
  const runtime = { hostname: "gw.example.org" };
  const { warnings } = await loadSettings({
    runtime,
    remote: { x: { address: "a", port: 465, protocol: "smtp", tls } },
  });
  await rm(folder, { recursive: true });
  assert.deepEqual(
    warnings.map(({ key }) => key),
    ["remote.x.tls.cert"],
  );
});
