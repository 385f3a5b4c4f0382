/** The daemon's parsers: every request at every split, whatever octets come, and never more held than the limit allows. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Client } from "../../../src/api.js";
import { DovecotAuthSession } from "../../../src/serve/dovecot-auth.js";
import { InputBuffer, ProtocolError } from "../../../src/serve/input-buffer.js";
import type { RefusedLogin } from "../../../src/serve/login-log.js";
import { NetstringParser, netstring } from "../../../src/serve/netstring.js";
import { PolicyParser } from "../../../src/serve/policy.js";
import { decodeWord, encodeWord } from "../../../src/serve/tcp-table.js";

const numRuns = Number(process.env.FUZZ_RUNS ?? 300);
const MOST = 200;

interface Parser<T> {
  receive(chunk: Buffer): void;
  next(): T | undefined;
}

/** Feeds the octets in the pieces that the cuts make; what came out, and the error that ended it. */
function feed<T>(parser: Parser<T>, bytes: Buffer, cuts: readonly number[]): { found: T[]; error?: ProtocolError } {
  const found: T[] = [];
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b);
  try {
    for (const [index, start] of [0, ...at].entries()) {
      // A copy, as each chunk of a socket is memory of its own.
      parser.receive(Buffer.from(bytes.subarray(start, at[index] ?? bytes.length)));
      for (let next = parser.next(); next !== undefined; next = parser.next()) {
        found.push(next);
      }
    }
    return { found };
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return { found, error };
  }
}

const pieces = fc.array(fc.nat(2000), { maxLength: 30 });
const text = fc.string({ unit: "grapheme", maxLength: 40 });

/** Whatever comes, the pieces it comes in make no difference. */
function checkSplits<T>(make: () => Parser<T>, bytes: fc.Arbitrary<Uint8Array>): void {
  fc.assert(
    fc.property(bytes, pieces, (raw, cuts) => {
      const whole = feed(make(), Buffer.from(raw), []);
      const split = feed(make(), Buffer.from(raw), cuts);
      assert.deepEqual(split.found, whole.found);
      assert.equal(split.error === undefined, whole.error === undefined);
    }),
    { numRuns },
  );
}

/** Octets that are likely to mean something. */
function octets(alphabet: string): fc.Arbitrary<Uint8Array> {
  const likely = fc.constantFrom(...Buffer.from(alphabet));
  return fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc.array(likely, { maxLength: 600 }).map((each) => Uint8Array.from(each)),
  );
}

describe("netstrings", () => {
  it("come out as they went in, in whatever pieces", () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 10 }), pieces, (texts, cuts) => {
        const wanted = texts.map((each) => Buffer.from(each).toString());
        const { found, error } = feed(new NetstringParser(1000), Buffer.from(texts.map(netstring).join("")), cuts);
        assert.deepEqual(found, wanted);
        assert.equal(error, undefined);
      }),
      { numRuns },
    );
  });

  it("are refused when they are none, as soon as that can be known", () => {
    const cases = {
      a: /no number/,
      ":": /no number/,
      "01:a,": /zero/,
      "-1:": /no number/,
      "1:ab": /no comma/,
      "201": /longer than 200/,
    };
    for (const [bytes, message] of Object.entries(cases)) {
      const { error } = feed(new NetstringParser(MOST), Buffer.from(bytes), []);
      assert.match(error?.message ?? "nothing", message, bytes);
    }
    assert.deepEqual(feed(new NetstringParser(MOST), Buffer.from("0:,0:,"), []).found, ["", ""]);
  });

  it("do not depend on how the octets were cut", () => {
    checkSplits(() => new NetstringParser(MOST), octets("0123456789::,,a"));
  });
});

describe("lines", () => {
  it("are refused when they are too long, whether their end has come or not", () => {
    for (const bytes of ["x".repeat(12), `${"x".repeat(12)}\n`]) {
      const input = new InputBuffer();
      input.receive(Buffer.from(bytes));
      assert.throws(() => input.takeLine(10), ProtocolError);
    }
    const input = new InputBuffer();
    input.receive(Buffer.from(`${"x".repeat(10)}\r\nrest`));
    assert.equal(input.takeLine(10), "x".repeat(10));
    assert.equal(input.takeLine(10), undefined);
    assert.equal(input.length, 4);
  });

  it("cost one copy, octet by octet, too", () => {
    const input = new InputBuffer();
    for (let at = 0; at < 100_000; at++) {
      input.receive(Buffer.from("x"));
    }
    assert.equal(input.takeLine(200_000), undefined);
    assert.ok(input.capacity <= 400_000, String(input.capacity));
    input.receive(Buffer.from("\n"));
    assert.equal(input.takeLine(200_000)?.length, 100_000);
    assert.equal(input.capacity, 0, "nothing is held when everything is taken");
  });

  it("do not write into the socket's chunks", () => {
    const input = new InputBuffer();
    const chunk = Buffer.from("abcdef");
    input.receive(chunk.subarray(0, 3));
    input.receive(Buffer.from("XYZ\n"));
    assert.equal(chunk.toString(), "abcdef");
    assert.equal(input.takeLine(100), "abcXYZ");
  });
});

describe("policy requests", () => {
  const name = fc.stringMatching(/^[a-z_]{1,20}$/).filter((each) => each !== "request");
  const value = fc.string({ maxLength: 40 }).map((each) => each.replace(/[\r\n]/g, ""));

  it("come out as they went in, in whatever pieces", () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(name, value), { maxLength: 5 }), pieces, (requests, cuts) => {
        const wanted = requests.map((each) => new Map(Object.entries({ request: "smtpd_access_policy", ...each })));
        const lines = wanted.map((each) => `${[...each].map((pair) => pair.join("=")).join("\n")}\n\n`);
        const { found, error } = feed(new PolicyParser(10_000, 1000), Buffer.from(lines.join("")), cuts);
        assert.equal(error, undefined);
        assert.deepEqual(found, wanted);
      }),
      { numRuns },
    );
  });

  it("are refused when they are too long, have no name, or ask for something else", () => {
    const parse = (bytes: string) =>
      feed(new PolicyParser(100, 50), Buffer.from(bytes), []).error?.message ?? "nothing";
    assert.match(parse("a=b\n".repeat(30)), /at most 100 octets/);
    assert.match(parse(`a=${"b".repeat(60)}`), /longer than 50/);
    assert.match(parse("=b\n"), /no name=value/);
    assert.match(parse("ab\n"), /no name=value/);
    assert.match(parse("request=else\n\n"), /without request/);
    assert.match(parse("\n"), /without request/);
  });

  it("do not depend on how the octets were cut", () => {
    checkSplits(() => new PolicyParser(MOST, 60), octets("ab==\n\n\r"));
  });
});

describe("words of tcp_table", () => {
  it("are one word of printable ASCII, and come back as they were", () => {
    fc.assert(
      fc.property(text, (each) => {
        const word = encodeWord(each);
        assert.match(word, /^[!-~]*$/);
        assert.equal(decodeWord(word), Buffer.from(each).toString());
      }),
      { numRuns },
    );
    assert.equal(decodeWord("%4"), undefined);
    assert.equal(decodeWord("%ff"), undefined);
  });
});

describe("Dovecot's protocol", () => {
  const base64 = (each: string) => Buffer.from(each).toString("base64");
  const open = () => {
    const asked: [user: string, secret: string][] = [];
    const clients: (Client | undefined)[] = [];
    const refused: RefusedLogin[] = [];
    const session = new DovecotAuthSession(1000, {
      async check(user, secret, client) {
        asked.push([user, secret]);
        clients.push(client);
        return secret === "right" ? { isRight: true } : { isRight: false, reason: "535 5.7.8 no" };
      },
      accepted() {},
      refused: (login) => refused.push(login),
    });
    const say = async (line: string) => {
      session.receive(Buffer.from(`${line}\n`));
      return await session.next();
    };
    return { session, say, asked, refused, clients };
  };
  it("names the client whose login it is, as far as the MTA tells and it makes sense", async () => {
    const { say, clients } = open();
    const login = Buffer.from("\0ann\0right").toString("base64");
    const known = "rip=::ffff:192.0.2.1\trport=1025\tlip=192.0.2.25\tlport=25\tsession=a/b+c";
    await say(`AUTH\t1\tPLAIN\tservice=smtp\t${known}\tresp=${login}`);
    await say(`AUTH\t2\tPLAIN\trip=192.0.2.1\trport=x\tsession=a b\tresp=${login}`);
    await say(`AUTH\t3\tPLAIN\trip=unknown\tresp=${login}`);
    await say(`AUTH\t4\tLOGIN\trip=192.0.2.4`);
    await say(`CONT\t4\t${Buffer.from("ann").toString("base64")}`);
    await say(`CONT\t4\t${Buffer.from("right").toString("base64")}`);
    assert.deepEqual(clients, [
      { address: "192.0.2.1", port: 1025, session: "a/b+c", local: { address: "192.0.2.25", port: 25 } },
      { address: "192.0.2.1" },
      undefined,
      { address: "192.0.2.4" },
    ]);
  });

  it("answers the number that was asked, and asks for what is missing", async () => {
    const { say, asked } = open();
    assert.equal(await say("CPID\t1"), "");
    assert.equal(await say("SOMETHING\tnew"), "");
    assert.equal(await say("AUTH\t1\tPLAIN\tservice=smtp\tresp="), "CONT\t1\t\n");
    assert.equal(await say(`CONT\t1\t${base64("\0ann\0right")}`), "OK\t1\tuser=ann\n");
    assert.equal(await say(`AUTH\t2\tplain\tsecured\tresp=${base64("ann\0ann\0right")}`), "OK\t2\tuser=ann\n");
    assert.equal(await say(`AUTH\t3\tLOGIN\tresp=${base64("ann")}`), `CONT\t3\t${base64("Password:")}\n`);
    assert.equal(await say(`CONT\t3\t${base64("right")}`), "OK\t3\tuser=ann\n");
    assert.deepEqual(asked, [
      ["ann", "right"],
      ["ann", "right"],
      ["ann", "right"],
    ]);
  });

  it("asks nobody about what cannot be right", async () => {
    const { say, asked, refused } = open();
    const responses = [
      base64("bob\0ann\0right"),
      base64("ann\0right"),
      base64("\0ann\0right\0"),
      "!",
      "YQ",
      Buffer.from([255]).toString("base64"),
    ];
    for (const response of responses) {
      assert.match((await say(`AUTH\t1\tPLAIN\tresp=${response}`))!, /^FAIL\t1/);
    }
    assert.equal(await say("AUTH\t1\tCRAM-MD5"), "FAIL\t1\n");
    assert.equal(await say("CONT\t9\tYQ=="), "FAIL\t9\n");
    assert.equal(await say("AUTH\t4\tLOGIN"), `CONT\t4\t${base64("Username:")}\n`);
    assert.equal(await say("CANCEL\t4"), "");
    assert.equal(await say(`CONT\t4\t${base64("ann")}`), "FAIL\t4\n");
    assert.deepEqual(asked, []);
    // Each response was a login; no response came to the number that nobody knows, nor to the one that was cancelled.
    assert.deepEqual(
      refused.map(({ user, mechanism }) => `${user} ${mechanism}`),
      ["ann PLAIN", ...Array(5).fill(" PLAIN"), " CRAM-MD5"],
    );
  });

  it("tells of each refused login: whose, by which mechanism, and in whose words", async () => {
    const { say, refused } = open();
    await say(`AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=198.51.100.7\tresp=${base64("\0ann\0wrong")}`);
    await say("AUTH\t2\tLOGIN\trip=2001:db8::7");
    await say(`CONT\t2\t${base64("bob")}`);
    await say(`CONT\t2\t${base64("wrong")}`);
    await say(`AUTH\t3\tPLAIN\trip=198.51.100.7\tresp=${base64("\0ann\0right")}`);
    const reason = "535 5.7.8 no";
    assert.deepEqual(refused, [
      { user: "ann", client: "198.51.100.7", mechanism: "PLAIN", reason },
      { user: "bob", client: "2001:db8::7", mechanism: "LOGIN", reason },
    ]);
  });

  it("lets no username end a line or a field", async () => {
    const { say } = open();
    const answer = await say(`AUTH\t1\tPLAIN\tresp=${base64("\0a\tuser=root\nOK\t2\0right")}`);
    assert.equal(answer, "OK\t1\tuser=a\x01tuser=root\x01nOK\x01t2\n");
  });

  it("ends with a client that speaks another version, or has no number", async () => {
    for (const line of ["VERSION\t2\t0", "AUTH", "AUTH\tx\tPLAIN", "AUTH\t-1\tPLAIN"]) {
      await assert.rejects(open().say(line), ProtocolError, line);
    }
    const { say } = open();
    await say("AUTH\t1\tLOGIN");
    await assert.rejects(say("AUTH\t1\tLOGIN"), ProtocolError);
    await assert.rejects(async () => {
      for (let id = 2; id < 200; id++) {
        await say(`AUTH\t${id}\tLOGIN`);
      }
    }, /more than 100/);
  });

  it("answers whatever comes with whole lines", async () => {
    await fc.assert(
      fc.asyncProperty(octets("AUTHCONT\t\n\n12=resp"), async (raw) => {
        const session = new DovecotAuthSession(MOST, {
          check: async () => ({ isRight: false, reason: "" }),
          accepted() {},
          refused() {},
        });
        session.receive(Buffer.from(raw));
        try {
          for (let answer = session.next(); answer !== undefined; answer = session.next()) {
            assert.match(await answer, /^(?:(?:CONT|FAIL)\t[^\n]*\n)?$/);
          }
        } catch (error) {
          assert.ok(error instanceof ProtocolError);
        }
      }),
      { numRuns },
    );
  });
});
