/** Alerts of an IMAP server, which may repeat what it was shown. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { imapScript } from "../../../kit/imap-dialogue.js";
import { replay } from "../../../kit/transcript.js";

const HELLO = "S: * OK [CAPABILITY IMAP4rev2 AUTH=PLAIN SASL-IR] hi";

describe("alerts behind several logins on one connection", () => {
  const ann = { username: "ann", secret: "first-secret", isToken: false };
  const bob = { username: "bob", secret: "second-secret", isToken: false };

  function alertsAfter(text: string): string[] {
    const script = imapScript(
      [
        HELLO,
        "C: $a AUTHENTICATE PLAIN $ir",
        "S: $a NO no",
        "C: $b AUTHENTICATE PLAIN $jr",
        "S: $b NO no",
        `S: * OK [ALERT] ${text}`,
      ],
      { isSecure: true, logins: [ann, bob] },
    );
    replay(script);
    return script.owner.events.filter((event) => event.startsWith("notice"));
  }

  it("tell neither of their secrets", () => {
    for (const secret of ["first-secret", "second-secret", Buffer.from("\0ann\0first-secret").toString("base64")]) {
      assert.deepEqual(alertsAfter(`you said ${secret}`), [
        "notice alert: (withheld: the reply repeats the credentials)",
      ]);
    }
  });

  it("are told where they repeat nothing", () => {
    assert.deepEqual(alertsAfter("the store moves tonight"), ["notice alert: the store moves tonight"]);
  });

  it("are withheld as a whole where more users have logged in than are remembered", () => {
    const logins = Array.from({ length: 65 }, (_, at) => ({ ...ann, username: `user${at}`, secret: `secret-${at}` }));
    const steps = logins.flatMap((_, at) => [`C: $t${at} AUTHENTICATE PLAIN $i${at}`, `S: $t${at} NO no`]);
    const script = imapScript([HELLO, ...steps, "S: * OK [ALERT] secret-64"], { isSecure: true, logins });
    replay(script);
    const [alert] = script.owner.events.filter((event) => event.startsWith("notice"));
    assert.match(alert ?? "", /^notice alert: \(withheld/);
  });
});
