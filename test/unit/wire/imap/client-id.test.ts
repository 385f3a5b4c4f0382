/** ID before the first login: whom the server is told of, and what its answer may be. Every dialogue at every split. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient } from "../../../../src/messages/client.js";
import type { ImapSession } from "../../../../workers/wire/imap/session.js";
import { type ImapScript, imapScript, imapSettings } from "../../../kit/imap-dialogue.js";
import { type Played, replayEverySplit } from "../../../kit/transcript.js";

const CLIENT = encodeClient({
  address: "192.0.2.1",
  port: 1025,
  session: 'a"b\\c',
  local: { address: "192.0.2.143", port: 143 },
});
const HELLO = "S: * OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] hello";
const ID =
  'C: $a ID ("x-originating-ip" "192.0.2.1" "x-originating-port" "1025" "x-connected-ip" "192.0.2.143" "x-connected-port" "143" "x-session-id" "a\\"b\\\\c" "x-proxy-ttl" "5")';
const settings = { ...imapSettings(), client: "id" as const };

function plays(steps: ImapScript["steps"], options: Parameters<typeof imapScript>[1], events: readonly string[]): void {
  let script: ImapScript | undefined;
  replayEverySplit(
    () => {
      script = imapScript(steps, { settings, isSecure: true, client: CLIENT, ...options });
      return script;
    },
    (_played: Played<ImapSession>) => assert.deepEqual(script?.owner.events, events),
  );
}

describe("ID", () => {
  it("is sent before the first login", () => {
    plays([HELLO, ID, 'S: * ID ("name" "Dovecot")', "S: $a OK done"], {}, ["ready"]);
    plays([HELLO, ID, "S: * ID NIL", "S: $a OK done"], {}, ["ready"]);
  });

  it("is not sent where it is not offered, not asked for, or nobody is known", () => {
    plays(["S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello"], {}, ["ready"]);
    plays([HELLO], { settings: imapSettings() }, ["ready"]);
    plays([HELLO], { client: "" }, ["ready"]);
  });

  it("is sent inside TLS only, by what is offered there", () => {
    const clear = ["S: * OK [CAPABILITY IMAP4rev1 ID STARTTLS] hi", "C: $a STARTTLS", "S: $a OK go", "TLS"];
    const secured = ["C: $b CAPABILITY", "S: * CAPABILITY IMAP4rev1 ID AUTH=PLAIN", "S: $b OK done"];
    plays([...clear, ...secured, ID.replace("$a", "$c"), "S: $c OK done"], { isSecure: false }, ["ready"]);
  });

  it("refused is a warning, and logins go on", () => {
    for (const condition of ["NO", "BAD"]) {
      const notice = "notice client-untold: The server refused ID: it is not told of the client.";
      plays([HELLO, ID, `S: $a ${condition} what`], {}, [notice, "ready"]);
    }
  });

  it("answered with garbage ends the connection before any login", () => {
    plays([HELLO, ID, "S: $z OK not yours", "DESTROY"], {}, ["ended REMOTE_PROTOCOL"]);
    plays([HELLO, ID, "S: + go ahead", "DESTROY"], {}, ["ended REMOTE_PROTOCOL"]);
    plays([HELLO, ID, "S: * BYE too much", "DESTROY"], {}, ["ended HOST_UNAVAILABLE"]);
  });
});
