/** SCRAM by the vectors of RFC 5802 and RFC 7677, and against servers that cheat. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chooseExchange } from "../../../../workers/wire/sasl/choose.js";
import { isRefusal, type SaslExchange } from "../../../../workers/wire/sasl/exchange.js";
import { ScramExchange } from "../../../../workers/wire/sasl/scram.js";
import { deriveScramKeys, keepScramKeys, nameScramKeys } from "../../../../workers/wire/sasl/scram-keys.js";

const NONCE = "fyko+d2lbbFgONRv9qkxdawL";
const SERVER_FIRST = `r=${NONCE}3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096`;
const SERVER_FINAL = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";

function start(isSecure = true): ScramExchange {
  const exchange = new ScramExchange({ hash: "sha1", username: "user", password: "pencil", nonce: NONCE, isSecure });
  exchange.initialResponse();
  return exchange;
}

function say(exchange: SaslExchange, challenge: string): string {
  const result = exchange.respond(Buffer.from(challenge));
  return isRefusal(result) ? `refused: ${result.refusal}` : Buffer.from(result).toString();
}

describe("SCRAM", () => {
  it("answers the example of RFC 5802 5", () => {
    const credentials = { username: "user", secret: "pencil", isToken: false };
    const randomBytes = () => Buffer.from(NONCE, "base64");
    const channel = { isSecure: false, allowPlaintext: false, randomBytes, host: "h", port: 1 };
    const exchange = chooseExchange(["SCRAM-SHA-1"], credentials, channel);
    assert.ok(!("code" in exchange));
    assert.equal(Buffer.from(exchange.initialResponse()!).toString(), `n,,n=user,r=${NONCE}`);
    assert.equal(say(exchange, SERVER_FIRST), `c=biws,r=${NONCE}3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=`);
    assert.equal(exchange.acceptSuccess(null), false);
    assert.equal(say(exchange, SERVER_FINAL), "");
    assert.equal(exchange.acceptSuccess(null), true);
  });

  it("answers the example of RFC 7677 3", () => {
    const nonce = "rOprNGfwEbeRWgbNEkqO";
    const exchange = new ScramExchange({ hash: "sha256", username: "user", password: "pencil", nonce, isSecure: true });
    assert.equal(exchange.mechanism, "SCRAM-SHA-256");
    assert.equal(Buffer.from(exchange.initialResponse()).toString(), `n,,n=user,r=${nonce}`);
    const whole = `${nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`;
    assert.equal(
      say(exchange, `r=${whole},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`),
      `c=biws,r=${whole},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`,
    );
    assert.equal(say(exchange, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), "");
    assert.equal(exchange.acceptSuccess(null), true);
  });

  it("takes the server's last message with its claim of success, where the protocol carries it there", () => {
    const exchange = start();
    say(exchange, SERVER_FIRST);
    assert.equal(exchange.acceptSuccess(Buffer.from(SERVER_FINAL)), true);
  });

  it("escapes the user name and prepares both names with SASLprep", () => {
    const credentials = { username: "a=b,\u2168", secret: "I\u00adX", isToken: false };
    const channel = { isSecure: true, allowPlaintext: false, randomBytes: () => Buffer.alloc(18), host: "h", port: 1 };
    const exchange = chooseExchange(["SCRAM-SHA-1"], credentials, channel);
    assert.ok(!("code" in exchange));
    // RFC 4013 3: U+2168 becomes IX, the soft hyphen nothing.
    assert.match(Buffer.from(exchange.initialResponse()!).toString(), /^n,,n=a=3Db=2CIX,r=/);
  });

  it("refuses a nonce that does not extend its own", () => {
    for (const nonce of [NONCE, NONCE.slice(0, -1), `x${NONCE}yyyy`, ""]) {
      assert.match(say(start(), `r=${nonce},s=QSXCR+Q6sek8bf92,i=4096`), /nonce does not extend/, nonce);
    }
  });

  it("refuses iteration counts that are a bomb or no number", () => {
    for (const count of ["100001", "2147483648", "99999999999999999999", "0", "-1", "4096x", "1e3", "", "04096"]) {
      assert.match(say(start(), `r=${NONCE}x,s=QSXCR+Q6sek8bf92,i=${count}`), /iteration count/, count);
    }
  });

  it("refuses a count that makes guessing cheap for who listens, over plain text", () => {
    assert.match(say(start(false), `r=${NONCE}x,s=QSXCR+Q6sek8bf92,i=4095`), /under 4096/);
    assert.match(say(start(true), `r=${NONCE}x,s=QSXCR+Q6sek8bf92,i=1`), /^c=biws/);
  });

  it("refuses malformed first messages and mandatory extensions", () => {
    const bad = ["", "r=", `m=x,${SERVER_FIRST}`, `s=QSXCR+Q6sek8bf92,r=${NONCE}x,i=4096`, `r=${NONCE}x,s=!!!!,i=4096`];
    for (const message of [...bad, `r=${NONCE}x,s=,i=4096`, `r=${NONCE}x`]) {
      assert.match(say(start(), message), /^refused/, message);
    }
  });

  it("ignores optional extensions behind the three attributes", () => {
    assert.match(say(start(), `${SERVER_FIRST},x=y`), /^c=biws/);
  });

  it("refuses a wrong signature, and success after it", () => {
    for (const final of ["v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "v=", "", "x=y", SERVER_FINAL.slice(0, -4)]) {
      const exchange = start();
      say(exchange, SERVER_FIRST);
      assert.match(say(exchange, final), /signature is wrong/, final);
      assert.equal(exchange.acceptSuccess(null), false);
    }
    const exchange = start();
    say(exchange, SERVER_FIRST);
    assert.equal(exchange.acceptSuccess(Buffer.from("v=AAAA")), false);
  });

  it("does not believe success that comes too early", () => {
    const exchange = start();
    assert.equal(exchange.acceptSuccess(null), false);
    assert.equal(exchange.acceptSuccess(Buffer.from(SERVER_FINAL)), false);
    assert.equal(
      start().acceptSuccess(Buffer.from("v=")),
      false,
      "the signature is not known yet, so an empty one is no proof",
    );
  });

  it("lets the reply to a server's error come, and believes no success after it", () => {
    const exchange = start();
    say(exchange, SERVER_FIRST);
    assert.equal(say(exchange, "e=invalid-proof"), "");
    assert.equal(exchange.acceptSuccess(null), false);
    assert.match(say(exchange, SERVER_FINAL), /^refused/);
  });

  it("knows no further challenge once both sides have proved themselves", () => {
    const exchange = start();
    say(exchange, SERVER_FIRST);
    say(exchange, SERVER_FINAL);
    assert.match(say(exchange, ""), /^refused/);
  });
});

describe("kept SCRAM keys", () => {
  const salt = Buffer.from("salt");

  it("are found again only for the same hash, password, salt and count", () => {
    const name = nameScramKeys("sha1", "pencil", salt, 4096);
    const keys = deriveScramKeys("sha1", "pencil", salt, 4096);
    keepScramKeys(name, keys);
    assert.equal(deriveScramKeys("sha1", "pencil", salt, 4096), keys);
    for (const other of [
      deriveScramKeys("sha256", "pencil", salt, 4096),
      deriveScramKeys("sha1", "pencil2", salt, 4096),
      deriveScramKeys("sha1", "pencil", Buffer.from("sal"), 4096),
      deriveScramKeys("sha1", "pencil", salt, 4097),
    ]) {
      assert.notDeepEqual(other, keys);
    }
    assert.notEqual(nameScramKeys("sha1", "tpencil", Buffer.from("sal"), 4096), name);
  });

  it("are few: the one unused for longest goes first", () => {
    const keys = deriveScramKeys("sha1", "x", salt, 1);
    keepScramKeys("first", keys);
    for (let i = 0; i < 63; i++) {
      keepScramKeys(`filler ${i}`, keys);
    }
    keepScramKeys("first", keys);
    keepScramKeys("one more", keys);
    // Under a name that is kept, the kept keys come back whatever the password.
    assert.equal(deriveScramKeys("sha1", "y", salt, 1, "first"), keys);
    assert.notEqual(deriveScramKeys("sha1", "y", salt, 1, "filler 0"), keys);
  });
});
