import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseDuration, parseSize } from "../../../src/config/quantities.js";
import { type KeyPath, parseToml } from "../../../src/config/toml.js";
import { ConfigError } from "../../../src/errors.js";

describe("the lines of a TOML document", () => {
  const text = [
    "\ufeff# a comment = 1", // 1
    "", // 2
    '[remote."lm.tp"]   # [not.a.table]', // 3
    'address = "a # b" # x = 1', // 4
    "port=24", // 5
    'note = """', // 6
    'inside = 1 \\""" ', // 7
    '[nor.this]"""""', // 8
    "tls . 'implicit' = true", // 9
    "  [ remote.imap.tls ]", // 10
    "literal = '''", // 11
    "x = '''", // 12
    "when = 1979-05-27 07:32:00", // 13
    "[remote.imap]", // 14
    'ttl = {positive = "1d", "neg\\u0061tive" = [1,', // 15
    "  # not = here", // 16
    "  {deep = 2}, [", // 17
    "  3]]}", // 18
    "[[rule]]", // 19
    "a = 1", // 20
    "[rule.sub]", // 21
    "b = 1", // 22
    "[[rule]]", // 23
    "a = 2", // 24
    "[[rule.inner]]", // 25
    "[[rule.inner]]", // 26
    "c = 3", // 27
    "'' = 1", // 28
    "end = 1", // 29
  ];

  for (const newline of ["\n", "\r\n"]) {
    const document = parseToml(text.join(newline));
    const cases: [KeyPath, number][] = [
      [["remote", "lm.tp"], 3],
      [["remote", "lm.tp", "address"], 4],
      [["remote", "lm.tp", "port"], 5],
      [["remote", "lm.tp", "note"], 6],
      [["remote", "lm.tp", "tls", "implicit"], 9],
      [["remote", "imap", "tls"], 10],
      [["remote", "imap", "tls", "literal"], 11],
      [["remote", "imap", "tls", "when"], 13],
      [["remote", "imap"], 14],
      [["remote", "imap", "ttl", "positive"], 15],
      [["remote", "imap", "ttl", "negative"], 15],
      [["remote", "imap", "ttl", "negative", 1, "deep"], 17],
      [["remote", "imap", "ttl", "negative", 2, 0], 18],
      [["remote", "imap", "missing"], 14],
      [["rule", 0, "a"], 20],
      [["rule", 0, "sub", "b"], 22],
      [["rule", 1], 23],
      [["rule", 1, "a"], 24],
      [["rule", 1, "inner", 0], 25],
      [["rule", 1, "inner", 1, "c"], 27],
      [["rule", 1, "inner", 1, ""], 28],
      [["rule", 1, "inner", 1, "end"], 29],
      [["nothing"], 1],
    ];
    for (const [path, line] of cases) {
      it(`finds ${path.join(".")} on line ${line}, with ${newline.length === 1 ? "LF" : "CRLF"}`, () => {
        assert.equal(document.lineOf(path), line);
      });
    }
  }

  it("are found for every key, however the document is written", () => {
    const name = fc.string({ unit: fc.constantFrom(..."ab-_.\"'\\ #=[\u00e9\n"), maxLength: 4 });
    const filler = fc.constantFrom("", "# x = 1", '  # """', "\t");
    const scalar = fc.constantFrom(
      "1",
      '"#"',
      "'\"'",
      '"""\n[x]\n\\""""',
      "'''\n\n''''",
      "[1, # ]\n [2]]",
      "{}",
      "true",
      "1979-05-27 07:32:00",
      "-nan",
    );
    const style = fc.constantFrom("header", "dotted", "inline");
    const table = fc.record({
      id: name,
      style,
      filler,
      keys: fc.uniqueArray(name, { minLength: 1, maxLength: 4 }),
      scalars: fc.array(scalar, { minLength: 4, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.uniqueArray(table, { selector: ({ id }) => id, maxLength: 5 }), (tables) => {
        const { toml, lines } = write(tables);
        const document = parseToml(toml);
        for (const [path, line] of lines) {
          assert.equal(document.lineOf(path), line, `${JSON.stringify(path)} in\n${toml}`);
        }
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 500) },
    );
  });

  type Written = { id: string; style: string; filler: string; keys: string[]; scalars: string[] };

  /** Prints tables and notes the line of every key. Headers end the root table, so what stands under one goes last. */
  function write(tables: Written[]): { toml: string; lines: [KeyPath, number][] } {
    const lines: [KeyPath, number][] = [];
    let toml = "";
    const line = (): number => toml.split("\n").length;
    for (const table of tables.toSorted((a, b) => Number(a.style === "header") - Number(b.style === "header"))) {
      const root = table.style === "header" ? "h" : "t";
      const id = JSON.stringify(table.id);
      toml += `${table.filler}\n`;
      if (table.style === "header") {
        lines.push([[root, table.id], line()]);
        toml += `[ h . ${id} ]\n`;
      } else if (table.style === "inline") {
        toml += `t.${id} = {`;
      }
      table.keys.forEach((key, index) => {
        lines.push([[root, table.id, key], line()]);
        if (table.style === "dotted") {
          toml += `t.${id}.`;
        }
        toml += `${JSON.stringify(key)} = ${table.scalars[index]}`;
        toml += table.style === "inline" ? (index < table.keys.length - 1 ? ", " : "}\n") : `${table.filler}\n`;
      });
    }
    return { toml, lines };
  }
});

describe("a mistake of syntax", () => {
  for (const [toml, line] of [
    ['a = 1\nsecret = "Canary7\nb = 2', 2],
    ["a = 1\n\n[x\n", 3],
    ["a = 1\nsecret = Canary7", 2],
    ["a = 1\na = 2 # Canary7", 2],
    ["a = 99999999999999999999", 1],
    [`a = ${"[".repeat(5000)}`, 1],
  ] as const) {
    it(`is told with its line and without its source: ${JSON.stringify(toml).slice(0, 30)}`, () => {
      assert.throws(
        () => parseToml(toml, "x.toml"),
        (error) => {
          assert.ok(error instanceof ConfigError);
          assert.equal(error.code, "CONFIG_SYNTAX");
          assert.equal(error.problems[0]?.line, line);
          assert.match(error.message, /^x\.toml:\d+: is not TOML: [^\n]*$/);
          assert.doesNotMatch(JSON.stringify(error) + error.stack + String(error.cause), /Canary/);
          return true;
        },
      );
    });
  }

  it("is all that any text can lead to", () => {
    const piece = fc.constantFrom(
      "[",
      "]",
      "[[",
      "]]",
      "a",
      "b",
      ".",
      "=",
      '"',
      "'",
      '"""',
      "'''",
      "\n",
      "#",
      "{",
      "}",
      ",",
      "1",
      " ",
      "\\",
      "\r\n",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        try {
          assert.ok(parseToml(pieces.join("")).lineOf(["a", "b"]) >= 1);
        } catch (error) {
          assert.ok(error instanceof ConfigError);
          assert.ok((error.problems[0]?.line ?? 0) >= 1);
        }
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 3000) },
    );
  });
});

describe("a quote that is not closed", () => {
  for (const text of [
    'a = "x',
    'a = "x\nb = 1\n',
    "a = 'x\r\nb = 1\r\n",
    'a = """x\ny\n',
    'a = [1, "x]\n',
    '"a = 1\n',
  ]) {
    it(`is called so: ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseToml(`# first\n${text}`, "x.toml"), {
        message: "x.toml:2: is not TOML: a quote is not closed",
      });
    });
  }

  it("is told from a control character", () => {
    assert.throws(() => parseToml('a = "x\u0001y"\n', "x.toml"), /control characters are not allowed in strings$/);
  });
});

describe("durations and sizes", () => {
  for (const [value, ms] of [
    ["250ms", 250],
    ["30s", 30_000],
    ["1m", 60_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    [60, 60_000],
    [0, undefined],
    [-1, undefined],
    [1.5, undefined],
    [Number.NaN, undefined],
    ["0s", undefined],
    ["60", undefined],
    ["-1s", undefined],
    ["1.5s", undefined],
    ["1 s", undefined],
    ["1S", undefined],
    ["1m30s", undefined],
    ["1constructor", undefined],
    ["999999999999999d", undefined],
    [true, undefined],
    [undefined, undefined],
  ] as const) {
    it(`reads the duration ${JSON.stringify(value)} as ${ms}`, () => assert.equal(parseDuration(value), ms));
  }

  for (const [value, octets] of [
    ["64MiB", 67_108_864],
    ["1KiB", 1024],
    ["1GiB", 1_073_741_824],
    ["10B", 10],
    [4096, 4096],
    [0, undefined],
    ["64MB", undefined],
    ["64", undefined],
  ] as const) {
    it(`reads the size ${JSON.stringify(value)} as ${octets}`, () => assert.equal(parseSize(value), octets));
  }
});
