/** The reply parser against bytes that were made to hurt: it never throws, never keeps much, and counts replies the same however they are cut. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Reply } from "../../../../src/api.js";
import { ReplyParser } from "../../../../workers/wire/smtp/reply.js";

const RUNS = Number(process.env.FUZZ_RUNS ?? 500);

function parse(...chunks: (string | Uint8Array)[]): { replies: Reply[]; error: string | undefined } {
  const replies: Reply[] = [];
  let error: string | undefined;
  const parser = new ReplyParser({
    replyRead: (reply) => {
      assert.equal(error, undefined, "nothing is read after an error");
      replies.push(reply.copy());
    },
    malformed: (what) => {
      assert.equal(error, undefined, "told once");
      error = what;
    },
  });
  // As a plain socket lends it: all that it reads stands in the same Buffer, one after the other.
  const memory = Buffer.alloc(Math.max(0, ...chunks.map(({ length = 1 }) => length)));
  for (const chunk of chunks) {
    const octets = Buffer.from(chunk as string, "latin1");
    octets.copy(memory);
    parser.push(memory.subarray(0, octets.length));
    memory.fill(0xaa);
  }
  return { replies, error };
}

const bytes = (text: string) => [...text].map((octet) => octet);

describe("a reply", () => {
  const cases: [text: string, reply: Reply][] = [
    ["250 ok\r\n", { code: 250, text: "ok" }],
    ["250\r\n", { code: 250, text: "" }],
    ["250 \r\n", { code: 250, text: "" }],
    ["250 ok\n", { code: 250, text: "ok" }],
    ["250-a\r\n250-\r\n250 c\r\n", { code: 250, text: "a\n\nc" }],
    ["250-a\r\n250\r\n", { code: 250, text: "a\n" }],
    ["550 5.1.1 who?\r\n", { code: 550, enhanced: "5.1.1", text: "who?" }],
    ["550-5.1.1 who\r\n550 5.1.1 is that?\r\n", { code: 550, enhanced: "5.1.1", text: "who\nis that?" }],
    ["550 5.1.1\r\n", { code: 550, enhanced: "5.1.1", text: "" }],
    ["250 5.1.1 class differs\r\n", { code: 250, text: "5.1.1 class differs" }],
    ["250 2.1000.1 too long\r\n", { code: 250, text: "2.1000.1 too long" }],
  ];
  for (const [text, reply] of cases) {
    it(JSON.stringify(text), () => {
      assert.deepEqual(parse(text), { replies: [reply], error: undefined });
      assert.deepEqual(parse(...bytes(text)), { replies: [reply], error: undefined });
    });
  }

  it("after another of the same length is its own, where both were read into the same memory", () => {
    const { replies } = parse(
      "250 OK id=1xWJwL-A\r\n",
      "250 OK id=1xWJwL-B\r\n",
      "550 5.1.1 nobody\r\n",
      "550 5.7.1 abuser\r\n",
    );
    assert.deepEqual(
      replies.map(({ enhanced, text }) => [enhanced, text]),
      [
        [undefined, "OK id=1xWJwL-A"],
        [undefined, "OK id=1xWJwL-B"],
        ["5.1.1", "nobody"],
        ["5.7.1", "abuser"],
      ],
    );
  });

  it("after another with the same words is its own", () => {
    const { replies } = parse("250 ok\r\n550 ok\r\n250 ok\r\n250-ok\r\n250 ok\r\n250 ok\r\n");
    assert.deepEqual(
      replies.map(({ code, text }) => `${code} ${text}`),
      ["250 ok", "550 ok", "250 ok", "250 ok\nok", "250 ok"],
    );
  });

  for (const text of [
    "25\r\n",
    "2500 x\r\n",
    "abc\r\n",
    "\r\n",
    "\n",
    "050 x\r\n",
    "650 x\r\n",
    "250_x\r\n",
    "2 0 x\r\n",
    " 250 x\r\n",
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.match(parse(text).error ?? "", /no reply/);
      assert.match(parse(...bytes(text)).error ?? "", /no reply/);
    });
  }

  it("has one code", () => {
    assert.match(parse("250-a\r\n251 b\r\n").error ?? "", /codes differ/);
    assert.match(parse("250-a\r\n250x\r\n").error ?? "", /no reply/);
  });

  it("holds neither NUL nor a bare CR, wherever it is cut", () => {
    for (const text of ["250 a\0b\r\n", "250 a\rb\r\n", "250 a\r\rb\r\n"]) {
      for (let at = 1; at < text.length; at++) {
        const { replies, error } = parse(text.slice(0, at), text.slice(at));
        assert.deepEqual(replies, [], `cut at ${at}`);
        assert.match(error ?? "", /NUL|bare CR/, `cut at ${at}`);
      }
    }
  });
});

describe("the bounds of a reply", () => {
  const isSame = (text: string) => {
    const whole = parse(text);
    for (const at of [1, 3, 4, 4095, 4096, 4097, 4098, text.length - 1]) {
      if (at < text.length) {
        assert.deepEqual(parse(text.slice(0, at), text.slice(at)), whole, `cut at ${at}`);
      }
    }
    return whole;
  };

  it("are 4 KiB a line, however it is cut", () => {
    assert.equal(isSame(`250 ${"x".repeat(4092)}\r\n`).error, undefined);
    assert.match(isSame(`250 ${"x".repeat(4093)}\r\n`).error ?? "", /line of more than/);
    assert.equal(isSame(`250 ${"x".repeat(4092)}\n`).error, undefined);
  });

  it("are 64 KiB and 1,000 lines", () => {
    assert.equal(parse(`${"250-x\r\n".repeat(999)}250 x\r\n`).error, undefined);
    assert.match(parse(`${"250-x\r\n".repeat(1000)}250 x\r\n`).error ?? "", /1000 lines/);
    assert.match(parse(`250-${"x".repeat(4000)}\r\n`.repeat(17)).error ?? "", /65536 octets/);
  });

  it("make a gigabyte without a newline cheap", () => {
    let error: string | undefined;
    const parser = new ReplyParser({ replyRead: () => {}, malformed: (what) => (error = what) });
    const chunk = new Uint8Array(64 * 1024).fill(120);
    for (let count = 0; count < 16 * 1024; count++) {
      parser.push(chunk);
    }
    assert.match(error ?? "", /line of more than/);
    assert.ok(!parser.hasPartial);
  });
});

describe("any bytes", () => {
  const line = fc.oneof(
    fc.constantFrom(
      "250 ok\r\n",
      "250-a\r\n",
      "354 go\r\n",
      "550 5.1.1 no\r\n",
      "421 4.4.2 bye\n",
      "\r\n",
      "25\r\n",
      "250 a\rb\r\n",
      "25",
    ),
    fc.string({ maxLength: 12 }),
    fc
      .tuple(fc.integer({ min: 100, max: 699 }), fc.constantFrom(" ", "-", "_", ""), fc.string({ maxLength: 8 }))
      .map((t) => `${t.join("")}\r\n`),
  );

  it("never throw, and mean the same wherever they are cut", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.nat(80), { maxLength: 5 }), (lines, cuts) => {
        const text = lines.join("");
        const whole = parse(text);
        const places = [0, ...new Set(cuts.filter((at) => at < text.length))].sort((a, b) => a - b);
        const parts = places.map((at, index) => text.slice(at, places[index + 1]));
        const cut = parse(...parts);
        assert.deepEqual(cut.replies, whole.replies);
        assert.equal(cut.error === undefined, whole.error === undefined);
      }),
      { numRuns: RUNS },
    );
  });

  it("of well-formed replies are counted and read as they were made", () => {
    const reply = fc.record({
      code: fc.integer({ min: 200, max: 559 }),
      lines: fc.array(fc.string({ unit: fc.constantFrom("a", " ", ".", "5"), maxLength: 6 }), {
        minLength: 1,
        maxLength: 4,
      }),
    });
    fc.assert(
      fc.property(fc.array(reply, { maxLength: 6 }), fc.nat(100), (replies, at) => {
        const text = replies
          .map(({ code, lines }) =>
            lines.map((words, index) => `${code}${index === lines.length - 1 ? " " : "-"}${words}\r\n`).join(""),
          )
          .join("");
        const read = parse(text.slice(0, at), text.slice(at));
        assert.equal(read.error, undefined);
        assert.deepEqual(
          read.replies.map(({ code }) => code),
          replies.map(({ code }) => code),
        );
      }),
      { numRuns: RUNS },
    );
  });
});
