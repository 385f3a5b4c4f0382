/** How a client proves to a token server who it is, and what becomes of refresh tokens that it is handed. */
import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { OAuth2Settings } from "../../../src/config/settings.js";
import { TokenSource } from "../../../src/tokens/token-source.js";
import { answer, TokenServer } from "../../kit/token-server.js";

describe("a client of a token server", () => {
  let server: TokenServer;
  let folder: string;
  let file: string;
  let nowMs: number;
  let records: string[];

  beforeEach(async () => {
    server = await TokenServer.listen();
    folder = await mkdtemp(join(tmpdir(), "relaypost-"));
    file = join(folder, "refresh");
    await writeFile(file, "first\n", { mode: 0o640 });
    nowMs = 0;
    records = [];
  });
  afterEach(async () => {
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  function open(settings: Partial<OAuth2Settings>, former?: TokenSource): TokenSource {
    const oauth2 = { tokenUrl: server.url, clientId: "gateway", grant: "refresh-token", ...settings } as const;
    const log = (level: string, event: string, message: string): void => {
      records.push(`${level} ${event} ${message}`);
    };
    return new TokenSource(
      "x",
      oauth2,
      { clock: { now: () => nowMs, after: () => () => {} }, random: () => 1, log },
      former,
    );
  }

  /** Asks for the next token, the last one having ended. */
  function next(source: TokenSource): Promise<string> {
    nowMs += 3_600_000;
    return new Promise((resolve) =>
      source.wanted(0, ({ outcome }) => resolve("code" in outcome ? outcome.message : outcome.token)),
    );
  }

  const used = (): (string | null)[] => server.requests.map((request) => request.get("refresh_token"));
  const events = (): string[] => records.map((record) => record.split(" ", 2).join(" "));

  describe("a refresh token", () => {
    test("is used as it is while the server hands out no other", async () => {
      const source = open({ refreshTokenFile: file, scope: "smtp" });
      await next(source);
      await next(source);
      assert.deepEqual(used(), ["first", "first"]);
      assert.deepEqual(Object.fromEntries(server.requests[0]!), {
        grant_type: "refresh_token",
        client_id: "gateway",
        refresh_token: "first",
        scope: "smtp",
      });
      assert.deepEqual(events(), ["info token-fetched", "info token-fetched"]);
    });

    test("that is handed out takes the place of the old one in its file, with the file's rights", async () => {
      const source = open({ refreshTokenFile: file });
      server.orders.push({ refresh_token: "second" });
      await next(source);
      assert.equal(await readFile(file, "utf8"), "second\n");
      assert.equal((await stat(file)).mode & 0o777, 0o640);
      assert.deepEqual(await readdir(folder), ["refresh"]);
      await next(source);
      assert.deepEqual(used(), ["first", "second"]);
      assert.ok(events().includes("info token-rotated"));
    });

    test("of another gateway that shares the file is used at once", async () => {
      const source = open({ refreshTokenFile: file });
      await next(source);
      server.orders.push((response) => {
        void writeFile(file, "theirs\n").then(() => {
          answer(400, { error: "invalid_grant" })(response);
        });
      });
      assert.equal(await next(source), "token-2");
      assert.deepEqual(used(), ["first", "first", "theirs"]);
    });

    test("that cannot be written is used until the process ends, and said to be lost then", async () => {
      // Whatever stands beside it has a longer name, and no file system takes more than 255 octets.
      const long = file + "x".repeat(240 - basename(file).length);
      await writeFile(long, "first\n");
      const source = open({ refreshTokenFile: long });
      server.orders.push({ refresh_token: "second" });
      await next(source);
      assert.equal(await readFile(long, "utf8"), "first\n");
      assert.match(records.at(-1)!, /^warn token-not-saved .* could not be written \(ENAMETOOLONG\)\. It is lost/);
      await next(source);
      assert.deepEqual(used(), ["first", "second"]);
      assert.ok(!records.some((record) => record.includes("second")));
    });

    test("that stands in the configuration is kept in memory, across a reload, with a warning", async () => {
      const source = open({ refreshToken: "first" });
      server.orders.push({ refresh_token: "second" });
      await next(source);
      assert.match(records.at(-1)!, /^warn token-not-saved .*ends with this process: use refresh-token-file/);
      await next(open({ refreshToken: "first", scope: "other" }, source));
      await next(open({ refreshToken: "another" }, source));
      assert.deepEqual(used(), ["first", "second", "another"]);
    });

    test("whose file is gone is not asked for", async () => {
      await rm(file);
      assert.match(
        await next(open({ refreshTokenFile: file })),
        /the file of the refresh token could not be read \(ENOENT\)/,
      );
      assert.equal(server.requests.length, 0);
    });

    test("beside an ID token, which is not looked at", async () => {
      server.orders.push({ id_token: "not.a.jwt" });
      assert.equal(await next(open({ refreshToken: "first" })), "token-1");
    });
  });

  describe("a private key", () => {
    const pairs: readonly [name: string, alg: string, pair: { privateKey: KeyObject; publicKey: KeyObject }][] = [
      ["RSA", "RS256", generateKeyPairSync("rsa", { modulusLength: 2048 })],
      ["P-256", "ES256", generateKeyPairSync("ec", { namedCurve: "prime256v1" })],
      ["P-384", "ES384", generateKeyPairSync("ec", { namedCurve: "secp384r1" })],
      ["Ed25519", "Ed25519", generateKeyPairSync("ed25519")],
    ];
    for (const [name, alg, { privateKey, publicKey }] of pairs) {
      test(`of the kind ${name} signs who the client is, for this server`, async () => {
        const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
        assert.equal(await next(open({ grant: "client-credentials", privateKey: pem })), "token-1");
        const request = server.requests[0]!;
        assert.equal(request.get("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert.equal(request.get("client_secret"), null);
        const [head, payload, signature] = request.get("client_assertion")!.split(".") as [string, string, string];
        const read = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, "base64url").toString());
        assert.equal(read(head).alg, alg);
        const { iss, sub, aud } = read(payload);
        assert.deepEqual({ iss, sub, aud }, { iss: "gateway", sub: "gateway", aud: server.url });
        const hash = alg === "Ed25519" ? null : `sha${alg.slice(2)}`;
        const key = {
          key: createPublicKey(publicKey.export({ type: "spki", format: "pem" })),
          dsaEncoding: "ieee-p1363",
        } as const;
        assert.ok(verify(hash, Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, "base64url")));
      });
    }

    test("of a kind that no token server knows is said to be one", async () => {
      const { privateKey } = generateKeyPairSync("x25519");
      const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
      assert.match(
        await next(open({ grant: "client-credentials", privateKey: pem })),
        /must hold an RSA, Ed25519 or NIST/,
      );
      assert.equal(server.requests.length, 0);
    });
  });
});
