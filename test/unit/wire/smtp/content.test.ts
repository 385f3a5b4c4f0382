/** Content on its way: streams with credits, BDAT, early replies, and giving up in every state. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  checkDialogue,
  checkWhole,
  type FakeRelay,
  greeted,
  type SmtpDialogue,
  smtpSettings,
} from "../../../kit/smtp-dialogue.js";

const grouped = greeted(["PIPELINING"]);
const chunking = ["PIPELINING", "CHUNKING", "BINARYMIME"];
const MAIL = "C: MAIL FROM:<a@example.org>";
const BINARY_MAIL = `${MAIL} BODY=BINARYMIME`;
const RCPT = "C: RCPT TO:<u@example.net>";
const accepted = ["S: 250 mail", "S: 250 rcpt"];
const toContent = (relay: FakeRelay, hello = grouped) => [
  ...hello,
  relay.start,
  MAIL,
  RCPT,
  "C: DATA",
  ...accepted,
  "S: 354 go",
];
const streamed = (d: SmtpDialogue) => d.relay("a", { content: null });
/** A dialogue about one streamed message. */
const stream =
  (steps: (a: FakeRelay, d: SmtpDialogue) => (string | ((session: SmtpDialogue["session"]) => void))[]) =>
  (d: SmtpDialogue) => {
    const a = streamed(d);
    return [...toContent(a), ...steps(a, d)];
  };
const delivered = ["ready", "a: delivered 250; 250 x"];

describe("streamed content", () => {
  it("is asked for part by part, and normalised across them", () => {
    checkDialogue(
      {},
      stream((a) => [
        () => assert.equal(a.wanted, 4),
        ...[a.part("one\r"), "C| one\r", a.part("\n."), "C| \n..", a.part("two\n"), "C| two\r\n"],
        () => assert.equal(a.wanted, 4),
        ...[a.part("", true), "C: .", "S: 250 x"],
      ]),
      delivered,
    );
  });

  it("is not asked for before 354", () => {
    checkDialogue(
      {},
      (d) => {
        const a = streamed(d);
        return [
          ...grouped,
          a.start,
          MAIL,
          RCPT,
          "C: DATA",
          ...accepted,
          () => assert.equal(a.wanted, 0),
          "S: 452 full",
        ];
      },
      ["ready", "a: deferred 452; 452 full"],
    );
  });

  it("waits while the host does not take what was sent", () => {
    const unsent = (d: SmtpDialogue, octets: number) => () => {
      d.wire.unsentOctets = octets;
    };
    checkDialogue(
      {},
      stream((a, d) => [
        unsent(d, 600 * 1024),
        ...[1, 2, 3, 4].flatMap(() => [a.part("x\r\n"), "C: x"]),
        () => assert.equal(a.wanted, 0),
        unsent(d, 0),
        (session) => session.drained(),
        () => assert.equal(a.wanted, 4),
        ...[a.part("", true), "C: .", "S: 250 x"],
      ]),
      delivered,
    );
  });

  it("that throws is never ended: nobody may take half a message for a whole one", () => {
    checkDialogue(
      {},
      stream((a) => [a.part("half\r\n"), "C: half", a.breakStream, "DESTROY"]),
      ["ready", "a: CONTENT_FAILED", "ended REMOTE_CLOSED"],
    );
  });

  it("that stops coming is told apart from a host that stops taking it", () => {
    const stalled = (unsent: number) =>
      stream((a, d) => [
        ...[a.part("half\r\n"), "C: half"],
        () => {
          d.wire.unsentOctets = unsent;
          assert.equal(d.wire.awaitedMs, 1_005, "timeouts.data-block");
        },
        ...["TIMEOUT", "DESTROY"],
      ]);
    checkDialogue({}, stalled(0), ["ready", "a: CONTENT_FAILED", "ended CONTENT_FAILED"]);
    checkDialogue({}, stalled(9), ["ready", "a: COMMAND_TIMEOUT", "ended COMMAND_TIMEOUT"]);
  });
});

describe("a reply while content is on its way", () => {
  const early = (reply: string, event: string) =>
    checkDialogue(
      {},
      stream((a) => [a.part("half\r\n"), "C: half", `S: ${reply}`, "DESTROY"]),
      ["ready", event, "ended REMOTE_PROTOCOL"],
    );

  it("that refuses is the verdict, wherever it is cut", () => {
    early("552 5.3.4 too big", "a: refused 552; 552 too big");
    early("452 4.3.1 full", "a: deferred 452; 452 full");
    early("421 4.3.1 bye", "a: deferred 421; 421 bye");
  });

  it("that claims success is not believed", () => early("250 thanks", "a: REMOTE_PROTOCOL"));

  it("that began before the terminator is no reply to it", () => {
    checkWhole(
      {},
      stream((a) => ["S| 250 tha", a.part("x\r\n", true), "C: x", "C: .", "S: nks", "DESTROY"]),
      ["ready", "a: uncertain", "ended REMOTE_PROTOCOL"],
    );
  });
});

function binary(d: SmtpDialogue, content: string | null = null, name = "a"): FakeRelay {
  return d.relay(name, { content, body: "binarymime" });
}

describe("BDAT", () => {
  const hello = greeted(chunking);

  it("takes binary content, after every reply to the envelope", () => {
    checkDialogue(
      {},
      (d) => [
        ...hello,
        binary(d, ".x\r\n").start,
        BINARY_MAIL,
        RCPT,
        ...accepted,
        "C: BDAT 4 LAST",
        "C: .x",
        "S: 250 x",
      ],
      delivered,
    );
  });

  it("is not used for anything else, since only 354 shows that replies and commands still match", () => {
    const data = [MAIL, RCPT, "C: DATA", ...accepted, "S: 354 go", "C: hi", "C: .", "S: 250 x"];
    checkDialogue({}, (d) => [...hello, d.relay("a").start, ...data], delivered);
  });

  it("is not begun behind the end of another message, whose replies might be too many", () => {
    const first = [MAIL, RCPT, "C: DATA", ...accepted, "S: 354 go", "C: hi", "C: .", "S: 250 x"];
    const behind = ["C: MAIL FROM:<b@example.org> BODY=BINARYMIME", RCPT];
    checkDialogue(
      {},
      (d) => {
        const a = d.relay("a");
        const b = binary(d, "x\r\n", "b");
        d.waiting.push(b);
        return [...hello, a.start, ...first, ...behind, ...accepted, "C: BDAT 3 LAST", "C: x", "S: 250 y"];
      },
      ["ready", "a: delivered 250; 250 x", "b: delivered 250; 250 y"],
    );
  });

  it("is not begun where nobody was accepted", () => {
    checkDialogue(
      {},
      (d) => [...hello, binary(d, "hi\r\n").start, BINARY_MAIL, RCPT, "S: 250 a", "S: 550 b", () => {}],
      ["ready", "a: refused 550"],
      ({ session }) => assert.ok(session.isIdle && session.needsReset),
    );
  });

  it("that the host does not know after all is remembered; nothing was delivered and nothing refused", () => {
    checkDialogue(
      {},
      (d) => [
        ...hello,
        binary(d, "hi\r\n").start,
        BINARY_MAIL,
        RCPT,
        ...accepted,
        "C: BDAT 4 LAST",
        "C: hi",
        "S: 500 what?",
        "DESTROY",
      ],
      ["ready", "notice chunking-off", "a: REMOTE_PROTOCOL", "ended REMOTE_PROTOCOL"],
      ({ peer }) => assert.ok(peer.refusesChunks),
    );
  });

  it("in LMTP has one reply for each recipient, and is rejected for nobody who may have it", () => {
    const two = { body: "binarymime", recipients: ["u@example.net", "u@example.net"] } as const;
    const check = (replies: string[], ...events: string[]) =>
      checkDialogue(
        { settings: smtpSettings({ protocol: "lmtp" }) },
        (d) => [
          ...[...greeted(chunking, "LHLO"), d.relay("a", two).start, BINARY_MAIL, RCPT, RCPT, ...accepted],
          ...["S: 250 rcpt", "C: BDAT 4 LAST", "C: hi", ...replies],
        ],
        ["ready", ...events],
      );
    check(["S: 250 one", "S: 550 two"], "a: delivered 250, refused 550");
    check(["S: 250 one", "S: 500 two"], "a: delivered 250, refused 500");
    const unknown = ["notice chunking-off", "a: refused 500, uncertain", "ended REMOTE_PROTOCOL"];
    check(["S: 500 one", "DESTROY"], ...unknown);
  });
});

describe("a stream of binary chunks", () => {
  const start = (a: FakeRelay) => [...greeted(chunking), a.start, BINARY_MAIL, RCPT, ...accepted];
  const chunks = (steps: (a: FakeRelay) => (string | (() => void))[]) => (d: SmtpDialogue) => {
    const a = binary(d);
    return [...start(a), ...steps(a)];
  };

  it("goes out as it comes, and LAST waits for the chunks before it", () => {
    checkDialogue(
      {},
      chunks((a) => [
        () => assert.equal(a.wanted, 4),
        ...[a.part("\n.\r"), "C: BDAT 3", "C| \n.\r", a.part("zz"), "C: BDAT 2", "C| zz", a.part("end", true)],
        ...["S: 250 3 octets", "S: 250 2 octets", "C: BDAT 3 LAST", "C| end", "S: 250 x"],
      ]),
      delivered,
    );
  });

  it("may end with nothing", () => {
    checkDialogue(
      {},
      chunks((a) => [a.part("", true), "C: BDAT 0 LAST", "S: 250 x"]),
      delivered,
    );
  });

  it("waits for each reply where the host does not pipeline", () => {
    checkDialogue(
      {},
      (d) => {
        const a = binary(d);
        const wanted = (parts: number) => () => assert.equal(a.wanted, parts);
        return [
          ...[...greeted(["CHUNKING", "BINARYMIME"]), a.start, BINARY_MAIL, "S: 250 a", RCPT, "S: 250 b"],
          ...[wanted(1), a.part("one"), "C: BDAT 3", "C| one", wanted(0), "S: 250 ok", wanted(1)],
          ...[a.part("two", true), "C: BDAT 3 LAST", "C| two", "S: 250 x"],
        ];
      },
      delivered,
    );
  });

  const refused = (name: string, reply: string, events: string[], after: string[] = []) =>
    it(name, () =>
      checkDialogue(
        {},
        chunks((a) => [
          a.part("one"),
          "C: BDAT 3",
          "C| one",
          a.part("two"),
          "C: BDAT 3",
          "C| two",
          `S: ${reply}`,
          ...after,
          () => {},
        ]),
        ["ready", ...events],
      ),
    );
  refused("refused in the middle ends there", "552 too much", ["a: refused 552; 552 too much"], ["S: 503 no"]);
  refused("refused for now ends there", "452 too much", ["a: deferred 452; 452 too much"], ["S: 503 no"]);
  refused("answered with another 2yz was not taken", "251 hm", ["a: REMOTE_PROTOCOL", "ended REMOTE_PROTOCOL"]);
  refused("answered with 354 was not taken", "354 hm", ["a: REMOTE_PROTOCOL", "ended REMOTE_PROTOCOL"]);
  refused("that the host does not know is no refusal of the message", "502 what?", [
    "notice chunking-off",
    "a: REMOTE_PROTOCOL",
    "ended REMOTE_PROTOCOL",
  ]);

  it("needs BINARYMIME and CHUNKING, and a host that means it", () => {
    const missing = ["ready", "a: MISSING_EXTENSION"];
    checkDialogue({}, (d) => [...greeted(["CHUNKING"]), binary(d).start], missing);
    checkDialogue({}, (d) => [...greeted(["BINARYMIME"]), binary(d).start], missing);
    checkDialogue({ peer: { refusesChunks: true } }, (d) => [...greeted(chunking), binary(d).start], missing);
  });

  it("given up is cut off", () => {
    checkDialogue(
      {},
      chunks((a) => [a.part("one"), "C: BDAT 3", "C| one", a.cancel, "DESTROY"]),
      ["ready", "a: ABORTED", "ended REMOTE_CLOSED"],
    );
  });
});

describe("a message given up", () => {
  const gone = ["ready", "a: ABORTED"];
  const dropped = [...gone, "ended REMOTE_CLOSED"];

  it("before it was sent leaves no trace", () => {
    checkDialogue(
      {},
      (d) => [...grouped, d.relay("a", { withdrawnBefore: "envelope" }).start, () => {}],
      gone,
      ({ session, requests }) => assert.deepEqual([session.isIdle, requests], [true, 0]),
    );
  });

  it("with its envelope is dropped at 354, or stays where nothing is asked for", () => {
    const begun = (rest: string[]) => (d: SmtpDialogue) => {
      const a = d.relay("a");
      return [...grouped, a.start, MAIL, RCPT, "C: DATA", a.cancel, ...rest, () => {}];
    };
    checkDialogue({}, begun([...accepted, "S: 354 go", "DESTROY"]), dropped);
    checkDialogue({}, begun(["S: 550 no", "S: 503 x", "S: 503 x"]), gone, ({ session }) => assert.ok(session.isIdle));
    checkDialogue({}, (d) => [...toContent(d.relay("a", { withdrawnBefore: "content" })), "DESTROY"], dropped);
  });

  it("between two commands sends no more of them", () => {
    checkDialogue(
      {},
      (d) => {
        const a = d.relay("a");
        return [...greeted([]), a.start, MAIL, a.cancel, "S: 250 ok", () => {}];
      },
      gone,
      ({ session }) => assert.ok(session.isIdle && session.needsReset),
    );
  });

  it("with its content is cut off before the terminator", () => {
    checkDialogue(
      {},
      stream((a) => [a.part("half"), "C| half", a.cancel, "DESTROY"]),
      dropped,
    );
    checkDialogue({}, (d) => [...toContent(d.relay("a", { withdrawnBefore: "terminator" })), "DESTROY"], dropped);
  });

  it("after its terminator is uncertain, once, and its late verdict is told", () => {
    const late = (rest: (a: FakeRelay) => (string | (() => void))[]) => (d: SmtpDialogue) => {
      const a = d.relay("a");
      return [...toContent(a), "C: hi", "C: .", a.cancel, ...rest(a)];
    };
    checkDialogue(
      {},
      late((a) => [a.cancel, "S: 250 ok", a.cancel]),
      ["ready", "a: uncertain", "notice late-verdict"],
      ({ session }) => assert.ok(session.isIdle),
    );
    checkDialogue(
      {},
      late(() => ["EOF"]),
      ["ready", "a: uncertain", "ended REMOTE_CLOSED"],
    );
  });

  it("after one of two LMTP replies keeps what is known", () => {
    checkDialogue(
      { settings: smtpSettings({ protocol: "lmtp" }) },
      (d) => {
        const a = d.relay("a", { recipients: ["u@example.net", "u@example.net"] });
        const envelope = [a.start, MAIL, RCPT, RCPT, "C: DATA", ...accepted, "S: 250 b", "S: 354 go", "C: hi", "C: ."];
        return [...greeted(["PIPELINING"], "LHLO"), ...envelope, "S: 250 one", a.cancel, "S: 550 two"];
      },
      ["ready", "a: delivered 250, uncertain", "notice late-verdict"],
    );
  });
});
