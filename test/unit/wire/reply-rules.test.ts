/** What a site says of its host's replies: the first rule that fits is taken, and it goes before the sessions' own judgement. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ReplyRule } from "../../../src/config/settings.js";
import { ReplyRules } from "../../../workers/wire/reply-rules.js";
import { imapScript, imapSettings } from "../../kit/imap-dialogue.js";
import { checkDialogue, greeted, smtpSettings } from "../../kit/smtp-dialogue.js";
import { replay } from "../../kit/transcript.js";

describe("rules on replies", () => {
  it("fit by command, code, enhanced code and text; the first that does is taken", () => {
    const rules = new ReplyRules([
      { to: "rcpt", code: 550, enhanced: "5.7.1", text: "(?i)no such", meaning: "not-found" },
      { to: "rcpt", code: 550, meaning: "no-answer" },
      { to: "rcpt", text: "^2 of", meaning: "found" },
    ]);
    const meaning = (to: ReplyRule["to"], code: number, enhanced: string, text: string) =>
      rules.meaning(to, { code, enhanced, text });
    assert.equal(meaning("rcpt", 550, "5.7.1", "Sorry, No Such user"), "not-found");
    assert.equal(meaning("rcpt", 550, "5.7.1", "go away"), "no-answer");
    assert.equal(meaning("rcpt", 550, "5.1.1", "no such"), "no-answer");
    assert.equal(meaning("rcpt", 553, "5.7.1", "no such"), undefined);
    assert.equal(meaning("vrfy", 550, "5.7.1", "no such"), undefined);
    assert.equal(meaning("rcpt", 250, "2.0.0", "2 of 3"), "found");
  });

  it("take linear time, whatever the peer says", () => {
    const rules = new ReplyRules([{ to: "rcpt", text: "^(a+)+$", meaning: "found" }]);
    assert.equal(rules.meaning("rcpt", { code: 550, text: `${"a".repeat(4_000)}!` }), undefined);
  });

  const cells: [rule: ReplyRule, reply: string, outcome: string][] = [
    [{ to: "rcpt", code: 553, enhanced: "5.7.1", meaning: "not-found" }, "553 5.7.1 not here", "not found"],
    [{ to: "rcpt", text: "relay not permitted", meaning: "not-found" }, "550 relay not permitted", "not found"],
    [{ to: "rcpt", code: 550, meaning: "no-answer" }, "550 5.1.1 who?", "REPLY_PERMANENT"],
    [{ to: "rcpt", code: 252, meaning: "no-answer" }, "252 cannot say", "REPLY_PERMANENT"],
    [{ to: "rcpt", code: 450, text: "quota", meaning: "found" }, "450 quota", "found"],
    [{ to: "vrfy", code: 550, meaning: "not-found" }, "550 5.7.1 not you", "not found (of us)"],
  ];
  for (const [rule, reply, outcome] of cells) {
    it(`make of ${reply}: ${outcome}`, () => {
      checkDialogue(
        { settings: smtpSettings({ replies: [rule] }) },
        (d) => [
          ...[...greeted(), d.rcpt("a@example.net"), "C: MAIL FROM:<>", "C: RCPT TO:<a@example.net>"],
          ...["S: 250 ok", `S: ${reply}`],
        ],
        ["ready", `rcpt a@example.net: ${outcome}`],
      );
    });
  }

  it("serve VRFY and EXPN, where 252 may mean what it says", () => {
    const replies: ReplyRule[] = [{ to: "vrfy", code: 252, meaning: "found" }];
    checkDialogue(
      { settings: smtpSettings({ replies }) },
      (d) => [...greeted(), d.vrfy("ann"), "C: VRFY ann", "S: 252 <ann@example.net>"],
      ["ready", "vrfy ann: found [ann@example.net]"],
    );
  });

  it("serve logins over SMTP and IMAP", () => {
    const replies: ReplyRule[] = [
      { to: "auth", code: 535, text: "disabled", meaning: "no-answer" },
      { to: "auth", enhanced: "CONTACTADMIN", meaning: "not-found" },
    ];
    checkDialogue(
      { purpose: "login", isSecure: true, settings: smtpSettings({ replies }) },
      (d) => [
        ...greeted(["AUTH PLAIN"]),
        d.login("u", "p4ssw0rd"),
        "C: AUTH PLAIN AHUAcDRzc3cwcmQ=",
        "S: 535 5.7.139 disabled",
      ],
      ["ready", "login: REPLY_PERMANENT"],
    );
    const script = imapScript(
      ["S: * OK [CAPABILITY AUTH=PLAIN SASL-IR] hi", "C: $a AUTHENTICATE PLAIN $ir", "S: $a NO [CONTACTADMIN] locked"],
      {
        isSecure: true,
        settings: imapSettings("disable", { replies }),
        logins: [{ username: "u", secret: "p4ssw0rd", isToken: false }],
      },
    );
    replay(script);
    assert.deepEqual(script.owner.events, ["ready", "not found, on", "ready"]);
  });
});
