/** The benchmarks' own sink counts messages rightly, however the octets are cut. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ImapSession, MailSession } from "../../../bench/kit/sink-session.js";

const ENVELOPE = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n";
const CONTENTS = ["Subject: x\r\n\r\nbody\r\n.\r\n", ".\r\n", "..\r\n.\r\r\n\r\n.\n\r\n.x\r\n.\r\n", "\r\n.\r\n"];
const DIALOGUE = Buffer.from(`EHLO x\r\n${CONTENTS.map((content) => ENVELOPE + content).join("")}RSET\r\nquit\r\n`);

function codes(isLmtp: boolean, cuts: number[]): string[] {
  const session = new MailSession(isLmtp);
  const edges = [0, ...cuts, DIALOGUE.length];
  const replies = edges.slice(1).map((end, i) => session.receive(DIALOGUE.subarray(edges[i]!, end)));
  return [...replies.join("").matchAll(/^(\d{3}) /gm)].map((match) => match[1]!);
}

describe("the own sink", () => {
  for (const isLmtp of [false, true]) {
    const finals = isLmtp ? ["250", "250"] : ["250"];
    const expected = ["250", ...CONTENTS.flatMap(() => ["250", "250", "250", "354", ...finals]), "250", "221"];

    it(`gives ${isLmtp ? "LMTP" : "SMTP"} one reply for each command and content, whole and octet by octet`, () => {
      assert.deepEqual(codes(isLmtp, []), expected);
      assert.deepEqual(codes(isLmtp, [...DIALOGUE.keys()].slice(1)), expected);
    });

    it(`does so for ${isLmtp ? "LMTP" : "SMTP"} at every pair of cuts`, () => {
      for (let first = 1; first < DIALOGUE.length; first++) {
        for (const second of [first, first + 1, first + 2, first + 3, first + 4, first + 7]) {
          if (second <= DIALOGUE.length) {
            assert.deepEqual(codes(isLmtp, [first, second]), expected, `${first}, ${second}`);
          }
        }
      }
    });
  }

  it("believes every IMAP login, under its tag", () => {
    const session = new ImapSession();
    assert.equal(session.receive(Buffer.from("a1 AUTHENTICATE PLAIN AHgAeQ==\r\na2 UNAUTH")), "a1 OK done\r\n");
    assert.equal(session.receive(Buffer.from("ENTICATE\r\n")), "a2 OK done\r\n");
  });
});
