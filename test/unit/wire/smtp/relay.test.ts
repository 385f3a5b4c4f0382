/** One message on SMTP: grouped and one by one, and refused at every step. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDialogue, checkWhole, type SmtpDialogue, smtpSettings } from "../../../kit/smtp-dialogue.js";
import { body, envelope, grouped, settledTwice, single, two } from "../../../kit/smtp-openings.js";

describe("a message", () => {
  it("goes out in one group where the host pipelines", () => {
    checkDialogue(
      {},
      (d) => [
        ...grouped,
        d.relay("a", two).start,
        ...envelope("a", "u", "v"),
        "S: 250 ok",
        "S: 250 ok",
        "S: 251 fwd",
        "S: 354 go",
        ...body,
        "S: 250 2.0.0 queued",
      ],
      ["ready", "a: delivered 250, delivered 250; 250 queued"],
      settledTwice,
    );
  });

  it("goes out one by one where it does not", () => {
    const steps = (d: SmtpDialogue, hello: string[]) => [
      ...hello,
      d.relay("a", two).start,
      "C: MAIL FROM:<a@example.org>",
      "S: 250 ok",
      "C: RCPT TO:<u@example.net>",
      "S: 550 5.1.1 who?",
      "C: RCPT TO:<v@example.net>",
      "S: 250 ok",
      "C: DATA",
      "S: 354 go",
      ...body,
      "S: 250 queued",
    ];
    const events = ["ready", "a: refused 550, delivered 250; 250 queued"];
    checkDialogue({}, (d) => steps(d, single), events, settledTwice);
    checkDialogue({ settings: smtpSettings({ limits: { pipeline: 1 } }) }, (d) => steps(d, grouped), events);
    checkDialogue({ peer: { dropsCommands: true } }, (d) => steps(d, grouped), events);
  });

  it("never has more commands in flight than limits.pipeline", () => {
    checkDialogue(
      { settings: smtpSettings({ limits: { pipeline: 2 } }) },
      (d) => [
        ...grouped,
        d.relay("a", { recipients: ["u@example.net", "v@example.net", "w@example.net"] }).start,
        "C: MAIL FROM:<a@example.org>",
        "C: RCPT TO:<u@example.net>",
        "S: 250 ok",
        "C: RCPT TO:<v@example.net>",
        "S: 250 ok",
        "C: RCPT TO:<w@example.net>",
        "S: 250 ok",
        "C: DATA",
        "S: 250 ok",
        "S: 354 go",
        ...body,
        "S: 250 queued",
      ],
      ["ready", "a: delivered 250, delivered 250, delivered 250; 250 queued"],
    );
  });

  it("has one result for each recipient, duplicates too", () => {
    const replies = ["S: 250 ok", "S: 250 ok", "S: 452 full", "S: 250 ok", "S: 354 go"];
    checkDialogue(
      {},
      (d) => [
        ...grouped,
        d.relay("a", { recipients: ["u@example.net", "u@example.net", "u@example.net"] }).start,
        ...envelope("a", "u", "u", "u"),
        ...replies,
        ...body,
        "S: 250 x",
      ],
      ["ready", "a: delivered 250, deferred 452, delivered 250; 250 x"],
    );
  });

  it("takes 552 behind accepted recipients for too many of them, unless it speaks of the mailbox", () => {
    const cells: [replies: string[], outcome: string, ...notices: string[]][] = [
      [["250 ok", "552 too many"], "delivered 250, deferred 552", "notice recipients-limited"],
      [["250 ok", "552 5.5.3 too many"], "delivered 250, deferred 552", "notice recipients-limited"],
      [["250 ok", "552 5.2.2 full"], "delivered 250, refused 552"],
      [["552 too many", "250 ok"], "refused 552, delivered 250"],
    ];
    for (const [replies, outcome, ...notices] of cells) {
      checkDialogue(
        {},
        (d) => [
          ...grouped,
          d.relay("a", { recipients: ["u@example.net", "v@example.net"] }).start,
          ...envelope("a", "u", "v"),
          "S: 250 ok",
          ...replies.map((reply) => `S: ${reply}`),
          "S: 354 go",
          ...body,
          "S: 250 x",
        ],
        ["ready", ...notices, `a: ${outcome}; 250 x`],
      );
    }
  });

  it("is deferred for whom the host refuses since too many before were unknown, and no limit is learned of that", () => {
    const tired = "550 Rejected for too many bad recipients";
    const cells: [replies: string[], outcome: string][] = [
      [["550 no", "250 ok", tired], "refused 550, delivered 250, deferred 550; 250 x"],
      [["250 ok", tired, "550 5.1.1 who?"], "delivered 250, deferred 550, refused 550; 250 x"],
      [[tired, "250 ok", "452 4.5.3 full"], "deferred 550, delivered 250, deferred 452; 250 x"],
      [["250 ok", "550 5.7.1 too many bad recipients", tired], "delivered 250, refused 550, deferred 550; 250 x"],
      [["550 no", tired, tired], "refused 550, deferred 550, deferred 550"],
    ];
    for (const [replies, outcome] of cells) {
      const isForSomebody = outcome.includes("delivered");
      checkDialogue(
        {},
        (d) => [
          ...grouped,
          d.relay("a", { recipients: ["u@example.net", "v@example.net", "w@example.net"] }).start,
          ...envelope("a", "u", "v", "w"),
          "S: 250 ok",
          ...replies.map((reply) => `S: ${reply}`),
          ...(isForSomebody ? ["S: 354 go", ...body, "S: 250 x"] : ["S: 554 nobody"]),
        ],
        ["ready", ...(outcome.includes("452") ? ["notice recipients-limited"] : []), `a: ${outcome}`],
      );
    }
  });

  it("to a thousand recipients fills the window again and again", () => {
    const recipients = Array.from({ length: 1000 }, (_, at) => `r${at}@example.net`);
    const d = checkWhole(
      { settings: smtpSettings({ limits: { pipeline: 1000 } }) },
      (d) => [
        ...grouped,
        d.relay("a", { recipients }).start,
        "C: MAIL FROM:<a@example.org>",
        ...recipients.slice(0, 999).map((r) => `C: RCPT TO:<${r}>`),
        ...Array.from({ length: 1000 }, () => "S: 250 ok"),
        `C: RCPT TO:<${recipients[999]}>`,
        "C: DATA",
        "S: 250 ok",
        "S: 354 go",
        ...body,
        "S: 450 later",
      ],
      ["ready", `a: ${recipients.map(() => "deferred 450").join(", ")}; 450 later`],
    );
    assert.equal(d.errors, 0);
  });

  it("is stuffed, and ends with CRLF, whatever it was", () => {
    const relay = (d: SmtpDialogue) => d.relay("a", { content: ".\n..x\r\n\r.y" });
    checkDialogue(
      {},
      (d) => [
        ...grouped,
        relay(d).start,
        ...envelope("a"),
        "S: 250 a",
        "S: 250 b",
        "S: 354 c",
        "C: ..",
        "C: ...x",
        "C: ",
        "C: ..y",
        "C: .",
        "S: 250 d",
      ],
      ["ready", "a: delivered 250; 250 d"],
    );
  });

  it("that is empty is just the dot", () => {
    checkDialogue(
      {},
      (d) => [
        ...grouped,
        d.relay("a", { content: "" }).start,
        ...envelope("a"),
        "S: 250 a",
        "S: 250 b",
        "S: 354 c",
        "C: .",
        "S: 250 d",
      ],
      ["ready", "a: delivered 250; 250 d"],
    );
  });
});

describe("a refusal", () => {
  const verdict = (
    name: string,
    replies: string[],
    expected: string,
    after: (d: SmtpDialogue) => (string | (() => void))[] = () => [],
  ) =>
    it(name, () =>
      checkDialogue(
        {},
        (d) => [...grouped, d.relay("a", two).start, ...envelope("a", "u", "v"), ...replies, ...after(d)],
        ["ready", expected],
        settledTwice,
      ),
    );

  verdict(
    "of MAIL is everybody's",
    ["S: 550 5.7.1 no", "S: 503 mail?", "S: 503 mail?", "S: 503 rcpt?"],
    "a: refused 550, refused 550; 550 no",
  );
  verdict(
    "of MAIL for now is everybody's",
    ["S: 451 later", "S: 503 x", "S: 503 x", "S: 503 x"],
    "a: deferred 451, deferred 451; 451 later",
  );
  verdict(
    "of every recipient needs no content",
    ["S: 250 ok", "S: 550 a", "S: 450 b", "S: 554 none"],
    "a: refused 550, deferred 450",
  );
  verdict(
    "of DATA is that of all who were accepted",
    ["S: 250 ok", "S: 550 a", "S: 250 ok", "S: 452 full"],
    "a: refused 550, deferred 452; 452 full",
  );
  verdict(
    "of the message is that of all who were accepted",
    ["S: 250 ok", "S: 550 a", "S: 250 ok", "S: 354 go"],
    "a: refused 550, refused 554; 554 spam",
    () => [...body, "S: 554 spam"],
  );
  verdict(
    "of every recipient, with 354 all the same, gets a lone dot",
    ["S: 250 ok", "S: 550 a", "S: 550 b", "S: 354 go"],
    "a: refused 550, refused 550",
    () => ["C: .", "S: 250 fine"],
  );
  verdict(
    "of MAIL, with 354 all the same, gets a lone dot",
    ["S: 550 no", "S: 250 ok", "S: 250 ok", "S: 354 go"],
    "a: refused 550, refused 550; 550 no",
    () => ["C: .", "S: 554 no"],
  );

  it("on a host that is asked one by one stops at once", () => {
    checkDialogue({}, (d) => [...single, d.relay("a", two).start, "C: MAIL FROM:<a@example.org>", "S: 550 no"], [
      "ready",
      "a: refused 550, refused 550; 550 no",
    ]);
    checkDialogue(
      {},
      (d) => [
        ...single,
        d.relay("a").start,
        "C: MAIL FROM:<a@example.org>",
        "S: 250 ok",
        "C: RCPT TO:<u@example.net>",
        "S: 550 no",
      ],
      ["ready", "a: refused 550"],
    );
  });

  it("by 421 is the verdict of whom it concerns, and the end of the connection", () => {
    const ended = "ended HOST_UNAVAILABLE";
    checkDialogue({}, (d) => [...grouped, d.relay("a").start, ...envelope("a"), "S: 421 bye", "DESTROY"], [
      "ready",
      "a: deferred 421; 421 bye",
      ended,
    ]);
    checkDialogue(
      {},
      (d) => [...grouped, d.relay("a").start, ...envelope("a"), "S: 250 a", "S: 250 b", "S: 421 bye", "DESTROY"],
      ["ready", "a: deferred 421; 421 bye", ended],
    );
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
        "S: 421 bye",
        "DESTROY",
      ],
      ["ready", "a: deferred 421; 421 bye", ended],
    );
    checkDialogue(
      {},
      (d) => [...grouped, d.relay("a", two).start, ...envelope("a", "u", "v"), "S: 250 a", "S: 421 bye", "DESTROY"],
      ["ready", "a: HOST_UNAVAILABLE", ended],
    );
  });

  it("leaves a transaction that RSET ends before the next one", () => {
    const refused = ["S: 250 ok", "S: 550 a", "S: 554 none"];
    checkDialogue(
      {},
      (d) => [
        ...grouped,
        d.relay("a").start,
        ...envelope("a"),
        ...refused,
        d.relay("b").start,
        "C: RSET",
        ...envelope("b"),
        "S: 250 ok",
        ...refused,
      ],
      ["ready", "a: refused 550", "b: refused 550"],
    );
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
        "S: 554 no",
        d.relay("b").start,
        ...envelope("b"),
        "S: 550 no",
        "S: 503 x",
        "S: 503 x",
      ],
      ["ready", "a: refused 554; 554 no", "b: refused 550; 550 no"],
    );
  });
});
