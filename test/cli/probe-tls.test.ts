/** probe on TLS: what it shows of good and bad certificates, and whether it calls the host usable. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listenMail, makeCertificate } from "../../src/testing/index.js";
import { jsonLines, relaypost, Site } from "./command-line.js";

test("probe shows a bad certificate, says why it is bad, and ends as a lookup does", async () => {
  await using site = await Site.open();
  const good = await makeCertificate({ kind: "own-ca" });
  await using starttls = await listenMail({ startTls: good });
  await using implicit = await listenMail({ implicitTls: await makeCertificate({ kind: "expired" }) });
  await site.write("ca.pem", good.ca);
  const file = await site.write(
    "tls.toml",
    `[remote.good]\naddress = "localhost"\nport = ${starttls.port}\nprotocol = "smtp"\ntls = { implicit = false, ca = "ca.pem" }
[remote.stranger]\naddress = "localhost"\nport = ${starttls.port}\nprotocol = "smtp"\nlookup = true\ntls = { implicit = false }
[remote.expired]\naddress = "localhost"\nport = ${implicit.port}\nprotocol = "smtp"\nlookup = true
[remote.plain]\naddress = "127.0.0.1"\nport = ${site.smtp.port}\nprotocol = "smtp"
[remote.clear]\naddress = "127.0.0.1"\nport = ${site.smtp.port}\nprotocol = "smtp"\nlookup = true\ntls = { implicit = false }\n`,
  );
  const probe = async (id: string) => {
    const ran = await relaypost(["probe", file, id, "--json"]);
    const report = jsonLines(ran).at(-1) as {
      tls?: {
        version: string;
        isVerified: boolean;
        reason?: string;
        certificate: { names: string[]; fingerprints: string[] };
      };
      extensionsBeforeTls?: string[];
      timingsMs: Record<string, number>;
      failure?: { code: string; message: string };
    };
    return { code: ran.code, ...report };
  };
  const verified = await probe("good");
  assert.equal(verified.code, 0);
  assert.equal(verified.tls?.isVerified, true);
  assert.match(verified.tls?.version ?? "", /^TLSv1\.[23]$/);
  assert.ok(verified.tls?.certificate.names.includes("DNS:localhost"));
  assert.ok(verified.extensionsBeforeTls?.includes("STARTTLS"));
  assert.deepEqual(Object.keys(verified.timingsMs).sort(), ["dns", "greeting", "hello", "tcp", "tls"]);
  const stranger = await probe("stranger");
  assert.equal(stranger.code, 75);
  assert.equal(stranger.tls?.isVerified, false);
  const expired = await probe("expired");
  assert.equal(expired.code, 75);
  assert.match(expired.tls?.reason ?? "", /EXPIRED|SELF_SIGNED/);
  const [certificate, publicKey] = stranger.tls?.certificate.fingerprints ?? [];
  for (const fingerprint of [certificate, publicKey]) {
    const pinned = `[remote.pinned]\naddress = "localhost"\nport = ${starttls.port}\nprotocol = "smtp"\ntls = { implicit = false, fingerprints = ["${fingerprint}"] }\n`;
    const text = await relaypost(["probe", await site.write("pinned.toml", pinned), "pinned"]);
    assert.equal(text.code, 0, text.stdout);
    assert.match(text.stdout, /^verified +yes, /m);
    assert.ok(text.stdout.includes(`tls.fingerprints = ["${fingerprint}"]`), "ready to paste");
    const other = pinned.replace(/sha256:./, (start) => `sha256:${start.endsWith("0") ? "1" : "0"}`);
    const refused = await relaypost(["probe", await site.write("pinned.toml", other), "pinned"]);
    assert.equal(refused.code, 75);
    assert.match(refused.stdout, /^verified +no: it is not one of tls\.fingerprints/m);
  }
  const plain = await probe("plain");
  assert.equal(plain.code, 75);
  assert.match(
    plain.failure?.message ?? "",
    /ERR_SSL_WRONG_VERSION_NUMBER\. It speaks plain text there: tls\.implicit = false is for STARTTLS\.$/,
  );
  const clear = await probe("clear");
  assert.equal(clear.code, 75);
  assert.equal(clear.failure?.code, "MISSING_STARTTLS");
  // One cause, one exit code: a lookup of each of them is no answer either.
  for (const id of ["stranger", "expired", "clear"]) {
    assert.equal((await relaypost(["lookup", file, id, "rcpt", "anna@example.org"])).code, 75, id);
  }
});
