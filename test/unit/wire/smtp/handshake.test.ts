/** From the greeting to a session that can work: EHLO, LHLO, HELO, STARTTLS, and everything that may go wrong before the first task. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SmtpSession } from "../../../../workers/wire/smtp/session.js";
import { checkDialogue, checkWhole, greeted, offered, smtpSettings } from "../../../kit/smtp-dialogue.js";

const START_TLS = smtpSettings({ tls: { startTls: "require" } });
const OPTIONAL_TLS = smtpSettings({ tls: { startTls: "optional" } });
const LMTP = smtpSettings({ protocol: "lmtp" });
const unavailable = ["ended HOST_UNAVAILABLE"];
const breach = ["ended REMOTE_PROTOCOL"];

describe("the greeting", () => {
  it("is followed by EHLO, and what the host offers is known", () => {
    checkDialogue(
      {},
      () => greeted(["PIPELINING", "8BITMIME", "SIZE 1000", "AUTH=LOGIN PLAIN", "auth CRAM-MD5", "X-FOO"]),
      ["ready"],
      ({ session }) => {
        const { extensions } = session;
        assert.deepEqual([extensions.pipelining, extensions.eightBitMime, extensions.sizeOctets], [true, true, 1000]);
        assert.deepEqual(extensions.auth, ["LOGIN", "PLAIN", "CRAM-MD5"]);
        assert.equal(extensions.chunking, false);
      },
    );
  });

  it("may have several lines", () => {
    checkDialogue({}, () => ["S: 220-host", "S: 220-no spam", "S: 220 here", "C: EHLO gw.example", ...offered([])], [
      "ready",
    ]);
  });

  for (const [comesFrom, name] of [
    ["192.0.2.1", "[192.0.2.1]"],
    ["::ffff:192.0.2.1", "[192.0.2.1]"],
    ["2001:db8::1", "[IPv6:2001:db8::1]"],
    ["fe80::1%eth0", "[IPv6:fe80::1]"],
    ["unix", "localhost"],
  ] as const) {
    it(`is answered with ${name} where no name is known`, () => {
      const steps = () => ["S: 220 x", `C: EHLO ${name}`, "S: 500 what?", `C: HELO ${name}`, "S: 250 x"];
      checkDialogue({ comesFrom }, steps, ["ready"]);
      const lmtp = () => ["S: 220 x", `C: LHLO ${name}`, "S: 250 x"];
      checkDialogue({ comesFrom, settings: LMTP }, lmtp, ["ready"]);
    });
  }

  it("that refuses makes the host unavailable", () => {
    checkDialogue({}, () => ["S: 421 too many connections", "DESTROY"], unavailable);
    checkDialogue(
      {},
      () => ["S: 554 5.7.1 no", "DESTROY"],
      unavailable,
      ({ failures }) => {
        assert.deepEqual(failures[0]?.reply, { code: 554, enhanced: "5.7.1", text: "no" });
      },
    );
  });

  for (const greeting of ["250 hello", "354 go", "garbage", "25", "2500 x", "220_x", "220-a\r\nS: 250 b"]) {
    it(`that is none breaks the protocol: ${greeting}`, () => {
      checkDialogue({}, () => [...`S: ${greeting}`.split("\r\n"), "DESTROY"], breach);
    });
  }

  it("that never comes is a timeout", () => {
    checkDialogue({}, () => ["TIMEOUT", "DESTROY"], ["ended COMMAND_TIMEOUT"]);
    checkDialogue({}, () => ["S| 220 hos", "TIMEOUT", "DESTROY"], ["ended COMMAND_TIMEOUT"]);
    checkDialogue({}, () => ["EOF"], ["ended REMOTE_CLOSED"]);
  });

  it("that brings the reply to EHLO along is not believed", () => {
    checkWhole({}, () => ["S: 220 host", "S: 250 host", "C: EHLO gw.example", "DESTROY"], breach);
    checkWhole({}, () => ["S: 220 host", "S| 25", "C: EHLO gw.example", "S: 0 host", "DESTROY"], breach);
  });
});

describe("EHLO", () => {
  it("refused with 5yz is followed by HELO, where nothing but mail is wanted", () => {
    checkDialogue(
      {},
      () => ["S: 220 x", "C: EHLO gw.example", "S: 500 what?", "C: HELO gw.example", "S: 250 x"],
      ["ready"],
      (d) => assert.equal(d.session.canPipeline, false),
    );
    checkDialogue(
      {},
      () => ["S: 220 x", "C: EHLO gw.example", "S: 502 no", "C: HELO gw.example", "S: 550 no", "DESTROY"],
      unavailable,
    );
  });

  it("refused is the end where TLS, AUTH or a login needs it", () => {
    const steps = () => ["S: 220 x", "C: EHLO gw.example", "S: 500 what?", "DESTROY"];
    checkDialogue({ settings: START_TLS }, steps, unavailable);
    checkDialogue({ settings: smtpSettings({ auth: { username: "u", secret: "s" } }) }, steps, unavailable);
    checkDialogue({ purpose: "login" }, steps, unavailable);
  });

  it("refused for now, or with 421, makes the host unavailable", () => {
    for (const reply of ["421 bye", "450 later"]) {
      checkDialogue({}, () => ["S: 220 x", "C: EHLO gw.example", `S: ${reply}`, "DESTROY"], unavailable);
    }
  });

  it("answered with nonsense breaks the protocol", () => {
    for (const reply of ["220 again", "354 go"]) {
      checkDialogue({}, () => ["S: 220 x", "C: EHLO gw.example", `S: ${reply}`, "DESTROY"], breach);
    }
  });

  it("answered without end breaks the protocol, and costs no memory", () => {
    const lines = Array.from({ length: 1_100 }, (_, at) => `S: 250-X${at}`);
    checkWhole({}, () => ["S: 220 x", "C: EHLO gw.example", ...lines, "DESTROY"], breach);
  });

  it("takes a SIZE that is no number for no limit", () => {
    checkDialogue(
      {},
      () => greeted(["SIZE -1"]),
      ["ready"],
      ({ session }) => assert.equal(session.extensions.sizeOctets, 0),
    );
  });
});

describe("LHLO", () => {
  it("is said on LMTP, and there is nothing else to fall back on", () => {
    checkDialogue({ settings: LMTP }, () => greeted(["PIPELINING"], "LHLO"), ["ready"]);
    checkDialogue(
      { settings: LMTP },
      () => ["S: 220 x", "C: LHLO gw.example", "S: 500 SMTP here", "DESTROY"],
      unavailable,
    );
  });
});

describe("STARTTLS", () => {
  const upTo220 = [...greeted(["STARTTLS", "AUTH PLAIN"]), "C: STARTTLS"];

  it("forgets what was offered before and asks again", () => {
    checkDialogue(
      { settings: START_TLS },
      () => [...upTo220, "S: 220 go", "TLS", "C: EHLO gw.example", ...offered(["PIPELINING"])],
      ["ready"],
      ({ session }) => {
        assert.ok(session.isSecure);
        assert.deepEqual(session.extensions.auth, []);
        assert.equal(session.extensions.startTls, false);
      },
    );
  });

  it("with bytes behind its reply is an attack", () => {
    for (const injected of ["S: 250 host", "S| x", "S: ", "S| \n"]) {
      checkWhole({ settings: START_TLS }, () => [...upTo220, "S: 220 go", injected, "DESTROY"], ["ended TLS_FAILED"]);
    }
  });

  it("missing or refused is the end where it is required", () => {
    checkDialogue({ settings: START_TLS }, () => [...greeted([]), "DESTROY"], ["ended MISSING_STARTTLS"]);
    for (const reply of ["454 not now", "502 no", "421 bye", "250 what"]) {
      checkDialogue({ settings: START_TLS }, () => [...upTo220, `S: ${reply}`, "DESTROY"], ["ended TLS_FAILED"]);
    }
  });

  it("missing or refused is loud where it is optional", () => {
    checkDialogue({ settings: OPTIONAL_TLS }, () => greeted([]), ["notice tls-missing", "ready"]);
    checkDialogue({ settings: OPTIONAL_TLS }, () => [...upTo220, "S: 454 not now"], ["notice tls-refused", "ready"]);
    checkDialogue({ settings: OPTIONAL_TLS }, () => [...upTo220, "S: 421 bye", "DESTROY"], ["ended TLS_FAILED"]);
  });

  it("is not said where TLS stands or is switched off", () => {
    checkDialogue({ settings: START_TLS, isSecure: true }, () => greeted(["STARTTLS"]), ["ready"]);
    checkDialogue({}, () => greeted(["STARTTLS"]), ["ready"]);
  });

  it("leaves the connection in time when the reply does not come, or the handshake fails", () => {
    checkDialogue({ settings: START_TLS }, () => [...upTo220, "TIMEOUT", "DESTROY"], ["ended COMMAND_TIMEOUT"]);
    checkDialogue({ settings: START_TLS }, () => [...upTo220, "S: 220 go", "EOF"], ["ended REMOTE_CLOSED"]);
  });

  it("is not followed by HELO where EHLO is refused in TLS: what was offered would be lost without a word", () => {
    for (const reply of ["500 no", "502 no", "550 no", "451 no"]) {
      const steps = () => [...upTo220, "S: 220 go", "TLS", "C: EHLO gw.example", `S: ${reply}`, "DESTROY"];
      checkDialogue({ settings: START_TLS }, steps, unavailable);
      checkDialogue({ settings: OPTIONAL_TLS }, steps, unavailable);
    }
  });
});

describe("a session that rests", () => {
  it("ends at a 421 that nobody asked for", () => {
    const d = checkWhole({}, () => [...greeted(), () => {}, "S: 421 4.4.2 idle too long", "DESTROY"], [
      "ready",
      ...unavailable,
    ]);
    assert.equal(d.failures[0]?.reply?.code, 421);
  });

  it("ends at any other reply, and at the first octet of one", () => {
    checkDialogue({}, () => [...greeted(), () => {}, "S: 250 surplus", "DESTROY"], ["ready", ...breach]);
    checkDialogue({}, () => [...greeted(), () => {}, "S| 2", "DESTROY"], ["ready", ...breach]);
  });

  const over = ["ready", "ended REMOTE_CLOSED"];
  const quit = (session: SmtpSession) => session.quit(false);

  it("says QUIT when it is not wanted any more, and closes when the host has said goodbye", () => {
    const d = checkWhole({}, () => [...greeted(), quit, "C: QUIT"], ["ready"]);
    assert.deepEqual([d.wire.state, d.wire.awaitedMs], ["open", 2_000]);
    for (const goodbye of ["221 bye", "421 idle", "250 what", "221-two\r\n221 lines"]) {
      checkDialogue({}, () => [...greeted(), quit, "C: QUIT", quit, `S: ${goodbye}`, "END"], over);
    }
  });

  it("does not wait long for the goodbye, nor at all where the host closes or somebody needs the slot", () => {
    checkDialogue({}, () => [...greeted(), quit, "C: QUIT", "TIMEOUT", "DESTROY"], over);
    checkDialogue({}, () => [...greeted(), quit, "C: QUIT", "EOF"], over);
    checkDialogue({}, () => [...greeted(), quit, "C: QUIT", "S| garbage\0", "DESTROY"], over);
    checkDialogue({}, () => [...greeted(), quit, "C: QUIT", (s) => s.hurry(), "END"], over);
    checkDialogue({}, () => [...greeted(), (s) => s.quit(true), "C: QUIT", "END"], over);
  });
});
