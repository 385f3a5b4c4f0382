/** The IMAP session against a server that says anything at any time: it never throws, answers each login once, and gives no secret away. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import type { UserCredentials } from "../../../../src/messages/contract.js";
import { imapScript, imapSettings } from "../../../kit/imap-dialogue.js";
import { ScriptedWire } from "../../../kit/transcript.js";

const RUNS = Number(process.env.FUZZ_RUNS ?? 500);
const CANARY = "c4nary-Zwieback";
const FORMS = [CANARY, Buffer.from(CANARY).toString("base64"), Buffer.from(`\0tim\0${CANARY}`).toString("base64")];

/** What the server says; TAG stands for the tag of the last command, ECHO for all that the client wrote last. */
const line = fc.constantFrom(
  ...[
    "* OK [CAPABILITY AUTH=PLAIN SASL-IR] hi",
    "* OK [CAPABILITY STARTTLS AUTH=LOGIN] hi",
    "* OK hi",
    "* BYE bye",
    "* 1 EXISTS",
  ],
  ...[
    "* CAPABILITY IMAP4rev1 AUTH=CRAM-MD5 UNAUTHENTICATE",
    "* CAPABILITY AUTH=SCRAM-SHA-256",
    "* CAPABILITY X",
    "* PREAUTH x",
  ],
  ...["TAG OK done", "TAG OK done", "TAG OK [CAPABILITY UNAUTHENTICATE] in", "TAG NO no", "TAG NO no", "TAG BAD what"],
  ...[
    "TAG NO [UNAVAILABLE] later",
    "TAG NO [AUTHENTICATIONFAILED] ECHO",
    "TAG BAD ECHO",
    "* OK [ALERT] ECHO",
    "* BYE ECHO",
    "x OK",
  ],
  ...["+ ", "+ VXNlcm5hbWU6", "+ !", "* LIST {3}", "* LIST {9999999999}", "garbage", "", "TLS", "TLS", "TIMEOUT"],
);
const begin = fc.constantFrom(
  "* OK [CAPABILITY AUTH=PLAIN SASL-IR] hi",
  "* OK [CAPABILITY AUTH=LOGIN] hi",
  "* OK [CAPABILITY X] hi",
  "* OK hi",
);
const mode = fc.record({
  isSecure: fc.boolean(),
  startTls: fc.constantFrom("require", "optional", "disable" as const),
  isToken: fc.boolean(),
  allowPlaintextAuth: fc.boolean(),
});

it("keeps its promises to its owner whatever the server says", () => {
  fc.assert(
    fc.property(
      mode,
      begin,
      fc.array(line, { maxLength: 40 }),
      fc.nat(12),
      ({ isSecure, startTls, ...rest }, first, lines, size) => {
        const credentials: UserCredentials = { username: "tim", secret: CANARY, isToken: rest.isToken };
        const settings = imapSettings(startTls, { allowPlaintextAuth: rest.allowPlaintextAuth });
        const script = imapScript([], { settings, logins: new Array(5).fill(credentials) });
        const wire = new ScriptedWire();
        const session = script.open(wire);
        session.connected(isSecure);
        let answered = 0;
        for (const said of [first, ...lines]) {
          if (wire.state === "ending" || wire.state === "destroyed") {
            break;
          }
          if (said === "TLS") {
            if (wire.state !== "starting-tls") {
              continue;
            }
            wire.state = "open";
            session.secured();
          } else if (said === "TIMEOUT") {
            if (wire.awaitedMs > 0) {
              session.timedOut();
            }
          } else {
            const written = wire.untaken.toString();
            const last = written.trimEnd().split("\r\n").at(-1) ?? "";
            const tag = [...written.matchAll(/\br[0-9a-f]{12}\b/g)].at(-1)?.[0] ?? "none";
            const bytes = Buffer.from(`${said.replace("TAG", tag).replace("ECHO", last)}\r\n`);
            const step = size === 0 ? bytes.length : size;
            for (let at = 0; at < bytes.length; at += step) {
              session.received(Uint8Array.from(bytes.subarray(at, at + step)));
            }
          }
          // A success is only believed where the whole of the credentials had been written; asked now, since the next login may follow.
          const latest = script.owner.results.at(-1);
          if (script.owner.results.length > answered && latest !== undefined && "found" in latest && latest.found) {
            assert.ok(session.hasWrittenCredentials);
          }
          answered = script.owner.results.length;
          assert.ok(!FORMS.some((form) => inspect(session, { depth: 12, showHidden: true }).includes(form)));
        }
        session.closed({ code: "REMOTE_CLOSED", message: "gone" });
        session.closed({ code: "REMOTE_CLOSED", message: "gone again" });
        session.received(Buffer.from("* OK late\r\n"));
        const { events, results, ending } = script.owner;
        const started = events.filter((event) => event === "ready").length;
        assert.equal(results.length, Math.min(started, 5), "one answer for each login");
        assert.equal(events.filter((event) => event.startsWith("ended")).length, 1);
        assert.match(events.at(-1) ?? "", /^ended/);
        const told = JSON.stringify([events, results, ending]).toLowerCase();
        assert.ok(!FORMS.some((form) => told.includes(form.toLowerCase())), told);
      },
    ),
    { numRuns: RUNS },
  );
});
