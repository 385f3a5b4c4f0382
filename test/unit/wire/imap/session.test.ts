/** Logins on an IMAP connection: what each reply means, what follows it, and how the connection ends. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ImapSession } from "../../../../workers/wire/imap/session.js";
import { imapScript } from "../../../kit/imap-dialogue.js";
import { answers, HELLO, PLAIN, plays, tim } from "../../../kit/imap-logins.js";
import { replay } from "../../../kit/transcript.js";

const SASL_IR_OFF =
  "notice sasl-ir-off: The server advertises SASL-IR and answered BAD to an initial response; it is spoken to without one from now on.";

describe("what a reply to a login means", () => {
  const leave = ["C: $z LOGOUT", "S: * BYE bye", "S: $z OK done", "END"];

  it("OK: found, and the connection is used up", () => {
    const owner = answers(
      ["S: $a OK [CAPABILITY IMAP4rev1 IDLE] Logged in", ...leave],
      ["found, over", "ended REMOTE_CLOSED"],
    );
    assert.deepEqual(owner.results, [{ found: true, values: [], reply: { code: 200, text: "Logged in" } }]);
  });

  it("NO without a code, or with one that speaks of the credentials: not found, and the connection goes on", () => {
    for (const code of ["", "[AUTHENTICATIONFAILED] ", "[authorizationfailed] ", "[EXPIRED] "]) {
      const owner = answers([`S: $a NO ${code}Sorry`], ["not found, on", "ready"]);
      const enhanced = code === "" ? {} : { enhanced: code.slice(1, -2).toUpperCase() };
      assert.deepEqual(owner.results, [{ found: false, values: [], reply: { code: 500, text: "Sorry", ...enhanced } }]);
    }
  });

  it("NO with another code: no verdict", () => {
    for (const code of ["UNAVAILABLE", "LIMIT", "INUSE", "SERVERBUG"]) {
      const owner = answers([`S: $a NO [${code}] Later`], ["REPLY_TRANSIENT, on", "ready"]);
      const result = owner.results[0];
      assert.deepEqual(result !== undefined && "reply" in result && result.reply, {
        code: 400,
        enhanced: code,
        text: "Later",
      });
    }
    for (const code of ["CONTACTADMIN", "PRIVACYREQUIRED", "ALREADYEXISTS", "X-WHATEVER", "REFERRAL imap://u@h/"]) {
      answers([`S: $a NO [${code}] Hm`], ["REPLY_PERMANENT, on", "ready"]);
    }
  });

  it("BAD and BYE: no verdict", () => {
    const owner = answers(["S: $a BAD What"], [SASL_IR_OFF, "REPLY_TRANSIENT, on", "ready"]);
    const result = owner.results[0];
    assert.deepEqual(result !== undefined && "reply" in result && result.reply, { code: 501, text: "What" });
    answers(["S: * BYE shutting down", "S: $a NO no", "DESTROY"], ["REMOTE_CLOSED, over", "ended REMOTE_CLOSED"]);
  });

  it("no reply: no verdict", () => {
    answers(["S| $a O", "TIMEOUT", "DESTROY"], ["COMMAND_TIMEOUT, over", "ended COMMAND_TIMEOUT"]);
    answers(["S| $a NO no", "EOF"], ["REMOTE_CLOSED, over", "ended REMOTE_CLOSED"]);
  });

  it("an alert is reported and not followed; other untagged responses are passed over", () => {
    answers(
      [
        "S: * OK [ALERT] Visit http://example.org",
        "S: * 3 EXISTS",
        "S: * LIST () {3}",
        "S: a)b",
        "S: $a NO [ALERT] Password too old",
      ],
      ["notice alert: Visit http://example.org", "notice alert: Password too old", "REPLY_PERMANENT, on", "ready"],
    );
  });

  it("a flood of alerts is cut short", () => {
    const script = imapScript([HELLO, ...new Array(500).fill("S: * OK [ALERT] again")], { isSecure: true });
    replay(script);
    assert.equal(script.owner.events.filter((event) => event.startsWith("notice")).length, 10);
  });

  it("what repeats the credentials is withheld", () => {
    for (const echo of ["TANSTAAFTANSTAAF", PLAIN, "dGFuc3RhYWZ0YW5zdGFhZg==", "74616e737461616674616e7374616166"]) {
      const owner = answers(
        [`S: * OK [ALERT] ${echo}`, `S: $a BAD what is ${echo}?`],
        ["notice alert: (withheld: the reply repeats the credentials)", SASL_IR_OFF, "REPLY_TRANSIENT, on", "ready"],
      );
      assert.ok(!JSON.stringify(owner.results).includes(echo));
      const withheld = "notice alert: (withheld: the reply repeats the credentials)";
      answers(["S: $a NO no", `S: * OK [ALERT] ${echo}`], ["not found, on", "ready", withheld]);
      answers(["S: $a OK in", "C: $b LOGOUT", `S: * BYE [ALERT] ${echo}`], ["found, over", withheld]);
    }
  });
});

describe("several logins on one connection", () => {
  it("follow each other after refusals, each under its own tag", () => {
    const command = `AUTHENTICATE PLAIN ${PLAIN}`;
    const tags = new Set<string>();
    const remember = (session: ImapSession) => tags.add(String(session.hasWrittenCredentials));
    plays(
      [HELLO, `C: $a ${command}`, "S: $a NO no", `C: $b ${command}`, remember, "S: $b NO no"],
      { isSecure: true, logins: [tim, tim] },
      ["ready", "not found, on", "ready", "not found, on", "ready"],
    );
    const script = imapScript([HELLO, `C: $a ${command}`, "S: $a NO no", `C: $a ${command}`], {
      isSecure: true,
      logins: [tim, tim],
    });
    assert.throws(() => replay(script), /instead of/, "a tag must not come twice");
  });

  it("follow a success where UNAUTHENTICATE is offered, after asking anew what is offered", () => {
    const command = `AUTHENTICATE PLAIN ${PLAIN}`;
    const begin = ["S: * OK [CAPABILITY SASL-IR AUTH=PLAIN] hi", `C: $a ${command}`];
    plays(
      [
        ...begin,
        "S: * CAPABILITY IMAP4rev1 UNAUTHENTICATE",
        "S: $a OK in",
        "C: $b UNAUTHENTICATE",
        "S: $b OK out",
        "C: $c CAPABILITY",
        "S: * CAPABILITY SASL-IR AUTH=PLAIN",
        "S: $c OK done",
        `C: $d ${command}`,
        "S: $d NO no",
      ],
      { isSecure: true, logins: [tim, tim] },
      ["ready", "found, on", "ready", "not found, on", "ready"],
    );
    plays(
      [
        ...begin,
        "S: $a OK [CAPABILITY UNAUTHENTICATE] in",
        "C: $b UNAUTHENTICATE",
        "S: $b OK [CAPABILITY AUTH=PLAIN] out",
      ],
      { isSecure: true, logins: [tim] },
      ["ready", "found, on", "ready"],
    );
  });

  it("do not follow where UNAUTHENTICATE is refused", () => {
    plays(
      [
        "S: * OK [CAPABILITY SASL-IR AUTH=PLAIN UNAUTHENTICATE] hi",
        `C: $a AUTHENTICATE PLAIN ${PLAIN}`,
        "S: $a OK in",
        "C: $b UNAUTHENTICATE",
        "S: $b BAD no",
        "C: $c LOGOUT",
        "S: $c OK bye",
        "END",
      ],
      { isSecure: true, logins: [tim] },
      ["ready", "found, on", "ended REMOTE_CLOSED"],
    );
  });

  it("that the server cannot serve at all are answered without deepening the stack", () => {
    const token = { ...tim, isToken: true };
    const script = imapScript([HELLO], { isSecure: true, logins: new Array(20_000).fill(token) });
    replay(script);
    assert.equal(script.owner.results.length, 20_000);
    assert.equal(script.owner.events.at(-1), "ready");
    assert.ok(script.owner.results.every((result) => "code" in result && result.code === "MISSING_AUTH"));
  });

  it("may not overlap", () => {
    const script = imapScript([HELLO, `C: $a AUTHENTICATE PLAIN ${PLAIN}`, (session) => session.login(tim)], {
      isSecure: true,
      logins: [tim],
    });
    assert.throws(() => replay(script), /no login may be given/);
  });
});

describe("the end of an IMAP connection", () => {
  const quit = (session: ImapSession) => session.quit(false);

  it("is said with LOGOUT where nothing is in flight, and does not wait long for the answer", () => {
    const { wire } = replay(imapScript([HELLO, quit, "C: $a LOGOUT"], { isSecure: true }));
    assert.equal(wire.awaitedMs, 2000);
    plays([HELLO, quit, "C: $a LOGOUT", "TIMEOUT", "DESTROY"], { isSecure: true }, ["ready", "ended REMOTE_CLOSED"]);
    plays([HELLO, quit, "C: $a LOGOUT", "S: * BYE x", "S: $a OK x", "END"], { isSecure: true }, [
      "ready",
      "ended REMOTE_CLOSED",
    ]);
    plays([HELLO, quit, "C: $a LOGOUT", quit, "EOF", quit], { isSecure: true }, ["ready", "ended REMOTE_CLOSED"]);
  });

  it("does not wait for the answer where somebody needs the slot", () => {
    const over = ["ready", "ended REMOTE_CLOSED"];
    plays([HELLO, (session) => session.quit(true), "C: $a LOGOUT", "END"], { isSecure: true }, over);
    plays([HELLO, quit, "C: $a LOGOUT", (session) => session.hurry(), "END"], { isSecure: true }, over);
  });

  it("comes at once in the middle of something, and the login in flight is answered", () => {
    plays(["S| * O", quit, "DESTROY"], {}, ["ended REMOTE_CLOSED"]);
    answers([], []);
    const steps = [HELLO, `C: $a AUTHENTICATE PLAIN ${PLAIN}`, quit, "DESTROY"];
    plays(steps, { isSecure: true, logins: [tim] }, ["ready", "REMOTE_CLOSED, over", "ended REMOTE_CLOSED"]);
  });

  it("may come from the server while nothing is in flight", () => {
    plays([HELLO, "S: * OK still here", "S: * BYE idle for too long", "DESTROY"], { isSecure: true }, [
      "ready",
      "ended REMOTE_CLOSED",
    ]);
  });
});

describe("an IMAP server that breaks the protocol", () => {
  it("loses its connection, and the login in flight has no verdict", () => {
    const bad = [
      "x9 OK unknown tag",
      "r000000000000 OK guessed tag",
      "* PREAUTH again",
      "$a HELLO",
      "$a BYE",
      "$a OK [X",
    ];
    for (const line of bad) {
      answers([`S: ${line}`, "DESTROY"], ["REMOTE_PROTOCOL, over", "ended REMOTE_PROTOCOL"]);
    }
  });

  it("loses its connection for a second completion, and for one to nothing", () => {
    answers(["S: $a NO no", "S: $a OK yes", "DESTROY"], ["not found, on", "ready", "ended REMOTE_PROTOCOL"]);
    for (const line of ["x OK hi", "+ ", "+ YQ=="]) {
      plays([HELLO, `S: ${line}`, "DESTROY"], { isSecure: true }, ["ready", "ended REMOTE_PROTOCOL"]);
    }
  });

  it("cannot make the session store or compute much", () => {
    const floods = ["* LIST {9999999999}", `* LIST ${"(".repeat(100_000)}`, `* OK ${"x".repeat(5000)}`];
    for (const flood of floods) {
      const script = imapScript([HELLO, `C: $a AUTHENTICATE PLAIN ${PLAIN}`, `S: ${flood}`, "DESTROY"], {
        isSecure: true,
        logins: [tim],
      });
      replay(script);
      assert.equal(script.owner.events.at(-1), "ended REMOTE_PROTOCOL");
    }
    const row = new Array(600).fill("S: * 1 EXISTS");
    const perCommand = imapScript(
      [
        HELLO,
        `C: $a AUTHENTICATE PLAIN ${PLAIN}`,
        ...row,
        "S: $a NO x",
        `C: $b AUTHENTICATE PLAIN ${PLAIN}`,
        ...row,
        "S: $b NO x",
      ],
      { isSecure: true, logins: [tim, tim] },
    );
    replay(perCommand);
    assert.equal(perCommand.owner.events.at(-1), "ready");
    const endless = imapScript([HELLO, ...new Array(1001).fill("S: * 1 EXISTS"), "DESTROY"], { isSecure: true });
    replay(endless);
    assert.deepEqual(endless.owner.events, ["ready", "ended REMOTE_PROTOCOL"]);
  });
});
