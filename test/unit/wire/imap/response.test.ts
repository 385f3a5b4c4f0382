/** The IMAP response parser: what a login client needs, its limits, and octets that nobody would send in good faith. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type ImapResponse, ImapResponseParser, MAX_LINE_OCTETS } from "../../../../workers/wire/imap/response.js";

const RUNS = Number(process.env.FUZZ_RUNS ?? 500);

function parse(parts: readonly (string | Uint8Array)[], parser = new ImapResponseParser()): ImapResponse[] {
  const found: ImapResponse[] = [];
  for (const part of parts) {
    const lent = Uint8Array.from(Buffer.from(part as string));
    parser.push(lent);
    for (let response = parser.next(); response !== null; response = parser.next()) {
      found.push(response);
    }
    lent.fill(0xaa);
  }
  return found;
}

/** Parses the text whole, byte by byte and at every split; the results must agree. */
function parseEverySplit(text: string): ImapResponse[] {
  const bytes = Buffer.from(text);
  const whole = parse([bytes]);
  assert.deepEqual(parse(Array.from(bytes, (octet) => Uint8Array.of(octet))), whole);
  for (let at = 1; at < bytes.length; at++) {
    assert.deepEqual(parse([bytes.subarray(0, at), bytes.subarray(at)]), whole);
  }
  return whole;
}

function reasonOf(...parts: (string | Uint8Array)[]): string {
  const last = parse(parts).at(-1);
  return last?.kind === "malformed" ? last.reason : `not malformed: ${JSON.stringify(last)}`;
}

const status = { tag: null, code: null, codeText: "", text: "" };

describe("IMAP responses", () => {
  it("reads greetings and status responses, in any case", () => {
    const found = parseEverySplit(
      "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n* preauth x\r\n* BYE\r\nr1 no [AuthenticationFailed] Wrong {5}\r\nr2 BAD \r\n",
    );
    assert.deepEqual(found, [
      {
        ...status,
        kind: "status",
        condition: "OK",
        code: "CAPABILITY",
        codeText: "IMAP4rev1 AUTH=PLAIN",
        text: "hello",
      },
      { ...status, kind: "status", condition: "PREAUTH", text: "x" },
      { ...status, kind: "status", condition: "BYE" },
      { ...status, kind: "status", tag: "r1", condition: "NO", code: "AUTHENTICATIONFAILED", text: "Wrong {5}" },
      { ...status, kind: "status", tag: "r2", condition: "BAD" },
    ]);
  });

  it("reads capabilities and continuation requests", () => {
    assert.deepEqual(parseEverySplit("* CAPABILITY imap4rev1  SASL-IR\r\n+ \r\n+\r\n+ cGFzcw==\r\n"), [
      { kind: "capability", names: ["IMAP4REV1", "SASL-IR"] },
      { kind: "continuation", text: "" },
      { kind: "continuation", text: "" },
      { kind: "continuation", text: "cGFzcw==" },
    ]);
  });

  it("skips everything else, literals with whatever they hold included", () => {
    const found = parseEverySplit(
      '* 3 EXISTS\r\n* LIST () {3}\r\na\r\n {5+}\r\nr1 OK~{0}\r\n\r\n* ID ("a" {2}\r\n\x00\r)\r\n* FETCH ~{1}\r\n\n x\r\n* OK next\r\n',
    );
    assert.deepEqual(
      found.map(({ kind }) => kind),
      ["other", "other", "other", "other", "status"],
    );
  });

  it("leaves out control characters of texts", () => {
    const [found] = parse(["* OK \x1b[31mred\x07\r\n"]);
    assert.equal(found?.kind === "status" && found.text, "?[31mred?");
  });

  it("tells whether something stands behind the last response", () => {
    for (const [text, hasUnread] of [
      ["r1 OK go\r\n", false],
      ["r1 OK go\r\n*", true],
      ["r1 OK go\r\n* BYE\r\n", true],
    ] as const) {
      const parser = new ImapResponseParser();
      parser.push(Buffer.from(text));
      assert.equal(parser.next()?.kind, "status");
      assert.equal(parser.hasUnread, hasUnread, text);
    }
    for (const text of ["* LIST {4}\r\n", "* O"]) {
      const parser = new ImapResponseParser();
      parse([text], parser);
      assert.equal(parser.hasUnread, true, "in a literal, in a line");
    }
  });
});

describe("malformed IMAP responses", () => {
  it("are refused", () => {
    const bad = [
      "\r\n",
      "\n",
      "* OK hi\n",
      "hello\r\n",
      "* \r\n",
      "r1 HELLO\r\n",
      "r1 BYE x\r\n",
      "+x\r\n",
      "* OK a\rb\r\n",
    ];
    bad.push(
      "* OK a\0b\r\n",
      "* OK [CAPABILITY IMAP4\r\n",
      "* NO [] x\r\n",
      "* NO [ ALERT] x\r\n",
      'r" OK\r\n',
      "(r1 OK\r\n",
    );
    for (const text of bad) {
      const found = parseEverySplit(text);
      assert.deepEqual([found.length, found[0]?.kind], [1, "malformed"], JSON.stringify(text));
    }
  });

  it("end everything: nothing behind them is read", () => {
    assert.deepEqual(
      parse(["garbage\r\n* OK hi\r\n", "* OK again\r\n"]).map(({ kind }) => kind),
      ["malformed"],
    );
  });
});

describe("limits of IMAP responses", () => {
  it("a line", () => {
    const line = (octets: number) => `* OK ${"x".repeat(octets - 5)}\r\n`;
    assert.equal(parse([line(MAX_LINE_OCTETS)])[0]?.kind, "status");
    assert.match(reasonOf(line(MAX_LINE_OCTETS + 1)), /too long/);
    const bytes = Array.from(Buffer.from(line(MAX_LINE_OCTETS + 1)), (octet) => Uint8Array.of(octet));
    assert.match(reasonOf(...bytes), /too long/);
  });

  it("a gigabyte without a newline is refused at the first few kilobytes", () => {
    const parser = new ImapResponseParser();
    const chunk = new Uint8Array(65_536).fill(120);
    assert.equal(parse([chunk], parser)[0]?.kind, "malformed");
    for (let i = 0; i < 100; i++) {
      assert.deepEqual(parse([chunk], parser), []);
    }
  });

  it("a literal too long is refused at its announcement", () => {
    for (const size of ["9999999999", "65537", "9".repeat(400), `${"0".repeat(400)}99999`]) {
      assert.match(reasonOf(`* LIST {${size}}\r\n`), /too long/, size);
    }
    assert.match(reasonOf("* LIST {99999999999+}\r\n"), /too long/);
  });

  it("thousands of small literals", () => {
    assert.match(reasonOf("* LIST", ..." {0}\r\n".repeat(5000).match(/.{6}/gs)!), /too long/);
    assert.match(reasonOf(`* LIST ${"{1}\r\nx".repeat(5000)}`), /too long/);
    assert.match(reasonOf(`* LIST {60000}\r\n${"x".repeat(60_000)} {60000}\r\n`), /too long/);
  });

  it("nesting 100,000 deep, in one line and over many", () => {
    assert.match(reasonOf(`* FETCH ${"(".repeat(100_000)}`), /too long/);
    assert.match(reasonOf(`* FETCH ${"((((((((((((((((((((((((((((((((((({0}\r\n".repeat(3000)}`), /too long/);
    assert.equal(reasonOf(`* OK ${"[".repeat(4000)}]\r\n`), "a response code is malformed");
  });

  it("an endless row of responses to one command; each command has its own share", () => {
    const parser = new ImapResponseParser();
    assert.equal(parse(["* 1 EXISTS\r\n".repeat(1000)], parser).at(-1)?.kind, "other");
    parser.startReply();
    assert.equal(parse(["* 1 EXISTS\r\n".repeat(1000)], parser).at(-1)?.kind, "other");
    assert.equal(parse(["* 1 EXISTS\r\n"], parser).at(-1)?.kind, "malformed");
    assert.match(reasonOf(...new Array(17).fill(`* LIST ${"x".repeat(4000)}\r\n`)), /too long/);
    assert.match(reasonOf(...new Array(16).fill(`* LIST ${"x".repeat(4000)}\r\n`)), /not malformed/);
  });
});

describe("IMAP response parser under random octets", () => {
  const word = fc.constantFrom(
    ...[
      "* ",
      "OK",
      "NO ",
      "BYE",
      "r1 ",
      "+ ",
      "[",
      "]",
      "ALERT",
      "CAPABILITY ",
      "{3}",
      "{9999999999}",
      "{0}\r\n",
      "\r\n",
      "\r",
      "\n",
    ],
    ...["\0", "(", ")", '"', "\\", "~", "{2+}\r\n", " ", "LIST", "x", "\u00e9"],
  );
  const text = fc.array(fc.oneof({ weight: 6, arbitrary: word }, { weight: 1, arbitrary: fc.string() }), {
    maxLength: 60,
  });

  it("never throws, ends, and does not depend on where the octets are cut", () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(400), { maxLength: 6 }), (words, cuts) => {
        const bytes = Buffer.from(words.join(""));
        const whole = parse([bytes]);
        const places = [0, ...cuts.filter((at) => at < bytes.length).sort((a, b) => a - b), bytes.length];
        const parts = places.slice(1).map((end, i) => bytes.subarray(places[i], end));
        assert.deepEqual(parse(parts), whole);
        assert.ok(whole.length <= bytes.length);
        assert.ok(whole.slice(0, -1).every(({ kind }) => kind !== "malformed"));
      }),
      { numRuns: RUNS },
    );
  });

  it("takes any octets", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (parts) => {
        parse(parts);
      }),
      { numRuns: RUNS },
    );
  });
});
