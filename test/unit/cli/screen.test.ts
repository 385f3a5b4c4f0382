/** What a person sees on a terminal: the demo's tables in 80 columns, and the daemon's records as lines that move no cursor. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { countLines, wrapped } from "../../../src/cli/demo/screen.js";
import { logLines } from "../../../src/cli/log-lines.js";
import { programLogger } from "../../../src/runtime/loggers.js";

describe("the demo's screen", () => {
  it("has 80 columns, with counts as large as they come", () => {
    const names = ["messages", "delivered", "refused", "deferred", "rejected", "uncertain", "arrived"];
    const more = ["lookups", "shared", "cached", "connections", "p50 ms", "p99 ms"];
    const counts = Object.fromEntries([...names, ...more].map((name) => [name, 123_456.7]));
    const lines = countLines([
      { host: "lmtp", ...counts },
      { host: "smtp", ...counts },
    ]);
    assert.equal(lines.length, 7);
    for (const name of [...names, ...more]) {
      assert.ok(
        lines.some((line) => line.includes(name)),
        name,
      );
    }
    assert.ok(
      lines.every((line) => line.length <= 80),
      lines.join("\n"),
    );
  });

  it("breaks texts between words", () => {
    const text = "word ".repeat(50).trim();
    const lines = wrapped(text, "  ");
    assert.ok(lines.every((line) => line.length <= 80 && line.startsWith("  word")));
    assert.equal(lines.map((line) => line.trim()).join(" "), text);
  });
});

describe("a record on a terminal", () => {
  const print = (fields: object, message: string): string => {
    let text = "";
    const screen = { hasColors: () => false, write: (line: string) => (text += line) } as unknown as NodeJS.WriteStream;
    programLogger("info", logLines(screen)).warn(fields, message);
    return text;
  };

  it("is one line: the time, the level, the event, the message, and what else there is", () => {
    assert.match(
      print({ event: "serve-auth-refused", listener: "sasl", client: "192.0.2.1" }, "a login was refused"),
      /^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: serve-auth-refused: a login was refused \{"listener":"sasl","client":"192\.0\.2\.1"\}\n$/,
    );
  });

  it("moves no cursor, whatever a host or a client said", () => {
    const text = print(
      { event: "x", user: "a\x1b[2J\r\nb", list: [{ reply: "\u009b2J" }] },
      "said \x1b]0;title\x07\r\n",
    );
    assert.match(text, /^[ -~]+\n$/);
    assert.match(text, /said \\x1b\]0;title\\x07\\x0d \/ /);
  });
});
