/** RCPT probes: merged questions, with each cell of "Meaning of replies" (docs/replies.md). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDialogue, checkWhole, greeted, type SmtpDialogue, smtpSettings } from "../../../kit/smtp-dialogue.js";
import { ask, check, isIdle, MAIL, rcpt, told } from "../../../kit/smtp-questions.js";

describe("RCPT probes", () => {
  it("of many callers share one transaction, which stays open for the next", () => {
    checkDialogue(
      {},
      (d) => [
        ...[
          ...greeted(),
          ask(d, "a", "b", "c"),
          MAIL,
          rcpt("a"),
          rcpt("b"),
          rcpt("c"),
          "S: 250 ok",
          "S: 250 ok",
          "S: 550 no",
          "S: 251 fwd",
        ],
        ...[ask(d, "d"), rcpt("d"), "S: 550 no"],
      ],
      ["ready", told("a", "found"), told("b", "not found"), told("c", "found"), told("d", "not found")],
      (d) => {
        isIdle(d);
        assert.deepEqual([d.requests, d.errors], [4, 2]);
      },
    );
  });

  it("go one by one where the host does not pipeline", () => {
    checkDialogue(
      {},
      (d) => [
        ...greeted([]),
        ask(d, "a"),
        MAIL,
        "S: 250 ok",
        rcpt("a"),
        "S: 250 ok",
        ask(d, "b"),
        rcpt("b"),
        "S: 550 no",
      ],
      ["ready", told("a", "found"), told("b", "not found")],
      isIdle,
    );
  });

  it("are ended by RSET before a message, and the other way round", () => {
    checkDialogue(
      {},
      (d) => [
        ...[
          ...greeted(),
          ask(d, "a"),
          MAIL,
          rcpt("a"),
          "S: 250 ok",
          "S: 250 ok",
          d.relay("m").start,
          "C: RSET",
          "C: MAIL FROM:<m@example.org>",
        ],
        ...[
          rcpt("u"),
          "C: DATA",
          "S: 250 rset",
          "S: 250 ok",
          "S: 550 no",
          "S: 554 none",
          ask(d, "b"),
          "C: RSET",
          MAIL,
          rcpt("b"),
        ],
        ...["S: 250 rset", "S: 250 ok", "S: 250 ok"],
      ],
      ["ready", told("a", "found"), "m: refused 550", told("b", "found")],
      isIdle,
    );
  });

  const cells: [reply: string, result: string][] = [
    ["250 ok", "found"],
    ["251 forwarded", "found"],
    ["252 cannot say", "found"],
    ["550 5.1.1 who?", "not found"],
    ["551 moved", "not found"],
    ["553 5.1.6 moved", "not found"],
    ["550 5.1.10 null mx", "not found"],
    ["550 5.0.0 no", "not found"],
    ["550 5.4.1 access denied", "not found"],
    ["550 5.5.0 mailbox unavailable", "not found"],
    ["552 5.2.2 full", "not found, full"],
    ["552 full", "not found, full"],
    ["550 5.2.1 disabled", "not found, disabled"],
    ["554 5.2.0 what", "not found, disabled"],
    ["552 5.2.3 too large", "not found, too-large"],
    ["550 5.2.4 list", "not found, list"],
    ["553 5.1.3 bad", "not found"],
    ["501 5.1.3 bad syntax", "not found"],
    ["556 null mx", "not found"],
    ["550 5.7.1 you are listed", "not found (of us)"],
    ["554 no service", "not found (of us)"],
    ["553 5.7.1 not you", "not found (of us)"],
    ["550 5.1.8 your domain", "not found (of us)"],
    ["550 5.3.2 down", "not found (of us)"],
    ["550 5.4.4 no route", "not found (of us)"],
    ["554 5.4.1 no answer", "not found (of us)"],
    ["550 5.5.3 too many", "not found (of us)"],
    ["550 5.6.1 media", "not found (of us)"],
    ["521 no mail", "not found (of us)"],
    ["450 greylisted", "REPLY_TRANSIENT"],
    ["451 later", "REPLY_TRANSIENT"],
    ["452 full", "REPLY_TRANSIENT"],
    ["500 what?", "REPLY_PERMANENT"],
    ["502 no", "REPLY_PERMANENT"],
    ["503 first MAIL", "REPLY_PERMANENT"],
    ["530 first STARTTLS", "REPLY_PERMANENT"],
    ["504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", "REPLY_PERMANENT"],
    ["501 5.5.2 need fully-qualified hostname", "REPLY_PERMANENT"],
    ["501 syntax", "REPLY_PERMANENT"],
    ["555 parameter", "REPLY_PERMANENT"],
    ["550 5.5.4 parameter", "REPLY_PERMANENT"],
  ];
  for (const [reply, result] of cells) {
    it(`answered with ${reply}: ${result}`, () => {
      checkDialogue(
        {},
        (d) => [...greeted(), ask(d, "a"), MAIL, rcpt("a"), "S: 250 ok", `S: ${reply}`],
        ["ready", told("a", result)],
        (d) => {
          isIdle(d);
          assert.equal(d.errors, reply.startsWith("2") ? 0 : 1);
        },
      );
    });
  }

  it("have no answer when MAIL is refused, whatever is said to RCPT", () => {
    for (const [mail, code] of [
      ["550 5.7.1 no", "REPLY_PERMANENT"],
      ["451 later", "REPLY_TRANSIENT"],
    ] as const) {
      checkDialogue(
        {},
        (d) => [
          ...greeted(),
          ask(d, "a", "b"),
          MAIL,
          rcpt("a"),
          rcpt("b"),
          `S: ${mail}`,
          "S: 503 no mail",
          "S: 250 fine",
        ],
        ["ready", told("a", code), told("b", code)],
        isIdle,
      );
      checkDialogue({}, (d) => [...greeted([]), ask(d, "a"), MAIL, `S: ${mail}`], ["ready", told("a", code)], isIdle);
    }
  });

  it("have no answer when the connection ends", () => {
    const start = (d: SmtpDialogue) => [...greeted(), ask(d, "a", "b"), MAIL, rcpt("a"), rcpt("b"), "S: 250 ok"];
    checkDialogue({}, (d) => [...start(d), "S: 421 bye", "DESTROY"], [
      "ready",
      told("a", "HOST_UNAVAILABLE"),
      told("b", "HOST_UNAVAILABLE"),
      "ended HOST_UNAVAILABLE",
    ]);
    checkDialogue({}, (d) => [...start(d), "S: 354 what", "DESTROY"], [
      "ready",
      told("a", "REMOTE_PROTOCOL"),
      told("b", "REMOTE_PROTOCOL"),
      "ended REMOTE_PROTOCOL",
    ]);
    checkDialogue({}, (d) => [...start(d), "S: 250 ok", "EOF"], [
      "ready",
      told("a", "found"),
      told("b", "REMOTE_CLOSED (retry)"),
      "ended REMOTE_CLOSED",
    ]);
  });

  it("refused with 452 behind accepted ones are asked again after RSET, with 552 too", () => {
    for (const code of ["452", "552"]) {
      checkDialogue(
        {},
        (d) => [
          ...[
            ...greeted(),
            ask(d, "a", "b", "c"),
            MAIL,
            rcpt("a"),
            rcpt("b"),
            rcpt("c"),
            "S: 250 ok",
            "S: 250 ok",
            `S: ${code} too many`,
            `S: ${code} too many`,
          ],
          ...["C: RSET", MAIL, rcpt("b"), rcpt("c"), "S: 250 ok", "S: 250 ok", `S: ${code} full`, "S: 550 no"],
        ],
        [
          "ready",
          told("a", "found"),
          told("b", code === "452" ? "REPLY_TRANSIENT" : "not found, full"),
          told("c", "not found"),
        ],
        isIdle,
      );
    }
  });

  it("refused since too many before them were unknown are asked again after RSET, and have no verdict where they are the first", () => {
    const tired = "S: 550 Rejected for too many bad recipients";
    checkDialogue(
      {},
      (d) => [
        ...[...greeted(), ask(d, "a", "b", "c"), MAIL, rcpt("a"), rcpt("b"), rcpt("c")],
        ...["S: 250 ok", "S: 550 no", tired, tired, "C: RSET", MAIL, rcpt("b"), rcpt("c")],
        ...["S: 250 ok", "S: 250 ok", "S: 250 ok", tired, "C: RSET", MAIL, rcpt("c"), "S: 250 ok", "S: 250 ok", tired],
      ],
      ["ready", told("a", "not found"), told("b", "found"), told("c", "REPLY_PERMANENT")],
      isIdle,
    );
  });

  it("begin a new transaction after a hundred recipients", () => {
    const names = Array.from({ length: 101 }, (_, at) => `r${at}`);
    checkWhole(
      { settings: smtpSettings({ limits: { errors: 1000, pipeline: 1000 } }) },
      (d) => [
        ...[...greeted(), ask(d, ...names), MAIL, ...names.slice(0, 100).map(rcpt), "C: RSET", MAIL, rcpt("r100")],
        ...["S: 250 mail", ...names.slice(0, 100).map(() => "S: 250 ok"), "S: 250 rset", "S: 250 mail", "S: 550 no"],
      ],
      ["ready", ...names.slice(0, 100).map((name) => told(name, "found")), told("r100", "not found")],
    );
  });

  it("leave no open transaction behind a refused MAIL whose successor was accepted", () => {
    const mixed = (d: SmtpDialogue) => ask(d, "a", "ü");
    checkDialogue(
      {},
      (d) => [
        ...[
          ...greeted(["PIPELINING", "SMTPUTF8"]),
          mixed(d),
          MAIL,
          rcpt("a"),
          "C: RSET",
          `${MAIL} SMTPUTF8`,
          "C: RCPT TO:<ü@example.net>",
        ],
        ...["S: 450 no", "S: 503 no", "S: 250 rset", "S: 250 ok", "S: 250 ok", check((s) => s.needsReset)],
      ],
      ["ready", told("a", "REPLY_TRANSIENT"), "rcpt ü@example.net: found"],
      isIdle,
    );
  });

  it("for an address that is not ASCII need SMTPUTF8", () => {
    checkDialogue(
      {},
      (d) => [...greeted(), d.rcpt("ü@example.net"), () => {}],
      ["ready", "rcpt ü@example.net: MISSING_EXTENSION"],
      (d) => {
        isIdle(d);
        assert.equal(d.requests, 0);
      },
    );
  });

  it("tell a host without SMTPUTF8 the ASCII form of a domain, in the transaction at hand", () => {
    checkDialogue(
      {},
      (d) => [
        ...[...greeted(), d.rcpt("a@example.net"), MAIL, "C: RCPT TO:<a@example.net>", d.rcpt("b@bücher.example")],
        ...["C: RCPT TO:<b@xn--bcher-kva.example>", "S: 250 ok", "S: 250 ok", "S: 550 5.1.1 no"],
      ],
      ["ready", "rcpt a@example.net: found", "rcpt b@bücher.example: not found"],
      isIdle,
    );
  });

  it("left unanswered by a host that drops commands are remembered", () => {
    checkDialogue({}, (d) => [...greeted(), ask(d, "a"), MAIL, rcpt("a"), "S: 250 ok", "TIMEOUT", "DESTROY"], [
      "ready",
      "notice pipelining-off",
      told("a", "COMMAND_TIMEOUT"),
      "ended COMMAND_TIMEOUT",
    ]);
  });
});
