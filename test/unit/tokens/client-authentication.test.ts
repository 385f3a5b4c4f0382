/** How a client proves to a token server who it is: what its assertion's header says of its key, and HTTP Basic; and what it never shows. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { OAuth2Settings } from "../../../src/config/settings.js";
import { makeCertificate } from "../../../src/testing/index.js";
import { TokenSource } from "../../../src/tokens/token-source.js";
import { byAssertion, byBasic } from "../../kit/client-proof.js";
import { answer, TokenServer } from "../../kit/token-server.js";

const CLIENT_ID = "gate:way ü*";
const SECRET = "kanarien:vogel+?&=ü *~";

describe("a client of a token server", () => {
  let server: TokenServer;
  let nowMs: number;
  let records: string[];

  beforeEach(async () => {
    server = await TokenServer.listen();
    nowMs = 0;
    records = [];
  });
  afterEach(() => server[Symbol.asyncDispose]());

  function open(settings: Partial<OAuth2Settings>): TokenSource {
    const oauth2 = { tokenUrl: server.url, clientId: CLIENT_ID, grant: "client-credentials", ...settings } as const;
    return new TokenSource("x", oauth2, {
      clock: { now: () => nowMs, after: () => () => {} },
      random: () => 1,
      log: (level, event, message) => records.push(`${level} ${event} ${message}`),
    });
  }

  /** Asks for the next token, the last one having ended. */
  function next(source: TokenSource): Promise<string> {
    nowMs += 3_600_000;
    return new Promise((resolve) =>
      source.wanted(0, ({ outcome }) => resolve("code" in outcome ? outcome.message : outcome.token)),
    );
  }

  test("sends its secret by HTTP Basic, form-encoded, or in the body, and not both ways", async () => {
    server.knows = byBasic(CLIENT_ID, SECRET);
    assert.equal(await next(open({ clientSecret: SECRET, clientAuth: "basic" })), "token-1");
    assert.match(await next(open({ clientSecret: SECRET, clientAuth: "post" })), /refused: 401 invalid_client/);
    assert.match(await next(open({ clientSecret: "another", clientAuth: "basic" })), /refused: 401 invalid_client/);
    server.knows = (request, { authorization }) =>
      request.get("client_secret") === SECRET && request.get("client_id") === CLIENT_ID && authorization === undefined;
    assert.equal(await next(open({ clientSecret: SECRET, clientAuth: "post" })), "token-2");
    assert.equal(await next(open({ clientSecret: SECRET })), "token-3");
  });

  test("shows nothing of what it sent by HTTP Basic where the server repeats it", async () => {
    for (const repeat of [(basic: string) => basic, (basic: string) => Buffer.from(basic, "base64").toString()]) {
      let said = "";
      server.knows = (_request, { authorization = "" }) => {
        said = repeat(authorization.slice("Basic ".length));
        server.orders.push(answer(400, { error: "invalid_client", error_description: `wrong: ${said}` }));
        return true;
      };
      const told = await next(open({ clientSecret: SECRET, clientAuth: "basic" }));
      assert.match(told, /withheld: the answer repeats a secret/);
      assert.ok(said !== "" && !`${told} ${records.join(" ")}`.includes(said));
    }
  });

  test("names its key in the assertion's header by the thumbprints of its certificate and by its name", async () => {
    const { cert, key } = await makeCertificate();
    const x509 = new X509Certificate(cert);
    const thumbprint = (colons: string): string => Buffer.from(colons.replaceAll(":", ""), "hex").toString("base64url");
    const thumbprints = { x5t: thumbprint(x509.fingerprint), "x5t#S256": thumbprint(x509.fingerprint256) };
    const alg = x509.publicKey.asymmetricKeyType === "rsa" ? "RS256" : "ES256";
    const common = { key: x509.publicKey, claims: { iss: CLIENT_ID, sub: CLIENT_ID, aud: server.url } };
    const cells: [Partial<OAuth2Settings>, header: object][] = [
      [{}, { alg }],
      [{ keyId: "k1" }, { alg, kid: "k1" }],
      [{ certificate: cert }, { alg, ...thumbprints }],
      [
        { certificate: cert, keyId: "k1" },
        { alg, kid: "k1", ...thumbprints },
      ],
    ];
    for (const [settings, header] of cells) {
      server.knows = byAssertion({ ...common, header: { ...header } });
      assert.match(await next(open({ privateKey: key, ...settings })), /^token-\d$/, JSON.stringify(header));
    }
    const { key: strange } = await makeCertificate({ kind: "wrong-name" });
    assert.match(
      await next(open({ privateKey: strange, certificate: cert, keyId: "k1" })),
      /refused: 401 invalid_client/,
      "of the certificate, and signed by another key",
    );
  });

  for (const status of [301, 302, 303, 307, 308]) {
    test(`does not go where a redirect leads, neither with its secret nor without (${status})`, async () => {
      await using elsewhere = await TokenServer.listen();
      server.orders.push(answer(status, "", { location: elsewhere.url }));
      const told = await next(open({ clientSecret: SECRET }));
      assert.match(told, new RegExp(`answered with the status ${status} and no OAuth error`));
      assert.equal(server.requests.length, 1);
      assert.deepEqual(elsewhere.requests, []);
    });
  }

  test("that is closed while it waits says so, and does not blame the server", async () => {
    const source = open({ clientSecret: SECRET });
    const asked = new Promise<void>((resolve) => server.orders.push(() => resolve()));
    const told = next(source);
    await asked;
    source.close();
    assert.match(await told, /was not waited for, since relaypost was closed or its configuration changed\./);
    assert.deepEqual(records, []);
  });

  describe("with a refresh token", () => {
    let folder: string;
    let file: string;

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), "relaypost-"));
      file = join(folder, "refresh");
      await writeFile(file, "first\n", { mode: 0o600 });
    });
    afterEach(() => rm(folder, { recursive: true }));

    for (const [what, token, words] of [
      ["of several lines", "second\r\nthird", /has a line's end/],
      ["of 100,000 octets", "x".repeat(100_000), /is longer than 16384 octets/],
      ["with a letter that is not ASCII", "zweité", /another character that no token has/],
    ] as const) {
      test(`${what} that it is handed does not replace the old one`, async () => {
        const source = open({ grant: "refresh-token", refreshTokenFile: file });
        server.orders.push({ refresh_token: token });
        assert.equal(await next(source), "token-1");
        assert.equal(await readFile(file, "utf8"), "first\n");
        const [told] = records.filter((record) => record.startsWith("warn"));
        assert.match(told ?? "", /^warn token-not-saved .* handed out another refresh token/);
        assert.match(told ?? "", words);
        assert.ok(!records.join("").includes(token));
        await next(source);
        assert.equal(server.requests.at(-1)!.get("refresh_token"), "first");
      });

      test(`${what} in its file asks nobody`, async () => {
        await writeFile(file, `${token}\n`);
        const told = await next(open({ grant: "refresh-token", refreshTokenFile: file }));
        assert.match(told, /was not asked: the refresh token /);
        assert.match(told, words);
        assert.ok(!told.includes(token));
        assert.equal(server.requests.length, 0);
      });
    }

    test("whose file is empty asks nobody; an empty one that it is handed is none", async () => {
      const source = open({ grant: "refresh-token", refreshTokenFile: file });
      server.orders.push({ refresh_token: "" });
      assert.equal(await next(source), "token-1");
      assert.equal(await readFile(file, "utf8"), "first\n");
      assert.deepEqual(
        records.filter((record) => record.startsWith("warn")),
        [],
      );
      await writeFile(file, "\n");
      assert.match(await next(source), /was not asked: the refresh token is empty\./);
      assert.equal(server.requests.length, 1);
    });
  });
});
