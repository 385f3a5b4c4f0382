/** `remote.<id>.auth`: the three ways in which an account logs in, what each needs, and what is said of a mixture. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parseSettings } from "../../../src/config/load.js";
import { ConfigError } from "../../../src/errors.js";
import { makeCertificate } from "../../../src/testing/index.js";

const HOST = '[remote.x]\naddress = "mail.example.org"\nport = 25\nprotocol = "smtp"\n';
const URL_AND_CLIENT = 'token-url = "https://login.example.org/token", client-id = "gw"';

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "relaypost-"));
  const { cert, key } = await makeCertificate();
  await writeFile(join(folder, "cert.pem"), cert);
  await writeFile(join(folder, "key.pem"), key, { mode: 0o600 });
  await writeFile(join(folder, "other.pem"), (await makeCertificate({ kind: "wrong-name" })).cert);
  await writeFile(join(folder, "refresh"), "r3fr3sh\n", { mode: 0o600 });
});
after(() => rm(folder, { recursive: true }));

async function hostOf(keys: string) {
  const { hosts } = await parseSettings(`${HOST}${keys}\n`, { file: join(folder, "remotes.toml") });
  const { auth, oauth2 } = hosts.get("x")!;
  return { auth, oauth2 };
}

async function problemsOf(keys: string): Promise<string[]> {
  try {
    await hostOf(keys);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(({ key, message }) => `${key.replace("remote.x.", "")} ${message}`);
  }
  return [];
}

describe("an account by OAuth 2.0", () => {
  test("is the client's own, with a secret or a key", async () => {
    const common = { tokenUrl: "https://login.example.org/token", clientId: "gw", grant: "client-credentials" };
    const secret = await hostOf(
      `auth = { username = "u", oauth2 = { ${URL_AND_CLIENT}, client-secret = "s", scope = "a b", audience = "c" } }`,
    );
    assert.deepEqual(secret, {
      auth: { username: "u", by: "token" },
      oauth2: { ...common, clientSecret: "s", clientAuth: "post", scope: "a b", audience: "c" },
    });
    const key = await hostOf(`auth = { username = "u", oauth2 = { ${URL_AND_CLIENT}, private-key-file = "key.pem" } }`);
    assert.match(key.oauth2?.privateKey ?? "", /^-----BEGIN PRIVATE KEY/);
  });

  test("says which key signs for it, and where its password is sent", async () => {
    const byKey = `${URL_AND_CLIENT}, private-key-file = "key.pem"`;
    const { oauth2 } = await hostOf(
      `auth = { username = "u", oauth2 = { ${byKey}, certificate-file = "cert.pem", key-id = "k1" } }`,
    );
    assert.match(oauth2?.certificate ?? "", /^-----BEGIN CERTIFICATE/);
    assert.equal(oauth2?.keyId, "k1");
    const basic = await hostOf(
      `auth = { username = "u", oauth2 = { ${URL_AND_CLIENT}, client-secret = "s", client-auth = "basic" } }`,
    );
    assert.equal(basic.oauth2?.clientAuth, "basic");
  });

  test("or that of a user who has agreed; a refresh token in a file stays there", async () => {
    const grant = `${URL_AND_CLIENT}, grant = "refresh-token"`;
    const inFile = await hostOf(`auth = { username = "u", oauth2 = { ${grant}, refresh-token-file = "refresh" } }`);
    assert.equal(inFile.oauth2?.refreshTokenFile, join(folder, "refresh"));
    assert.equal(inFile.oauth2?.refreshToken, undefined);
    const here = await hostOf(`auth = { username = "u", oauth2 = { ${grant}, refresh-token = "r" } }`);
    assert.equal(here.oauth2?.refreshToken, "r");
  });

  for (const [keys, ...problems] of [
    [`username = "u", oauth2 = { client-secret = "s" }`, /token-url is missing/, /client-id is missing/],
    [`username = "u", oauth2 = { ${URL_AND_CLIENT} }`, /client-id needs client-secret or private-key-file/],
    [`oauth2 = { ${URL_AND_CLIENT}, client-secret = "s" }`, /needs auth\.username beside it/],
    [
      `username = "u", secret = "s", oauth2 = { ${URL_AND_CLIENT}, client-secret = "s" }`,
      /stands beside auth\.secret; an account logs in one way/,
    ],
    [
      `username = "u", oauth2 = { ${URL_AND_CLIENT}, client-secret = "s", private-key-file = "key.pem" }`,
      /private-key-file stands beside auth\.oauth2\.client-secret/,
    ],
    [
      `username = "u", oauth2 = { ${URL_AND_CLIENT}, private-key-file = "key.pem", certificate-file = "other.pem" }`,
      /certificate-file names a certificate that does not belong to the key of private-key-file/,
    ],
    [
      `username = "u", oauth2 = { ${URL_AND_CLIENT}, private-key-file = "key.pem", client-auth = "basic" }`,
      /client-auth has no meaning without client-secret/,
    ],
    [
      `username = "u", oauth2 = { ${URL_AND_CLIENT}, client-secret = "s", certificate-file = "cert.pem", key-id = "k" }`,
      /certificate-file has no meaning without private-key-file/,
      /key-id has no meaning without private-key-file/,
    ],
    [
      `username = "u", oauth2 = { ${URL_AND_CLIENT}, client-secret = "s", refresh-token = "r" }`,
      /refresh-token has no meaning without grant/,
    ],
    [`username = "u", oauth2 = { ${URL_AND_CLIENT}, grant = "refresh-token" }`, /grant needs refresh-token beside it/],
    [
      `username = "u", oauth2 = { ${URL_AND_CLIENT}, grant = "refresh-token", refresh-token-file = "none" }`,
      /refresh-token-file names a file that does not exist/,
    ],
  ] as const) {
    test(`is refused: ${keys}`, async () => {
      const found = await problemsOf(`auth = { ${keys} }`);
      assert.equal(found.length, problems.length, found.join("\n"));
      for (const [at, problem] of problems.entries()) {
        assert.match(found[at]!, problem);
      }
    });
  }

  test("takes its tokens by TLS, or from this machine", async () => {
    const problem = (url: string) =>
      problemsOf(`auth = { username = "u", oauth2 = { token-url = "${url}", client-id = "gw", client-secret = "s" } }`);
    for (const right of [
      "https://a.example/t?x=1",
      "http://127.0.0.1:8080/t",
      "http://[::1]/t",
      "http://localhost:1/",
    ]) {
      assert.deepEqual(await problem(right), [], right);
    }
    for (const wrong of [
      "http://a.example/t",
      "http://127.0.0.1.evil.example/",
      "https://u:p@a.example/t",
      "https://a.example/t#x",
      "ftp://127.0.0.1/",
      "token",
    ]) {
      assert.match((await problem(wrong))[0] ?? "", /token-url must be an https: URL without credentials/, wrong);
    }
  });

  test("is no business of an IMAP host", async () => {
    const toml = `${HOST.replace("smtp", "imap")}auth = { oauth2 = { scope = "s" }, external = true }\n`;
    await assert.rejects(parseSettings(toml), /for SMTP and LMTP hosts only/);
  });
});

describe("an account by a certificate", () => {
  const PAIR = 'tls = { cert = "cert.pem", key = "key.pem" }\n';

  test("needs no name, and may have one", async () => {
    assert.deepEqual(await hostOf(`${PAIR}auth = { external = true }`), {
      auth: { username: "", by: "certificate" },
      oauth2: undefined,
    });
    const named = await hostOf(`${PAIR}auth = { external = true, username = "u" }`);
    assert.deepEqual(named.auth, { username: "u", by: "certificate" });
    assert.equal((await hostOf(`${PAIR}auth = { external = false }`)).auth, undefined);
  });

  test("needs the certificate and TLS, and no other way to log in", async () => {
    assert.match((await problemsOf("auth = { external = true }"))[0] ?? "", /needs tls\.cert and tls\.key/);
    const plain = 'tls = { cert = "cert.pem", key = "key.pem", implicit = false, starttls = "disable" }\n';
    assert.match((await problemsOf(`${plain}auth = { external = true }`))[0] ?? "", /needs TLS, and tls\.starttls/);
    assert.match(
      (await problemsOf(`${PAIR}auth = { external = true, username = "u", secret = "s" }`))[0] ?? "",
      /^auth\.external stands beside auth\.secret/,
    );
  });
});
