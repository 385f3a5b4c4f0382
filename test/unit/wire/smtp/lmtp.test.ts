/** One message on LMTP: one reply for each accepted recipient (RFC 2033 4.2). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDialogue, greeted, type SmtpDialogue, smtpSettings } from "../../../kit/smtp-dialogue.js";
import { body, envelope, settledTwice, two } from "../../../kit/smtp-openings.js";

const LMTP = { settings: smtpSettings({ protocol: "lmtp" }) };

describe("LMTP", () => {
  const hello = greeted(["PIPELINING"], "LHLO");
  const upToDot = (d: SmtpDialogue) => [
    ...hello,
    d.relay("a", two).start,
    ...envelope("a", "u", "v"),
    "S: 250 ok",
    "S: 250 ok",
    "S: 250 ok",
    "S: 354 go",
    ...body,
  ];

  it("has one reply for each accepted recipient", () => {
    checkDialogue(
      LMTP,
      (d) => [...upToDot(d), "S: 250 2.0.0 u", "S: 452 4.2.2 v full"],
      ["ready", "a: delivered 250, deferred 452"],
      settledTwice,
    );
    checkDialogue(
      LMTP,
      (d) => [
        ...hello,
        d.relay("a", { recipients: ["u@example.net", "v@example.net", "u@example.net"] }).start,
        ...envelope("a", "u", "v", "u"),
        ...["250 ok", "250 ok", "550 no", "250 ok", "354 go"].map((line) => `S: ${line}`),
        ...body,
        "S: 250 one",
        "S: 550 two",
      ],
      ["ready", "a: delivered 250, refused 550, refused 550"],
    );
  });

  it("tells what is known when replies are missing, and no more when there are too many", () => {
    checkDialogue(LMTP, (d) => [...upToDot(d), "S: 250 u", "TIMEOUT", "DESTROY"], [
      "ready",
      "a: delivered 250, uncertain",
      "ended COMMAND_TIMEOUT",
    ]);
    checkDialogue(LMTP, (d) => [...upToDot(d), "S: 250 u", "EOF"], [
      "ready",
      "a: delivered 250, uncertain",
      "ended REMOTE_CLOSED",
    ]);
    checkDialogue(LMTP, (d) => [...upToDot(d), "S: 452 u", "S: 250 v", "S: 250 w", "DESTROY"], [
      "ready",
      "a: deferred 452, delivered 250",
      "ended REMOTE_PROTOCOL",
    ]);
    checkDialogue(LMTP, (d) => [...upToDot(d), "S: 421 bye", "DESTROY"], [
      "ready",
      "a: deferred 421, uncertain",
      "ended HOST_UNAVAILABLE",
    ]);
  });

  it("with 354 though all were refused is left behind: nobody knows how many replies follow", () => {
    checkDialogue(
      LMTP,
      (d) => [...hello, d.relay("a").start, ...envelope("a"), "S: 250 ok", "S: 550 no", "S: 354 go", "C: .", () => {}],
      ["ready", "a: refused 550"],
      ({ session, isRetired }) => assert.ok(session.isIdle && isRetired),
    );
  });
});
