/** One message on SMTP to a host that is wrong, or gone: senseless replies, lost connections, lost commands. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDialogue, type SmtpDialogue } from "../../../kit/smtp-dialogue.js";
import { body, envelope, grouped, two } from "../../../kit/smtp-openings.js";

describe("a reply that makes no sense", () => {
  const breach = (name: string, replies: string[], expected: string) =>
    it(name, () =>
      checkDialogue({}, (d) => [...grouped, d.relay("a").start, ...envelope("a"), ...replies, "DESTROY"], [
        "ready",
        expected,
        "ended REMOTE_PROTOCOL",
      ]),
    );
  breach("to MAIL", ["S: 354 go"], "a: REMOTE_PROTOCOL");
  breach("to RCPT", ["S: 250 ok", "S: 354 go"], "a: REMOTE_PROTOCOL");
  breach("to DATA", ["S: 250 ok", "S: 250 ok", "S: 250 ok"], "a: REMOTE_PROTOCOL");
  for (const reply of ["354 go", "221 bye", "150 hm"]) {
    breach(
      `to the dot (${reply}) leaves it open`,
      ["S: 250 a", "S: 250 b", "S: 354 c", ...body, `S: ${reply}`],
      "a: uncertain",
    );
  }
  breach(
    "to the dot (garbage, then 250) leaves it open",
    ["S: 250 a", "S: 250 b", "S: 354 c", ...body, "S: hello", "S: 250 ok"],
    "a: uncertain",
  );
  breach(
    "beyond the last one, in the same breath",
    ["S: 550 no", "S: 503 x", "S: 503 x", "S: 250 surplus"],
    "a: refused 550; 550 no",
  );
});

describe("a connection that is lost", () => {
  const replies = ["S: 250 ok", "S: 250 ok", "S: 354 go"];
  it("before the terminator has delivered nothing", () => {
    for (let read = 0; read < 3; read++) {
      checkDialogue({}, (d) => [...grouped, d.relay("a").start, ...envelope("a"), ...replies.slice(0, read), "EOF"], [
        "ready",
        "a: REMOTE_CLOSED",
        "ended REMOTE_CLOSED",
      ]);
    }
    checkDialogue({}, (d) => [...grouped, d.relay("a", { content: null }).start, ...envelope("a"), ...replies, "EOF"], [
      "ready",
      "a: REMOTE_CLOSED",
      "ended REMOTE_CLOSED",
    ]);
  });

  it("after it leaves open what became of it, unless all was refused", () => {
    for (const rest of [[], ["S| 250"], ["S| 250 ok\r"]]) {
      checkDialogue(
        {},
        (d) => [...grouped, d.relay("a").start, ...envelope("a"), ...replies, ...body, ...rest, "EOF"],
        ["ready", "a: uncertain", "ended REMOTE_CLOSED"],
      );
    }
    checkDialogue(
      {},
      (d) => [
        ...grouped,
        d.relay("a", two).start,
        ...envelope("a", "u", "v"),
        "S: 250 ok",
        "S: 550 no",
        "S: 250 ok",
        "S: 354 go",
        ...body,
        "TIMEOUT",
        "DESTROY",
      ],
      ["ready", "a: refused 550, uncertain", "ended COMMAND_TIMEOUT"],
    );
  });

  it("when everybody was refused changes nothing about that", () => {
    checkDialogue({}, (d) => [...grouped, d.relay("a").start, ...envelope("a"), "S: 250 ok", "S: 550 no", "EOF"], [
      "ready",
      "a: refused 550",
      "ended REMOTE_CLOSED",
    ]);
  });

  it("is worth another try only when it had served before and had not answered yet", () => {
    const first = (d: SmtpDialogue) => [
      ...grouped,
      d.relay("a").start,
      ...envelope("a"),
      ...replies,
      ...body,
      "S: 250 x",
      d.relay("b").start,
      ...envelope("b"),
    ];
    const events = ["ready", "a: delivered 250; 250 x"];
    checkDialogue({}, (d) => [...first(d), "EOF"], [...events, "b: REMOTE_CLOSED (retry)", "ended REMOTE_CLOSED"]);
    checkDialogue({}, (d) => [...first(d), "S: 421 idle", "DESTROY"], [
      ...events,
      "b: HOST_UNAVAILABLE (retry)",
      "ended HOST_UNAVAILABLE",
    ]);
    checkDialogue({}, (d) => [...first(d), "S: 250 ok", "EOF"], [...events, "b: REMOTE_CLOSED", "ended REMOTE_CLOSED"]);
  });
});

describe("a host that pipelines badly", () => {
  const timeout = "ended COMMAND_TIMEOUT";
  it("and leaves commands of a group unanswered is remembered", () => {
    checkDialogue(
      {},
      (d) => [...grouped, d.relay("a").start, ...envelope("a"), "S: 250 ok", "TIMEOUT", "DESTROY"],
      ["ready", "notice pipelining-off", "a: COMMAND_TIMEOUT", timeout],
      ({ peer }) => assert.ok(peer.dropsCommands),
    );
    checkDialogue(
      {},
      (d) => [...grouped, d.relay("a").start, ...envelope("a"), "S: 250 ok", "S: 250 ok", "TIMEOUT", "DESTROY"],
      ["ready", "notice pipelining-off", "a: COMMAND_TIMEOUT", timeout],
    );
  });

  it("is not told apart from one that is dead, or from one that pipelined well before", () => {
    checkDialogue({}, (d) => [...grouped, d.relay("a").start, ...envelope("a"), "TIMEOUT", "DESTROY"], [
      "ready",
      "a: COMMAND_TIMEOUT",
      timeout,
    ]);
    checkDialogue(
      { peer: { pipelines: true } },
      (d) => [...grouped, d.relay("a").start, ...envelope("a"), "S: 250 ok", "TIMEOUT", "DESTROY"],
      ["ready", "a: COMMAND_TIMEOUT", timeout],
      ({ peer }) => assert.deepEqual([peer.pipelines, peer.dropsCommands], [false, false]),
    );
  });

  it("is not blamed for a verdict that is late", () => {
    checkDialogue(
      {},
      (d) => [
        ...grouped,
        d.relay("a").start,
        ...envelope("a"),
        "S: 250 a",
        "S: 250 b",
        "S: 354 c",
        ...body,
        "TIMEOUT",
        "DESTROY",
      ],
      ["ready", "a: uncertain", timeout],
      ({ peer }) => assert.ok(peer.pipelines && !peer.dropsCommands),
    );
  });
});
