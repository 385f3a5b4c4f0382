/** Access tokens of one account: when they are fetched, renewed, replaced and given up, against a token server and under a clock that a test moves. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { OAuth2Settings } from "../../../src/config/settings.js";
import type { AccessToken } from "../../../src/messages/tokens.js";
import { makeCertificate } from "../../../src/testing/index.js";
import { TokenSource } from "../../../src/tokens/token-source.js";
import { answer, TokenServer } from "../../kit/token-server.js";

const SECRET = "kanarienvogel+?&=ü";
/** As it is sent. */
const FORM = new URLSearchParams({ "": SECRET }).toString().slice(1);

describe("the tokens of an account", () => {
  let server: TokenServer;
  let nowMs: number;
  let records: string[];

  beforeEach(async () => {
    server = await TokenServer.listen();
    nowMs = 1_000;
    records = [];
  });
  afterEach(() => server[Symbol.asyncDispose]());

  function open(settings: Partial<OAuth2Settings> = {}, limitMs?: number): TokenSource {
    const oauth2: OAuth2Settings = {
      tokenUrl: server.url,
      clientId: "gateway",
      clientSecret: SECRET,
      grant: "client-credentials",
      ...settings,
    };
    return new TokenSource("x", oauth2, {
      clock: { now: () => nowMs, after: () => () => {} },
      random: () => 1,
      log: (level, event, message, fields) => records.push(`${level} ${event} ${message} ${JSON.stringify(fields)}`),
      ...(limitMs === undefined ? {} : { limitMs }),
    });
  }

  /** The first answer to a wish. */
  function wish(source: TokenSource, refused = 0): Promise<string> {
    return new Promise((resolve) =>
      source.wanted(refused, ({ outcome }) => {
        resolve("code" in outcome ? `${outcome.code} ${outcome.message}` : `${outcome.serial} ${outcome.token}`);
      }),
    );
  }

  describe("a source of access tokens", () => {
    test("asks once for all who want a token, and says by whom and for what", async () => {
      const source = open({ scope: "mail.send smtp", audience: "https://mail.example.org" });
      const all = await Promise.all([wish(source), wish(source), wish(source)]);
      assert.deepEqual(all, ["1 token-1", "1 token-1", "1 token-1"]);
      assert.equal(await wish(source), "1 token-1");
      assert.deepEqual(
        server.requests.map((request) => Object.fromEntries(request)),
        [
          {
            grant_type: "client_credentials",
            client_id: "gateway",
            client_secret: SECRET,
            scope: "mail.send smtp",
            audience: "https://mail.example.org",
          },
        ],
      );
    });

    test("renews a token in the last part of its time, while the old one is still given", async () => {
      const source = open();
      await wish(source);
      nowMs += 2_900_000;
      assert.equal(await wish(source), "1 token-1");
      assert.equal(server.requests.length, 1);
      nowMs += 100_000;
      const given: AccessToken[] = [];
      await new Promise<void>((resolve) =>
        source.wanted(0, ({ outcome }) => {
          assert.ok(!("code" in outcome));
          given.push(outcome);
          if (given.length === 2) {
            resolve();
          }
        }),
      );
      assert.deepEqual(
        given.map(({ serial, token, leftMs, renewInMs }) => [serial, token, leftMs, renewInMs]),
        [
          [1, "token-1", 590_000, -10_000],
          [2, "token-2", 3_590_000, 2_990_000],
        ],
      );
    });

    test("gives the old token to its end where it cannot be renewed", async () => {
      const source = open();
      await wish(source);
      server.orders.push(answer(500, "<html>"), answer(500, "<html>"));
      nowMs += 3_000_000;
      assert.equal(await wish(source), "1 token-1");
      // Until the fetch behind it has come to its end.
      while (records.length < 2) {
        await new Promise(setImmediate);
      }
      assert.match(records[1]!, /^warn token-failed The token server 127.0.0.1:\d+ answered with the status 500/);
      assert.equal(await wish(source), "1 token-1");
      assert.equal(server.requests.length, 2);
      nowMs += 600_000;
      assert.match(await wish(source), /^TOKEN_FAILED /);
    });

    test("fetches another token for one that the host refused, once in a minute, and only for the one at hand", async () => {
      const source = open();
      await wish(source);
      assert.deepEqual(await Promise.all([wish(source, 1), wish(source, 1)]), ["2 token-2", "2 token-2"]);
      assert.equal(await wish(source, 1), "2 token-2");
      assert.equal(await wish(source, 2), "2 token-2");
      assert.equal(server.requests.length, 2);
      nowMs += 60_000;
      assert.equal(await wish(source, 2), "3 token-3");
    });

    test("does not use a token to its last second, nor for ever where its time is not told", async () => {
      const source = open();
      server.orders.push({ expires_in: 20 });
      assert.equal(await wish(source), "1 token-1");
      server.orders.push(answer(500, ""), { expires_in: undefined });
      nowMs += 17_999;
      assert.equal(await wish(source), "1 token-1");
      nowMs += 1;
      assert.match(await wish(source), /^TOKEN_FAILED /);
      nowMs += 1_000;
      assert.equal(await wish(source), "2 token-2");
      nowMs += 3_590_000;
      assert.equal(await wish(source), "3 token-3");
    });
  });

  describe("a token server's failure is told in its words, and the server left alone for a while", () => {
    type Case = [what: string, order: Parameters<typeof server.orders.push>[0], message: RegExp, retryMs: number];
    const cases: Case[] = [
      [
        "400 invalid_grant",
        answer(400, { error: "invalid_grant", error_description: "Token has been\r\nrevoked." }),
        /refused: 400 invalid_grant: Token has been revoked\./,
        15_000,
      ],
      ["401 invalid_client", answer(401, { error: "invalid_client" }), /refused: 401 invalid_client\./, 15_000],
      [
        "429 with Retry-After",
        answer(429, { error: "slow_down" }, { "retry-after": "120" }),
        /refused: 429 slow_down\./,
        120_000,
      ],
      ["429 without words", answer(429, "", { "retry-after": "30" }), /the status 429 and no OAuth error/, 30_000],
      ["500", answer(500, "<h1>Sorry</h1>"), /answered with the status 500 and no OAuth error/, 1_000],
      ["a redirect", answer(302, "", { location: "http://evil.example/" }), /the status 302/, 1_000],
      ["garbage", answer(200, "<h1>Welcome</h1>"), /something that is no access token/, 1_000],
      ["JSON without a token", answer(200, { token_type: "bearer" }), /something that is no access token/, 1_000],
      [
        "another kind of token",
        { token_type: "mac" },
        /something that is no access token|another kind than bearer/,
        1_000,
      ],
      ["a token with a space", { access_token: "a b" }, /no mail protocol can carry/, 1_000],
      ["a token that has ended", { expires_in: 0 }, /has ended already/, 1_000],
      ["an endless answer", answer(200, "x".repeat(300_000)), /answered more than 256 KiB/, 1_000],
      ["a cut connection", (response) => response.destroy(), /could not be asked: \w+/, 1_000],
      [
        "its own secret",
        answer(400, { error: "invalid_client", error_description: `wrong: ${SECRET}` }),
        /withheld: the answer repeats a secret/,
        15_000,
      ],
      ["its own secret as the error", answer(400, { error: SECRET }), /withheld: the answer repeats a secret/, 15_000],
      ...[FORM, FORM.toLowerCase(), Buffer.from(SECRET).toString("base64")].map(
        (form): Case => [
          `its own secret as ${form}`,
          answer(400, { error: "invalid_client", error_description: `wrong: ${form}` }),
          /withheld: the answer repeats a secret/,
          15_000,
        ],
      ),
      [
        "an error that is none",
        answer(400, { error: `x\r\n${"y".repeat(5_000)}` }),
        /refused: 400 x y{250,300}/,
        15_000,
      ],
    ];
    for (const [what, order, message, retryMs] of cases) {
      test(what, async () => {
        const source = open();
        server.orders.push(order);
        const first = await wish(source);
        assert.match(first, message);
        assert.match(first, /^TOKEN_FAILED The token server 127\.0\.0\.1:\d+ .* remote\.x\.auth\.oauth2 needs/);
        nowMs += retryMs - 1;
        assert.match(await wish(source), /It is asked again in 1 s\.$/);
        assert.equal(server.requests.length, 1);
        nowMs += 1;
        assert.match(await wish(source), /^1 token-\d$/);
        const told = `${first} ${records.join(" ")}`;
        assert.ok(!told.includes(SECRET));
        assert.ok(told.length < 2_000, "a server has room for a few words, and not for a page");
      });
    }

    test("nobody there, a certificate that nobody trusts, and silence", async () => {
      await using secured = await TokenServer.listen(await makeCertificate({ kind: "own-ca" }));
      assert.match(
        await wish(open({ tokenUrl: secured.url })),
        /could not be asked: \w*(CERT|SIGN|VERIFY|ISSUER)\w*\./,
      );
      assert.equal(secured.requests.length, 0);
      server.orders.push(() => {});
      assert.match(await wish(open({}, 50)), /did not answer within 0\.05 s/);
      const source = open();
      await server[Symbol.asyncDispose]();
      assert.match(await wish(source), /could not be asked: ECONNREFUSED/);
      server = await TokenServer.listen();
    });

    test("each failure in a row doubles the time, up to a minute", async () => {
      const source = open();
      for (const retryMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
        server.orders.push(answer(503, ""));
        const { length } = server.requests;
        await wish(source);
        assert.equal(server.requests.length, length + 1);
        nowMs += retryMs - 1;
        await wish(source);
        assert.equal(server.requests.length, length + 1);
        nowMs += 1;
      }
      assert.equal(await wish(source), "1 token-1");
    });
  });
});
