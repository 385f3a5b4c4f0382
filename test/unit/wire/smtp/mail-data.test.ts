/** The content normaliser: whatever comes in, a receiver that takes any newline for one sees exactly one message, and the reference's octets. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MailData } from "../../../../workers/wire/smtp/mail-data.js";

const RUNS = Number(process.env.FUZZ_RUNS ?? 500);
const LONGEST = RUNS >= 10_000 ? 8 : 7;

function send(parts: readonly Uint8Array[]): string {
  let sent = "";
  const data = new MailData({ write: (octets) => (sent += Buffer.from(octets).toString("latin1")) });
  for (const part of parts) {
    data.push(part);
  }
  data.finish();
  return sent;
}

/** The plainest way to say it: newlines made CRLF, the last line ended, dots doubled, a lone dot. */
function reference(content: string): string {
  let text = content.replace(/\r\n|\r|\n/g, "\r\n");
  if (text !== "" && !text.endsWith("\r\n")) {
    text += "\r\n";
  }
  return `${text.replace(/^\./gm, "..").replace(/\r\n\.(?!\.)/g, "\r\n..")}.\r\n`;
}

/** How many messages a receiver reads for which CR, LF and CRLF all end a line; and the lines of the first. */
function receive(sent: string): { messages: number; lines: string[] } {
  const lines: string[] = [];
  let messages = 0;
  const all = sent.split(/\r\n|\r|\n/);
  assert.equal(all.pop(), "", "what is sent ends with a line");
  for (const line of all) {
    if (line === ".") {
      messages++;
    } else if (messages === 0) {
      lines.push(line.startsWith(".") ? line.slice(1) : line);
    }
  }
  return { messages, lines };
}

function* strings(alphabet: string, longest: number): Generator<string> {
  let previous = [""];
  yield "";
  for (let length = 1; length <= longest; length++) {
    previous = previous.flatMap((start) => [...alphabet].map((letter) => start + letter));
    yield* previous;
  }
}

function check(content: string, parts: readonly Uint8Array[]): void {
  const sent = send(parts);
  // One comparison each: assert's own messages are too dear for half a million of them.
  if (sent !== reference(content)) {
    assert.equal(sent, reference(content), JSON.stringify(content));
  }
  const { messages, lines } = receive(sent);
  if (messages !== 1) {
    assert.fail(`${JSON.stringify(content)} became ${messages} messages`);
  }
  const wanted = content.split(/\r\n|\r|\n/);
  if (wanted.at(-1) === "") {
    wanted.pop();
  }
  if (lines.join("\n") !== wanted.join("\n")) {
    assert.deepEqual(lines, wanted);
  }
}

describe("mail data", () => {
  it(`of every string over CR, LF, dot and x up to ${LONGEST} octets, at every split, is one message`, () => {
    for (const content of strings("\r\n.x", LONGEST)) {
      const octets = Buffer.from(content);
      check(content, [octets]);
      check(
        content,
        Array.from(octets, (_, at) => octets.subarray(at, at + 1)),
      );
      for (let at = 1; at < octets.length; at++) {
        check(content, [octets.subarray(0, at), octets.subarray(at)]);
      }
    }
  });

  const letters = fc.constantFrom(10, 13, 46, 46, 120, 0, 255);
  const content = fc.array(letters, { maxLength: 200 }).map((octets) => Uint8Array.from(octets));
  it("of longer contents in any parts is one message", () => {
    fc.assert(
      fc.property(fc.array(content, { maxLength: 6 }), (parts) =>
        check(Buffer.concat(parts).toString("latin1"), parts),
      ),
      { numRuns: RUNS },
    );
  });
});
