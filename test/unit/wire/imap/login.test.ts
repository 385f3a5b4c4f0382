/** How a login is written on an IMAP connection: SASL with and without SASL-IR, the LOGIN command, and servers that cheat in between. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import type { UserCredentials } from "../../../../src/messages/contract.js";
import { ImapPeerMemory } from "../../../../workers/wire/imap/peer-memory.js";
import type { ImapSession } from "../../../../workers/wire/imap/session.js";
import { type ImapScript, imapScript, imapSettings, type RecordingOwner } from "../../../kit/imap-dialogue.js";
import { replay, replayEverySplit } from "../../../kit/transcript.js";

const tim: UserCredentials = { username: "tim", secret: "tanstaaftanstaaf", isToken: false };
const bearer: UserCredentials = { username: "a@b.c", secret: "T0ken", isToken: true };
const base64 = (text: string) => Buffer.from(text).toString("base64");

type Options = NonNullable<Parameters<typeof imapScript>[1]>;

function plays(
  offered: string,
  credentials: UserCredentials,
  steps: ImapScript["steps"],
  events: readonly string[],
  options: Options = { isSecure: true },
): RecordingOwner {
  let script: ImapScript | undefined;
  replayEverySplit(
    () => {
      const all = [`S: * OK [CAPABILITY IMAP4rev1 ${offered}] hi`, ...steps];
      script = imapScript(all, { ...options, logins: [credentials] });
      return script;
    },
    () => assert.deepEqual(script?.owner.events, ["ready", ...events]),
  );
  return script!.owner;
}

const REFUSED = ["not found, on", "ready"];
const BROKEN_OFF = ["C: $z LOGOUT", "S: $z OK bye", "END"];

describe("AUTHENTICATE", () => {
  it("waits with PLAIN for the continuation where SASL-IR is not offered", () => {
    plays(
      "AUTH=PLAIN",
      tim,
      ["C: $a AUTHENTICATE PLAIN", "S: + ", "C: AHRpbQB0YW5zdGFhZnRhbnN0YWFm", "S: $a NO no"],
      REFUSED,
    );
  });

  it("answers LOGIN and CRAM-MD5, which begin with the server, with SASL-IR too", () => {
    plays(
      "SASL-IR AUTH=LOGIN",
      tim,
      [
        "C: $a AUTHENTICATE LOGIN",
        "S: + VXNlcm5hbWU6",
        "C: dGlt",
        "S: + UGFzc3dvcmQ6",
        "C: dGFuc3RhYWZ0YW5zdGFhZg==",
        "S: $a NO no",
      ],
      REFUSED,
    );
    plays(
      "SASL-IR AUTH=PLAIN AUTH=CRAM-MD5",
      tim,
      [
        "C: $a AUTHENTICATE CRAM-MD5",
        "S: + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
        "C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
        "S: $a NO no",
      ],
      REFUSED,
    );
  });

  it("answers a bearer error and lets the verdict come", () => {
    const error = `S: + ${base64('{"status":"401"}')}`;
    const bearerLine = base64("n,a=a@b.c,\x01host=mail.example.org\x01port=143\x01auth=Bearer T0ken\x01\x01");
    plays(
      "SASL-IR AUTH=OAUTHBEARER AUTH=XOAUTH2",
      bearer,
      [`C: $a AUTHENTICATE OAUTHBEARER ${bearerLine}`, error, "C: AQ==", "S: $a NO [AUTHENTICATIONFAILED] no"],
      REFUSED,
    );
    const xoauth2 = base64("user=a@b.c\x01auth=Bearer T0ken\x01\x01");
    plays(
      "AUTH=XOAUTH2",
      bearer,
      ["C: $a AUTHENTICATE XOAUTH2", "S: + ", `C: ${xoauth2}`, error, "C: ", "S: $a NO no"],
      REFUSED,
    );
    plays(
      "AUTH=XOAUTH2",
      bearer,
      ["C: $a AUTHENTICATE XOAUTH2", "S: + ", `C: ${xoauth2}`, error, "C: ", "S: $a OK yes", ...BROKEN_OFF],
      ["REMOTE_PROTOCOL, over", "ended REMOTE_PROTOCOL"],
    );
  });

  it("breaks off with * what cannot be answered, and has no verdict whatever the reply", () => {
    const over = ["REMOTE_PROTOCOL, over", "ended REMOTE_PROTOCOL"];
    for (const reply of ["BAD cancelled", "NO no", "OK yes"]) {
      const steps = ["C: $a AUTHENTICATE CRAM-MD5", "S: + not base64", "C: *", `S: $a ${reply}`, ...BROKEN_OFF];
      plays("AUTH=CRAM-MD5", tim, steps, over);
    }
    const surprise = ["C: $a AUTHENTICATE PLAIN", "S: + c3VycHJpc2U=", "C: *", "S: $a BAD x", ...BROKEN_OFF];
    plays("AUTH=PLAIN", tim, surprise, over);
    const again = ["C: $a AUTHENTICATE CRAM-MD5", "S: + !", "C: *", "S: + YQ==", "DESTROY"];
    plays("AUTH=CRAM-MD5", tim, again, over);
  });

  it("is not stopped by a challenge that is no base64, where the mechanism needs none", () => {
    plays("AUTH=PLAIN", tim, ["C: $a AUTHENTICATE PLAIN", "S: + go ahead", "C: $r", "S: $a NO no"], REFUSED);
    const prompts = ["C: $a AUTHENTICATE LOGIN", "S: + Username:", "C: dGlt", "S: + Password:", "C: $p", "S: $a NO no"];
    plays("AUTH=LOGIN", tim, prompts, REFUSED);
  });

  it("goes without an initial response once a server that offers SASL-IR has answered BAD to one", () => {
    const script = imapScript(
      [
        ...["S: * OK [CAPABILITY AUTH=PLAIN SASL-IR] hi", "C: $a AUTHENTICATE PLAIN $ir", "S: $a BAD what?"],
        ...["C: $b AUTHENTICATE PLAIN", "S: + ", "C: $ir", "S: $b NO no"],
      ],
      { isSecure: true, logins: [tim, tim] },
    );
    replay(script);
    assert.deepEqual(
      script.owner.events.map((event) => event.replace(/:.*/, "")),
      ["ready", "notice sasl-ir-off", "REPLY_TRANSIENT, on", "ready", "not found, on", "ready"],
    );
  });

  it("gives way to LOGIN where a server answers BAD to it before anything was shown", () => {
    const peer = new ImapPeerMemory();
    const steps = (before: readonly string[]) => [
      ...["S: * OK [CAPABILITY AUTH=PLAIN] hi", ...before],
      ...['C: $l LOGIN "tim" "tanstaaftanstaaf"', "S: $l NO no"],
    ];
    const options = { isSecure: true, logins: [tim], peer };
    const first = imapScript(steps(["C: $a AUTHENTICATE PLAIN", "S: $a BAD what?"]), options);
    replay(first);
    assert.deepEqual(
      first.owner.events.map((event) => event.replace(/:.*/, "")),
      ["ready", "notice authenticate-off", "not found, on", "ready"],
    );
    const next = imapScript(steps([]), options);
    replay(next);
    assert.deepEqual(next.owner.events, ["ready", ...REFUSED]);
  });

  it("has no verdict where LOGIN may not be used instead", () => {
    plays(
      "AUTH=PLAIN LOGINDISABLED",
      tim,
      ["C: $a AUTHENTICATE PLAIN", "S: $a BAD what?"],
      ["REPLY_PERMANENT, on", "ready"],
    );
  });

  it("takes a challenge of 12,288 octets and no longer one", () => {
    const begin = ["S: * OK [CAPABILITY AUTH=CRAM-MD5] hi", "C: $a AUTHENTICATE CRAM-MD5"];
    const options: Options = { isSecure: true, logins: [tim] };
    const fits = replay(imapScript([...begin, `S: + ${"A".repeat(12_288)}`, "C: $r"], options));
    assert.equal(fits.wire.state, "open");
    const long = imapScript([...begin, `S: + ${"A".repeat(12_292)}`, "DESTROY"], options);
    replay(long);
    assert.deepEqual(long.owner.events, ["ready", "REMOTE_PROTOCOL, over", "ended REMOTE_PROTOCOL"]);
  });

  it("believes no success before the exchange is complete", () => {
    const over = ["REMOTE_PROTOCOL, over", "ended REMOTE_PROTOCOL"];
    plays("AUTH=PLAIN", tim, ["C: $a AUTHENTICATE PLAIN", "S: $a OK yes", ...BROKEN_OFF], over);
    plays("AUTH=CRAM-MD5", tim, ["C: $a AUTHENTICATE CRAM-MD5", "S: $a OK yes", ...BROKEN_OFF], over);
    plays("AUTH=SCRAM-SHA-1 SASL-IR", tim, ["C: $a AUTHENTICATE SCRAM-SHA-1 $ir", "S: $a OK yes", ...BROKEN_OFF], over);
  });

  it("takes no NO for a verdict before a credential was shown", () => {
    const events = ["REPLY_PERMANENT, on", "ready"];
    const owner = plays("AUTH=PLAIN", tim, ["C: $a AUTHENTICATE PLAIN", "S: $a NO unsupported"], events);
    assert.equal(owner.session?.hasWrittenCredentials, false);
    plays("AUTH=CRAM-MD5", tim, ["C: $a AUTHENTICATE CRAM-MD5", "S: $a NO no"], events);
    plays(
      "AUTH=SCRAM-SHA-256 SASL-IR",
      tim,
      ["C: $a AUTHENTICATE SCRAM-SHA-256 $ir", "S: $a NO no such user"],
      REFUSED,
    );
  });

  it("tells whether a credential octet was written", () => {
    const seen: boolean[] = [];
    const note = (session: ImapSession) => seen.push(session.hasWrittenCredentials);
    const begin = "S: * OK [CAPABILITY AUTH=PLAIN] hi";
    replay(
      imapScript([begin, "C: $a AUTHENTICATE PLAIN", note, "S: + ", "C: $r", note, "EOF", note], {
        isSecure: true,
        logins: [tim],
      }),
    );
    assert.deepEqual(seen, [false, true, true]);
  });

  it("keeps the secret out of inspection while a login is in flight", () => {
    for (const offered of ["AUTH=PLAIN SASL-IR", "AUTH=SCRAM-SHA-1", "X"]) {
      const script = imapScript([`S: * OK [CAPABILITY ${offered}] hi`], { isSecure: true, logins: [tim] });
      assert.throws(() => replay(script), /no step expects/);
      assert.ok(!inspect(script.owner.session, { depth: 20, showHidden: true }).includes(tim.secret));
    }
  });
});

describe("SCRAM on an IMAP connection (RFC 5802 5)", () => {
  const user: UserCredentials = { username: "user", secret: "pencil", isToken: false };
  const nonce = "fyko+d2lbbFgONRv9qkxdawL";
  const clientFirst = base64(`n,,n=user,r=${nonce}`);
  const serverFirst = `S: + ${base64(`r=${nonce}3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096`)}`;
  const clientFinal = `C: ${base64(`c=biws,r=${nonce}3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=`)}`;
  const serverFinal = `S: + ${base64("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")}`;
  const begin = [`C: $a AUTHENTICATE SCRAM-SHA-1 ${clientFirst}`, serverFirst, clientFinal];
  const offered = "SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-1";
  const over = ["REMOTE_PROTOCOL, over", "ended REMOTE_PROTOCOL"];

  it("takes success once the server has proved itself, over plain text too", () => {
    const events = ["found, over", "ended REMOTE_CLOSED"];
    const steps = [...begin, serverFinal, "C: ", "S: $a OK in", ...BROKEN_OFF];
    plays(offered, user, steps, events);
    plays(offered, user, steps, events, { settings: imapSettings("disable") });
  });

  it("takes a wrong password for not found, as a NO and as an error of the exchange", () => {
    plays(offered, user, [...begin, "S: $a NO [AUTHENTICATIONFAILED] no"], REFUSED);
    plays(offered, user, [...begin, `S: + ${base64("e=invalid-proof")}`, "C: ", "S: $a NO no"], REFUSED);
  });

  it("does not believe a server that skips its proof or gives a wrong one", () => {
    plays(offered, user, [...begin, "S: $a OK in", ...BROKEN_OFF], over);
    const wrong = `S: + ${base64("v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=")}`;
    plays(offered, user, [...begin, wrong, "C: *", "S: $a OK in", ...BROKEN_OFF], over);
  });

  it("refuses an iteration bomb", () => {
    const bomb = `S: + ${base64(`r=${nonce}x,s=QSXCR+Q6sek8bf92,i=2147483648`)}`;
    plays(offered, user, [begin[0] ?? "", bomb, "C: *", "S: $a BAD x", ...BROKEN_OFF], over);
  });
});

describe("the LOGIN command", () => {
  it("is used only where no mechanism fits", () => {
    plays("AUTH=GSSAPI", tim, ['C: $a LOGIN "tim" "tanstaaftanstaaf"', "S: $a NO no"], REFUSED);
    plays("", { ...tim, secret: 'q"\\' }, ['C: $a LOGIN "tim" "q\\"\\\\"', "S: $a NO no"], REFUSED);
    plays("", { ...tim, secret: "" }, ['C: $a LOGIN "tim" ""', "S: $a NO no"], REFUSED);
  });

  it("sends literals where quoting would not do, and waits for each", () => {
    const umlaut = { username: "j\u00fcrgen", secret: "pa\u00dfwort", isToken: false };
    const steps = ["C: $a LOGIN {7}", "S: + go", "C: j\u00fcrgen {8}", "S: + ", "C: pa\u00dfwort", "S: $a NO no"];
    plays("", umlaut, steps, REFUSED);
    plays(
      "",
      { ...umlaut, username: "tim" },
      ['C: $a LOGIN "tim" {8}', "S: +", "C: pa\u00dfwort", "S: $a NO no"],
      REFUSED,
    );
  });

  it("does not wait with LITERAL+, nor with LITERAL- for what is short", () => {
    const umlaut = { username: "tim", secret: "pa\u00dfwort", isToken: false };
    for (const offered of ["LITERAL+", "LITERAL-"]) {
      plays(offered, umlaut, ['C: $a LOGIN "tim" {8+}', "C: pa\u00dfwort", "S: $a NO no"], REFUSED);
    }
    const long = { ...umlaut, secret: "\u00fc".repeat(2049) };
    const script = imapScript(
      ["S: * OK [CAPABILITY LITERAL-] x", 'C: $a LOGIN "tim" {4098}', "S: + ", `C: ${long.secret}`],
      { isSecure: true, logins: [long] },
    );
    replay(script);
  });

  it("is not used for tokens, where it is disabled, or over plain text unless that is allowed", () => {
    const missing = ["MISSING_AUTH, on", "ready"];
    plays("", bearer, [], missing);
    plays("LOGINDISABLED", tim, [], missing);
    plays("", tim, [], missing, { settings: imapSettings("disable") });
    plays("AUTH=PLAIN", tim, [], missing, { settings: imapSettings("disable") });
    const settings = imapSettings("disable", { allowPlaintextAuth: true });
    plays("", tim, ['C: $a LOGIN "tim" "tanstaaftanstaaf"', "S: $a NO no"], REFUSED, { settings });
    plays("LOGINDISABLED", tim, [], missing, { settings });
  });

  it("knows no continuation but for its literals", () => {
    const over = ["REMOTE_PROTOCOL, over", "ended REMOTE_PROTOCOL"];
    plays("", tim, ['C: $a LOGIN "tim" "tanstaaftanstaaf"', "S: + ", "DESTROY"], over);
  });

  it("has no verdict before its last octet", () => {
    const umlaut = { username: "tim", secret: "pa\u00dfwort", isToken: false };
    const begin = 'C: $a LOGIN "tim" {8}';
    plays("", umlaut, [begin, "S: $a NO no literals"], ["REPLY_PERMANENT, on", "ready"]);
    plays("", umlaut, [begin, "S: $a OK in", ...BROKEN_OFF], ["REMOTE_PROTOCOL, over", "ended REMOTE_PROTOCOL"]);
  });

  it("passes a password that SCRAM cannot take on to PLAIN", () => {
    const emoji = { ...tim, secret: "\u{1F600}" };
    const line = base64("\0tim\0\u{1F600}");
    plays("SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN", emoji, [`C: $a AUTHENTICATE PLAIN ${line}`, "S: $a NO no"], REFUSED);
  });
});
