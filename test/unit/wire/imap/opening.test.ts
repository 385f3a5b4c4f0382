/** What comes before the first login on an IMAP connection: the greeting, capabilities, TLS. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { imapScript, imapSettings } from "../../../kit/imap-dialogue.js";
import { HELLO, plays } from "../../../kit/imap-logins.js";
import { replay } from "../../../kit/transcript.js";

describe("IMAP handshake", () => {
  it("takes the capabilities from the greeting", () => {
    const owner = plays([HELLO], { isSecure: true }, ["ready"]);
    assert.deepEqual(owner.session?.capabilities, ["IMAP4REV1", "SASL-IR", "AUTH=PLAIN"]);
    assert.equal(owner.session?.isSecure, true);
  });

  it("asks for them where the greeting has none", () => {
    plays(
      ["S: * OK hi", "C: $a CAPABILITY", "S: * CAPABILITY IMAP4rev1 AUTH=PLAIN", "S: $a OK done"],
      { isSecure: true },
      ["ready"],
    );
    plays(["S: * OK hi", "C: $a CAPABILITY", "S: $a OK [CAPABILITY IMAP4rev1] done"], { isSecure: true }, ["ready"]);
  });

  it("starts TLS and forgets what was said before", () => {
    const steps = [
      "S: * OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] hi",
      "C: $a STARTTLS",
      "S: $a OK go",
      "TLS",
    ];
    const owner = plays(
      [...steps, "C: $b CAPABILITY", "S: * CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=CRAM-MD5", "S: $b OK done"],
      {},
      ["ready"],
    );
    assert.deepEqual(owner.session?.capabilities, ["IMAP4REV1", "AUTH=PLAIN", "AUTH=CRAM-MD5"]);
    assert.equal(owner.session?.isSecure, true);
  });

  it("does not fall back on them when the server tells nothing under TLS", () => {
    const steps = ["S: * OK [CAPABILITY STARTTLS SASL-IR AUTH=PLAIN] hi", "C: $a STARTTLS", "S: $a OK go", "TLS"];
    plays([...steps, "C: $b CAPABILITY", "S: $b OK done", "DESTROY"], {}, ["ended REMOTE_PROTOCOL"]);
  });

  it("believes no reply behind STARTTLS, were it part of a line", () => {
    for (const injected of ["S: * CAPABILITY IMAP4rev1", "S| *", "S| x"]) {
      plays(["S: * OK [CAPABILITY STARTTLS] hi", "C: $a STARTTLS", "S: $a OK go", injected, "DESTROY"], {}, [
        "ended REMOTE_PROTOCOL",
      ]);
    }
  });

  it("never falls back where TLS is required", () => {
    const leave = ["C: $z LOGOUT", "S: * BYE bye", "S: $z OK done", "END"];
    plays(["S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", ...leave], {}, ["ended MISSING_STARTTLS"]);
    const refused = ["S: * OK [CAPABILITY STARTTLS] hi", "C: $a STARTTLS", "S: $a NO not today"];
    const owner = plays([...refused, ...leave], {}, ["ended MISSING_STARTTLS"]);
    assert.deepEqual(owner.ending?.reply, { code: 500, text: "not today" });
    plays([...refused.slice(0, 2), "S: $a BAD what", ...leave], {}, ["ended MISSING_STARTTLS"]);
  });

  it("goes on in plain text, with a warning, where TLS is optional", () => {
    const settings = imapSettings("optional");
    const warning = (event: string, what: string) =>
      `notice ${event}: The server ${what} STARTTLS: the connection goes on in plain text (tls.starttls = "optional").`;
    plays([HELLO], { settings }, [warning("tls-missing", "does not offer"), "ready"]);
    const refused = ["S: * OK [CAPABILITY STARTTLS] hi", "C: $a STARTTLS", "S: $a NO not today"];
    plays(refused, { settings }, [warning("tls-refused", "refused"), "ready"]);
  });

  it("does not start TLS where it is switched off", () => {
    plays(["S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi"], { settings: imapSettings("disable") }, ["ready"]);
  });

  it("takes PREAUTH for an error, with and without TLS", () => {
    for (const isSecure of [false, true]) {
      plays(["S: * PREAUTH [CAPABILITY IMAP4rev1] hi root", "DESTROY"], { isSecure }, ["ended REMOTE_PROTOCOL"]);
    }
  });

  it("takes BYE for an unavailable host, whenever it comes before the first login", () => {
    const owner = plays(["S: * BYE [UNAVAILABLE] too busy", "DESTROY"], {}, ["ended HOST_UNAVAILABLE"]);
    assert.deepEqual(owner.ending?.reply, { code: 400, enhanced: "UNAVAILABLE", text: "too busy" });
    plays(["S: * OK hi", "C: $a CAPABILITY", "S: * BYE sorry", "DESTROY"], {}, ["ended HOST_UNAVAILABLE"]);
  });

  it("refuses anything else for a greeting", () => {
    const bad = [
      "* NO x",
      "* BAD x",
      "* CAPABILITY IMAP4rev1",
      "220 smtp.example.org",
      "+ ",
      "r1 OK hi",
      "* 3 EXISTS",
      "\0",
    ];
    for (const line of bad) {
      plays([`S: ${line}`, "DESTROY"], {}, ["ended REMOTE_PROTOCOL"]);
    }
  });

  it("refuses a reply to CAPABILITY without capabilities", () => {
    for (const reply of ["OK done", "NO no", "BAD what"]) {
      plays(["S: * OK hi", "C: $a CAPABILITY", `S: $a ${reply}`, "DESTROY"], {}, ["ended REMOTE_PROTOCOL"]);
    }
  });

  it("waits for the greeting and each reply as long as the settings say, however the bytes trickle", () => {
    const limits: number[] = [];
    const note = (wire: { awaitedMs: number }) => limits.push(wire.awaitedMs);
    note(replay(imapScript([])).wire);
    note(replay(imapScript(["S: * OK hi", "C: $a CAPABILITY"])).wire);
    note(replay(imapScript([HELLO], { isSecure: true })).wire);
    assert.deepEqual(limits, [300_000, 120_000, 0]);
    plays(["S| * OK h", "TIMEOUT", "DESTROY"], {}, ["ended COMMAND_TIMEOUT"]);
    const owner = plays(["S: * OK hi", "C: $a CAPABILITY", "S| * CAP", "TIMEOUT", "DESTROY"], {}, [
      "ended COMMAND_TIMEOUT",
    ]);
    assert.match(owner.ending?.message ?? "", /did not finish CAPABILITY in time/);
  });
});
