/** Configurations as files, with the PEM files that they name. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { generate } from "selfsigned";
import { loadSettings, parseSettings } from "../../../src/config/load.js";
import { ConfigError } from "../../../src/errors.js";
import { HOST } from "../kit/config-texts.js";

describe("files of a configuration", () => {
  let directory = "";
  const at = (name: string): string => join(directory, name);

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "relaypost-config-"));
    const pair = await generate([{ name: "commonName", value: "localhost" }], { keySize: 2048 });
    const encrypted = generateKeyPairSync("ed25519", {
      privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    const other = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" });
    await Promise.all([
      writeFile(at("cert.pem"), pair.cert),
      writeFile(at("key.pem"), pair.private),
      writeFile(at("other.pem"), other),
      writeFile(at("encrypted.pem"), encrypted.privateKey),
      writeFile(at("broken.pem"), "-----BEGIN CERTIFICATE-----\nCanary7\n-----END CERTIFICATE-----\n"),
      writeFile(at("latin1.toml"), Buffer.from("# \xe4", "latin1")),
      writeFile(at("remotes.toml"), `${HOST}tls = {ca = "cert.pem", cert = "cert.pem", key = "./key.pem"}\n`),
    ]);
  });
  after(() => rm(directory, { recursive: true }));

  it("may be named by path or URL, and name PEM files beside them", async () => {
    for (const source of [at("remotes.toml"), pathToFileURL(at("remotes.toml"))]) {
      const { tls } = (await loadSettings(source)).hosts.get("x")!;
      assert.match(tls.ca ?? "", /BEGIN CERTIFICATE/);
      assert.equal(tls.cert, tls.ca);
      assert.match(tls.key ?? "", /PRIVATE KEY/);
    }
  });

  for (const [name, tls, key, message] of [
    ["a key of another certificate", 'cert = "cert.pem", key = "other.pem"', "key", /does not belong/],
    ["an encrypted key", 'cert = "cert.pem", key = "encrypted.pem"', "key", /encrypted/],
    ["a certificate as a key", 'cert = "cert.pem", key = "cert.pem"', "key", /no PEM private key/],
    ["a key as a CA", 'ca = "key.pem"', "ca", /no PEM certificate/],
    ["a certificate that cannot be read", 'ca = "broken.pem"', "ca", /cannot be read/],
  ] as const) {
    it(`are checked: ${name}`, async () => {
      await assert.rejects(parseSettings(`${HOST}tls = {${tls}}`, { file: at("x.toml") }), (error) => {
        assert.ok(error instanceof ConfigError);
        assert.deepEqual(
          [error.problems.length, error.problems[0]?.key, error.problems[0]?.line],
          [1, `remote.x.tls.${key}`, 5],
        );
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /Canary/);
        return true;
      });
    });
  }

  for (const [name, source, message] of [
    ["does not exist", () => at("none.toml"), /none\.toml: the file does not exist/],
    ["is a directory", () => directory, /is a directory/],
    ["is not UTF-8", () => at("latin1.toml"), /not UTF-8/],
    ["is on the web", () => new URL("https://example.org/"), /file: URL/],
  ] as const) {
    it(`are refused when the one to load ${name}`, async () => {
      await assert.rejects(
        loadSettings(source()),
        (error) => error instanceof ConfigError && message.test(error.message),
      );
    });
  }
});
