/** VRFY and EXPN, with each cell of "Meaning of replies" (docs/replies.md). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDialogue, checkWhole, greeted, type SmtpDialogue } from "../../../kit/smtp-dialogue.js";
import { ask, check, isIdle, MAIL, rcpt, told } from "../../../kit/smtp-questions.js";

describe("VRFY and EXPN", () => {
  const cells: [reply: string, vrfy: string, expn: string][] = [
    ["250 2.1.5 Jo <jo@example.net>", "found [jo@example.net]", "found [jo@example.net]"],
    ["251 forwards to <jo@example.com>", "found [jo@example.com]", "REMOTE_PROTOCOL"],
    ["252 2.0.0 cannot say", "REPLY_PERMANENT", "REPLY_PERMANENT"],
    ["550 5.1.1 who?", "not found", "not found"],
    ["551 moved", "not found", "not found"],
    ["553 ambiguous", "not found", "not found"],
    ["500 what?", "NOT_SUPPORTED", "NOT_SUPPORTED"],
    ["502 disabled", "NOT_SUPPORTED", "NOT_SUPPORTED"],
    ["504 no", "REPLY_PERMANENT", "REPLY_PERMANENT"],
    ["450 later", "REPLY_TRANSIENT", "REPLY_TRANSIENT"],
    ["354 what", "REMOTE_PROTOCOL", "REMOTE_PROTOCOL"],
  ];
  for (const [reply, vrfy, expn] of cells) {
    it(`answered with ${reply}: ${vrfy}`, () => {
      const isError = reply.startsWith("4") || reply.startsWith("5");
      const check = (d: SmtpDialogue) => {
        isIdle(d);
        assert.deepEqual([d.requests, d.errors], [1, isError ? 1 : 0]);
      };
      checkDialogue(
        {},
        (d) => [...greeted(), d.vrfy("jo"), "C: VRFY jo", `S: ${reply}`],
        ["ready", `vrfy jo: ${vrfy}`],
        check,
      );
      checkDialogue(
        {},
        (d) => [...greeted(), d.expn("staff"), "C: EXPN staff", `S: ${reply}`],
        ["ready", `expn staff: ${expn}`],
        check,
      );
    });
  }

  it("name every mailbox", () => {
    checkDialogue(
      {},
      (d) => [
        ...greeted(),
        d.expn("staff"),
        "C: EXPN staff",
        "S: 250-2.1.5 Jo <jo@example.net>",
        "S: 250-2.1.5 al@example.net",
        "S: 250 2.1.5 <x@y>",
      ],
      ["ready", "expn staff: found [jo@example.net al@example.net x@y]"],
    );
  });

  it("take a list of 10,000 members, and not one of a million; other replies are shorter", () => {
    const members = (count: number) =>
      Array.from({ length: count }, (_, at) => `S: 250${at === count - 1 ? " " : "-"}<m${at}@example.net>`);
    const expn = (d: SmtpDialogue, count: number) => [...greeted(), d.expn("all"), "C: EXPN all", ...members(count)];
    const all = Array.from({ length: 10_000 }, (_, at) => `m${at}@example.net`).join(" ");
    checkWhole({}, (d) => expn(d, 10_000), ["ready", `expn all: found [${all}]`]);
    checkWhole({}, (d) => [...expn(d, 10_001), "DESTROY"], [
      "ready",
      "expn all: REMOTE_PROTOCOL",
      "ended REMOTE_PROTOCOL",
    ]);
    checkWhole({}, (d) => [...greeted(), d.vrfy("all"), "C: VRFY all", ...members(1_001), "DESTROY"], [
      "ready",
      "vrfy all: REMOTE_PROTOCOL",
      "ended REMOTE_PROTOCOL",
    ]);
  });

  it("end a group: nothing else goes out until they are answered", () => {
    checkDialogue(
      {},
      (d) => [
        ...[
          ...greeted(),
          d.vrfy("jo"),
          "C: VRFY jo",
          check((s) => !s.hasRoomFor("rcpt", "") && !s.hasRoomFor("relay", "") && !s.hasRoomFor("vrfy", "")),
        ],
        ...["S: 250 <jo@x>", check((s) => s.hasRoomFor("relay", ""))],
      ],
      ["ready", "vrfy jo: found [jo@x]"],
    );
  });

  it("leave an open transaction of probes as it is", () => {
    checkDialogue(
      {},
      (d) => [
        ...greeted(),
        ask(d, "a"),
        MAIL,
        rcpt("a"),
        "S: 250 ok",
        "S: 250 ok",
        d.vrfy("jo"),
        "C: VRFY jo",
        "S: 550 no",
        ask(d, "b"),
        rcpt("b"),
        "S: 250 ok",
      ],
      ["ready", told("a", "found"), "vrfy jo: not found", told("b", "found")],
    );
  });

  it("tell a host without SMTPUTF8 the ASCII form of a domain", () => {
    checkDialogue(
      {},
      (d) => [...greeted(), d.vrfy("j@bücher.example"), "C: VRFY j@xn--bcher-kva.example", "S: 550 no"],
      ["ready", "vrfy j@bücher.example: not found"],
    );
  });

  it("carry SMTPUTF8 where the address needs it and the host offers it", () => {
    checkDialogue({}, (d) => [...greeted(["SMTPUTF8"]), d.vrfy("jö"), "C: VRFY jö SMTPUTF8", "S: 252 x"], [
      "ready",
      "vrfy jö: REPLY_PERMANENT",
    ]);
  });

  it("lost are tried again only where the connection had served before", () => {
    checkDialogue({}, (d) => [...greeted(), d.vrfy("jo"), "C: VRFY jo", "EOF"], [
      "ready",
      "vrfy jo: REMOTE_CLOSED",
      "ended REMOTE_CLOSED",
    ]);
    checkDialogue(
      {},
      (d) => [
        ...greeted(),
        d.vrfy("al"),
        "C: VRFY al",
        "S: 550 no",
        d.vrfy("jo"),
        "C: VRFY jo",
        "S: 421 idle",
        "DESTROY",
      ],
      ["ready", "vrfy al: not found", "vrfy jo: HOST_UNAVAILABLE (retry)", "ended HOST_UNAVAILABLE"],
    );
  });
});
