/** Lists that stand in the configuration and in files beside it. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { ConfigError } from "../../../src/errors.js";
import { RuleSet } from "../../../src/rules/rule-set.js";

const directory = mkdtempSync(join(tmpdir(), "relaypost-lists-"));
after(() => rmSync(directory, { recursive: true }));
mkdirSync(join(directory, "lists"));

const file = join(directory, "rules.toml");
const text = `
  [list]
  domains = ["example.com", "file://lists/domains.txt"]
  only = "file://${directory}/lists/domains.txt"
  [rule]
  it = { if = "rcpt-domain", in-list = "list/domains" }
  only = { if = "rcpt-domain", in-list = "list/only" }
`;

function problemsWith(content: string | Uint8Array, key = "listener"): string[] {
  writeFileSync(join(directory, "lists", "bad.txt"), content);
  return problemsOf({ list: { bad: "file://lists/bad.txt" }, rule: { it: { if: key, "in-list": "list/bad" } } });
}

function problemsOf(tables: Record<string, unknown>): string[] {
  try {
    RuleSet.parse(tables, undefined, { file });
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(({ key, message }) => `${key}: ${message.replaceAll(directory, "")}`);
  }
  return [];
}

describe("a list with file:// entries", () => {
  it("reads one item a line: LF or CRLF, blanks, empty lines, comments and a byte order mark do not count", async () => {
    writeFileSync(
      join(directory, "lists", "domains.txt"),
      "\ufeffexample.org\r\n\r\n  # of ours\n\t Example.NET  \nlast.example",
    );
    const rules = RuleSet.parse(text, undefined, { file });
    for (const domain of ["example.com", "example.org", "EXAMPLE.net", "last.example"]) {
      assert.equal(await rules.test("it", { "rcpt-domain": domain }), true, domain);
    }
    for (const domain of ["", "# of ours", "of ours"]) {
      assert.equal(await rules.test("it", { "rcpt-domain": domain }), false, domain);
    }
    assert.equal(await rules.test("only", { "rcpt-domain": "example.com" }), false);
    assert.equal(await rules.test("only", { "rcpt-domain": "example.org" }), true);
  });

  it("finds them beside the file that open() was given, as a path or a URL", async () => {
    writeFileSync(join(directory, "lists", "domains.txt"), "example.org\n");
    writeFileSync(file, text);
    for (const source of [file, pathToFileURL(file)]) {
      const rules = await RuleSet.open(source);
      assert.equal(await rules.test("it", { rcpt: "x@example.org" }), true);
    }
  });

  it("is a ConfigError of open() when the file of the rules is not there", async () => {
    await assert.rejects(RuleSet.open(join(directory, "none.toml")), (error: ConfigError) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /none\.toml: the file does not exist$/);
      return true;
    });
  });

  it("is empty when the file is", () => assert.deepEqual(problemsWith(""), []));

  it("refuses what is no text", () => {
    assert.deepEqual(problemsWith(Uint8Array.of(0x66, 0xfc, 0x72)), ["list.bad: /lists/bad.txt: is not UTF-8"]);
    assert.deepEqual(problemsWith("good\nb\0d\n"), ["list.bad: /lists/bad.txt:2: holds a control character"]);
  });

  it("refuses items that the key can never equal, naming their lines, and does not list a million of them", () => {
    assert.match(
      problemsWith("192.0.2.0/24\n192.0.2.0/33\n", "remote-ip")[0]!,
      /^list\.bad: \/lists\/bad\.txt:2: .*an address or a range/,
    );
    assert.match(problemsWith("1\n# two\n2x\n", "priority")[0]!, /^list\.bad: \/lists\/bad\.txt:3: .*an integer/);
    assert.equal(problemsWith("no address\n".repeat(1000), "local-ip").length, 5);
  });

  it("refuses a file past 16 MiB, a directory and a file that is not there", () => {
    const big = join(directory, "lists", "big.txt");
    writeFileSync(big, "");
    truncateSync(big, 16 * 1024 * 1024 + 1);
    const list = { a: "file://lists/big.txt", b: ["x", "file://lists"], c: "file://lists/none.txt" };
    assert.deepEqual(problemsOf({ list }), [
      "list.a: /lists/big.txt: cannot be read: it holds more than 16777216 octets",
      "list.b[1]: /lists: cannot be read: it is not a regular file",
      "list.c: /lists/none.txt: cannot be read: ENOENT",
    ]);
  });
});

describe("a list in the configuration", () => {
  it("is a string or an array of strings, or of integers for priority", () => {
    assert.deepEqual(problemsOf({ list: { a: true, b: ["x", 1.5], c: { d: "x" } } }), [
      "list.a: must be a string, or an array of strings",
      "list.b[1]: must be a string, or an array of strings",
      "list.c: must be a string, or an array of strings",
    ]);
    assert.deepEqual(problemsOf({ list: "x" }), ["list: must be a table"]);
  });

  it("answers about addresses and about domains, each in its own way", async () => {
    const list = { both: ["Bill@Example.org"] };
    const rule = {
      mailbox: { if: "rcpt", "in-list": "list/both" },
      text: { if: "authenticated-as", "in-list": "list/both" },
    };
    const rules = RuleSet.parse({ list, rule });
    assert.equal(await rules.test("mailbox", { rcpt: "Bill@example.org" }), true);
    assert.equal(await rules.test("text", { "authenticated-as": "Bill@example.org" }), false);
  });
});
