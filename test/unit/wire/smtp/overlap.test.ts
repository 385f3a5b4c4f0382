/** The next envelope behind the final dot (RFC 2920 3.1): whose reply is whose, and what each message may know when things go wrong. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDialogue, greeted, type SmtpDialogue, smtpSettings } from "../../../kit/smtp-dialogue.js";

const two = { recipients: ["u@example.net", "v@example.net"] };
const envelope = (name: string, ...recipients: string[]) => [
  `C: MAIL FROM:<${name}@example.org>`,
  ...(recipients.length === 0 ? ["u"] : recipients).map((r) => `C: RCPT TO:<${r}@example.net>`),
  "C: DATA",
];
const accepted = ["S: 250 mail", "S: 250 rcpt", "S: 354 go"];
const body = ["C: hi", "C: ."];

/** Message a with its terminator written and the envelope of b behind it. */
function overlapped(d: SmtpDialogue, b = d.relay("b")) {
  const a = d.relay("a");
  d.waiting.push(b);
  return [...greeted(), a.start, ...envelope("a"), ...accepted, ...body, ...envelope("b")];
}

describe("an envelope behind another message's terminator", () => {
  it("costs no round trip, and each reply finds its message", () => {
    checkDialogue(
      {},
      (d) => [...overlapped(d), "S: 250 a queued", ...accepted, ...body, "S: 550 b refused"],
      ["ready", "a: delivered 250; 250 a queued", "b: refused 550; 550 b refused"],
      ({ session }) => assert.ok(session.isIdle),
    );
  });

  it("follows without end", () => {
    checkDialogue(
      {},
      (d) => [
        ...overlapped(d),
        () => d.waiting.push(d.relay("c")),
        ...["S: 250 a", ...accepted, ...body, ...envelope("c"), "S: 250 b", ...accepted, ...body, "S: 250 c"],
      ],
      ["ready", "a: delivered 250; 250 a", "b: delivered 250; 250 b", "c: delivered 250; 250 c"],
    );
  });

  it("waits for room where limits.pipeline is small", () => {
    checkDialogue(
      { settings: smtpSettings({ limits: { pipeline: 3 } }) },
      (d) => {
        d.waiting.push(d.relay("b", two));
        return [
          ...[...greeted(), d.relay("a").start, ...envelope("a"), ...accepted, ...body],
          ...["C: MAIL FROM:<b@example.org>", "C: RCPT TO:<u@example.net>", "S: 250 a", "C: RCPT TO:<v@example.net>"],
          ...["S: 250 mail", "C: DATA", "S: 250 u", "S: 250 v", "S: 354 go", ...body, "S: 250 b"],
        ];
      },
      ["ready", "a: delivered 250; 250 a", "b: delivered 250, delivered 250; 250 b"],
    );
  });

  it("is not sent where the host does not pipeline", () => {
    const events = ["ready", "a: delivered 250; 250 a"];
    checkDialogue(
      {},
      (d) => {
        d.waiting.push(d.relay("b"));
        const oneByOne = [
          "C: MAIL FROM:<a@example.org>",
          "S: 250 a",
          "C: RCPT TO:<u@example.net>",
          "S: 250 b",
          "C: DATA",
          "S: 354 c",
        ];
        return [...greeted([]), d.relay("a").start, ...oneByOne, ...body, "S: 250 a"];
      },
      events,
    );
  });

  it("may be tried again when the connection is lost before its first reply, while the message before it stays open", () => {
    const b = ["b: REMOTE_CLOSED (retry)", "ended REMOTE_CLOSED"];
    const a = "a: delivered 250; 250 a";
    checkDialogue({}, (d) => [...overlapped(d), "EOF"], ["ready", "a: uncertain", ...b]);
    checkDialogue({}, (d) => [...overlapped(d), "S: 250 a", "EOF"], ["ready", a, ...b]);
    checkDialogue({}, (d) => [...overlapped(d), "S: 250 a", "S: 250 mail", "EOF"], [
      "ready",
      a,
      "b: REMOTE_CLOSED",
      "ended REMOTE_CLOSED",
    ]);
    checkDialogue({}, (d) => [...overlapped(d), "S: 421 later", "DESTROY"], [
      "ready",
      "a: deferred 421; 421 later",
      "b: HOST_UNAVAILABLE (retry)",
      "ended HOST_UNAVAILABLE",
    ]);
    checkDialogue({}, (d) => [...overlapped(d), "S: 354 what", "DESTROY"], [
      "ready",
      "a: uncertain",
      "b: REMOTE_PROTOCOL (retry)",
      "ended REMOTE_PROTOCOL",
    ]);
  });

  it("given up leaves the message before it alone: its verdict is awaited", () => {
    const given = (d: SmtpDialogue, rest: (string | (() => void))[]) => {
      const b = d.relay("b");
      return [...overlapped(d, b), b.cancel, "S: 250 a", "S: 250 mail", ...rest];
    };
    const events = ["ready", "b: ABORTED", "a: delivered 250; 250 a"];
    checkDialogue({}, (d) => given(d, ["S: 250 rcpt", "S: 354 go", "DESTROY"]), [...events, "ended REMOTE_CLOSED"]);
    checkDialogue(
      {},
      (d) => given(d, ["S: 550 rcpt", "S: 554 none", () => {}]),
      events,
      ({ session }) => assert.ok(session.isIdle && session.needsReset),
    );
  });

  it("given up before it was sent is not sent", () => {
    checkDialogue(
      {},
      (d) => {
        d.waiting.push(d.relay("b", { withdrawnBefore: "envelope" }));
        return [...greeted(), d.relay("a").start, ...envelope("a"), ...accepted, ...body, "S: 250 a", () => {}];
      },
      ["ready", "b: ABORTED", "a: delivered 250; 250 a"],
      ({ session, requests }) => assert.deepEqual([session.isIdle, requests], [true, 1]),
    );
  });

  it("given up while RSET stands before it sends nothing more", () => {
    checkDialogue(
      { settings: smtpSettings({ limits: { pipeline: 3 } }) },
      (d) => {
        const b = d.relay("b");
        const refused = ["S: 250 mail", "S: 550 rcpt", "S: 554 none"];
        const start = [...greeted(), d.relay("a").start, ...envelope("a"), ...refused];
        return [
          ...start,
          b.start,
          "C: RSET",
          "C: MAIL FROM:<b@example.org>",
          "C: RCPT TO:<u@example.net>",
          b.cancel,
          "S: 250 r",
          "S: 250 m",
          "S: 250 u",
          () => {},
        ];
      },
      ["ready", "a: refused 550", "b: ABORTED"],
      ({ session }) => assert.ok(session.isIdle),
    );
  });

  it("goes on when the message before it is given up; the late verdict is told", () => {
    checkDialogue(
      {},
      (d) => {
        const a = d.relay("a");
        d.waiting.push(d.relay("b"));
        const start = [...greeted(), a.start, ...envelope("a"), ...accepted, ...body, ...envelope("b")];
        return [...start, a.cancel, "S: 250 a", ...accepted, ...body, "S: 250 b"];
      },
      ["ready", "a: uncertain", "notice late-verdict", "b: delivered 250; 250 b"],
    );
  });

  it("lost by a host that drops what follows the dot is remembered", () => {
    checkDialogue(
      {},
      (d) => [...overlapped(d), () => Object.assign(d.peer, { pipelines: false }), "S: 250 a", "TIMEOUT", "DESTROY"],
      [
        "ready",
        "a: delivered 250; 250 a",
        "notice pipelining-off",
        "b: COMMAND_TIMEOUT (retry)",
        "ended COMMAND_TIMEOUT",
      ],
    );
  });
});

describe("an envelope behind an LMTP message", () => {
  const settings = smtpSettings({ protocol: "lmtp" });
  const hello = greeted(["PIPELINING"], "LHLO");
  const both = ["S: 250 mail", "S: 250 u", "S: 250 v", "S: 354 go"];

  it("waits until the host has been seen to give one reply for each recipient", () => {
    checkDialogue(
      { settings },
      (d) => {
        d.waiting.push(d.relay("b"));
        return [
          ...[...hello, d.relay("a", two).start, ...envelope("a", "u", "v"), ...both, ...body, "S: 250 u", "S: 250 v"],
          ...[
            d.relay("c", two).start,
            ...envelope("c", "u", "v"),
            ...both,
            ...body,
            ...envelope("b"),
            "S: 250 u",
            "S: 250 v",
          ],
          ...[...accepted, ...body, "S: 250 u"],
        ];
      },
      ["ready", "a: delivered 250, delivered 250", "c: delivered 250, delivered 250", "b: delivered 250"],
    );
  });

  it("follows at once where one reply is due", () => {
    checkDialogue(
      { settings },
      (d) => {
        d.waiting.push(d.relay("b"));
        return [
          ...hello,
          d.relay("a").start,
          ...envelope("a"),
          ...accepted,
          ...body,
          ...envelope("b"),
          "S: 250 a",
          ...accepted,
          ...body,
          "S: 250 b",
        ];
      },
      ["ready", "a: delivered 250", "b: delivered 250"],
    );
  });
});
