/** CRAM-MD5, PLAIN, LOGIN and the bearer mechanisms, by the examples of their RFCs and against faulty servers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import type { UserCredentials } from "../../../../src/messages/contract.js";
import { chooseExchange, type SaslChannel } from "../../../../workers/wire/sasl/choose.js";
import { CramMd5Exchange } from "../../../../workers/wire/sasl/cram-md5.js";
import {
  decodeChallenge,
  isRefusal,
  MAX_CHALLENGE_OCTETS,
  type SaslExchange,
} from "../../../../workers/wire/sasl/exchange.js";
import { LoginExchange } from "../../../../workers/wire/sasl/login.js";
import { OAuthBearerExchange, XOAuth2Exchange } from "../../../../workers/wire/sasl/oauth.js";
import { PlainExchange } from "../../../../workers/wire/sasl/plain.js";

const CANARY = "c4nary-Zwieback";
const user: UserCredentials = { username: "tim", secret: CANARY, isToken: false };
const tokenUser: UserCredentials = { username: "tim@example.org", secret: CANARY, isToken: true };
const secure: SaslChannel = {
  isSecure: true,
  allowPlaintext: false,
  randomBytes: (octets) => Buffer.alloc(octets, 7),
  host: "mail.example.org",
  port: 143,
};
const clear: SaslChannel = { ...secure, isSecure: false };
const ALL = ["LOGIN", "PLAIN", "XOAUTH2", "CRAM-MD5", "OAUTHBEARER", "SCRAM-SHA-1", "scram-sha-256", "GSSAPI"];

function text(result: ReturnType<SaslExchange["respond"]> | null): string {
  assert.ok(result !== null && !isRefusal(result));
  return Buffer.from(result).toString();
}

function mechanismOf(offered: readonly string[], credentials: UserCredentials, channel: SaslChannel): string {
  const chosen = chooseExchange(offered, credentials, channel);
  return "code" in chosen ? chosen.code : chosen.mechanism;
}

describe("choice of a mechanism", () => {
  it("takes the strongest one that is offered", () => {
    const order = ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"];
    for (let from = 0; from < order.length; from++) {
      assert.equal(mechanismOf(order.slice(from).reverse(), user, secure), order[from]);
    }
    assert.equal(mechanismOf(ALL, user, secure), "SCRAM-SHA-256");
    assert.equal(mechanismOf(ALL, tokenUser, secure), "OAUTHBEARER");
    assert.equal(mechanismOf(["XOAUTH2", "PLAIN"], tokenUser, secure), "XOAUTH2");
  });

  it("never shows a secret over plain text unless that is allowed", () => {
    assert.equal(mechanismOf(["PLAIN", "LOGIN"], user, clear), "MISSING_AUTH");
    assert.equal(mechanismOf(["PLAIN", "CRAM-MD5"], user, clear), "CRAM-MD5");
    assert.equal(mechanismOf(ALL, user, clear), "SCRAM-SHA-256");
    assert.equal(mechanismOf(ALL, tokenUser, clear), "MISSING_AUTH");
    assert.equal(mechanismOf(["PLAIN", "LOGIN"], user, { ...clear, allowPlaintext: true }), "PLAIN");
    assert.equal(mechanismOf(ALL, tokenUser, { ...clear, allowPlaintext: true }), "OAUTHBEARER");
  });

  it("never uses a token as a password, nor a password as a token", () => {
    assert.equal(mechanismOf(["PLAIN", "LOGIN"], tokenUser, secure), "MISSING_AUTH");
    assert.equal(mechanismOf(["XOAUTH2", "OAUTHBEARER"], user, secure), "MISSING_AUTH");
  });

  it("says what was offered and what to do, without repeating what is no mechanism name", () => {
    const failure = chooseExchange(["PLAIN", "\x1b[31mX", "NTLM"], user, clear);
    assert.ok("code" in failure);
    assert.match(failure.message, /PLAIN, NTLM/);
    assert.match(failure.message, /auth\.allow-plaintext/);
    assert.ok(!failure.message.includes("\x1b"));
    assert.ok(!JSON.stringify(failure).includes(CANARY));
  });

  it("passes over SCRAM for a password that SASLprep prohibits", () => {
    const emoji = { ...user, secret: "p\u{1F600}" };
    assert.equal(mechanismOf(["SCRAM-SHA-256", "PLAIN"], emoji, secure), "PLAIN");
    assert.equal(mechanismOf(["SCRAM-SHA-256"], { ...user, secret: "bell\x07" }, secure), "MISSING_AUTH");
    assert.equal(mechanismOf(["SCRAM-SHA-256"], { ...user, secret: "\u00ad" }, secure), "MISSING_AUTH");
  });

  it("refuses octets that part the fields of a mechanism", () => {
    assert.equal(mechanismOf(ALL, { ...user, username: "a\0b" }, secure), "INVALID_ARGUMENT");
    assert.equal(mechanismOf(ALL, { ...user, secret: "a\r\nb" }, secure), "INVALID_ARGUMENT");
    assert.equal(mechanismOf(ALL, { ...tokenUser, username: "a\x01auth=Bearer b" }, secure), "INVALID_ARGUMENT");
  });

  it("keeps secrets out of inspection and JSON", () => {
    for (const credentials of [user, tokenUser]) {
      for (const name of ALL) {
        const exchange = chooseExchange([name], credentials, secure);
        if ("code" in exchange) {
          continue;
        }
        exchange.initialResponse();
        exchange.respond(Buffer.from("Password:"));
        const shown = inspect(exchange, { showHidden: true, depth: 10 }) + JSON.stringify(exchange);
        assert.ok(!shown.includes(CANARY), name);
      }
    }
  });
});

describe("PLAIN and LOGIN", () => {
  it("PLAIN sends both in one message and knows no challenge", () => {
    const plain = new PlainExchange({ username: "tim", secret: "tanstaaftanstaaf", isToken: false });
    assert.equal(plain.acceptSuccess(), false);
    assert.equal(text(plain.initialResponse()), "\0tim\0tanstaaftanstaaf"); // RFC 4616 4
    assert.ok(isRefusal(plain.respond(Buffer.from("more"))));
    assert.equal(plain.acceptSuccess(), true);
  });

  it("LOGIN answers two prompts of any wording, in their order", () => {
    const login = new LoginExchange(user);
    assert.equal(login.initialResponse(), null);
    assert.equal(text(login.respond(Buffer.from("User Name\0"))), "tim");
    assert.equal(login.acceptSuccess(), false);
    assert.equal(text(login.respond(Buffer.from("Password:"))), CANARY);
    assert.equal(login.acceptSuccess(), true);
    assert.ok(isRefusal(login.respond(Buffer.from("Password:"))));
  });
});

describe("CRAM-MD5", () => {
  it("answers the example of RFC 2195", () => {
    const cram = new CramMd5Exchange({ username: "tim", secret: "tanstaaftanstaaf", isToken: false });
    assert.equal(cram.initialResponse(), null);
    assert.equal(cram.acceptSuccess(), false);
    const challenge = decodeChallenge("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+");
    assert.ok(!isRefusal(challenge));
    const response = cram.respond(challenge);
    assert.equal(text(response), "tim b913a602c7eda7a495b4e6e7334d3890");
    assert.equal(cram.acceptSuccess(), true);
    assert.ok(isRefusal(cram.respond(challenge)));
  });

  it("refuses an empty challenge", () => {
    assert.ok(isRefusal(new CramMd5Exchange(user).respond(new Uint8Array(0))));
  });
});

describe("bearer tokens", () => {
  const error = Buffer.from('{"status":"invalid_token","scope":"example_scope"}');

  it("OAUTHBEARER sends the message of RFC 7628 4.1 and answers the error with %x01", () => {
    const credentials = {
      username: "user@example.com",
      secret: "vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==",
      isToken: true,
    };
    const bearer = new OAuthBearerExchange(credentials, "server.example.com", 143);
    assert.equal(bearer.acceptSuccess(), false);
    assert.equal(
      text(bearer.initialResponse()),
      "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01" +
        "auth=Bearer vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\x01\x01",
    );
    assert.equal(bearer.acceptSuccess(), true);
    assert.deepEqual([...(bearer.respond(error) as Uint8Array)], [1]);
    assert.equal(bearer.acceptSuccess(), false, "success after an error is a contradiction");
    assert.ok(isRefusal(bearer.respond(error)));
  });

  it("OAUTHBEARER escapes what parts its header", () => {
    const bearer = new OAuthBearerExchange({ username: "a=b,c", secret: "t", isToken: true }, "h", 1);
    assert.match(text(bearer.initialResponse()), /^n,a=a=3Db=2Cc,\x01/);
  });

  it("XOAUTH2 answers the error with an empty response", () => {
    const bearer = new XOAuth2Exchange({ username: "a@b.c", secret: "ya29.T", isToken: true });
    assert.equal(text(bearer.initialResponse()), "user=a@b.c\x01auth=Bearer ya29.T\x01\x01");
    assert.equal(bearer.acceptSuccess(), true);
    assert.equal(text(bearer.respond(error)), "");
    assert.equal(bearer.acceptSuccess(), false);
    assert.ok(isRefusal(bearer.respond(error)));
  });
});

describe("challenges in base64", () => {
  it("are decoded strictly", () => {
    assert.equal(text(decodeChallenge("UGFzc3dvcmQ6")), "Password:");
    assert.equal(text(decodeChallenge("")), "");
    for (const bad of ["UGFzc3dvcmQ", "UGFzc3dv cmQ6", "%%%%", "QR==", "UGFz====", "UGFz\u00e9AAA"]) {
      assert.ok(isRefusal(decodeChallenge(bad)), bad);
    }
  });

  it("are refused past their bound", () => {
    assert.ok(!isRefusal(decodeChallenge("A".repeat(MAX_CHALLENGE_OCTETS))));
    assert.ok(isRefusal(decodeChallenge("A".repeat(MAX_CHALLENGE_OCTETS + 4))));
  });
});
