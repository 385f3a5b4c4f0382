/** How a host is told of clients: XCLIENT before a task, XFORWARD before MAIL, and what follows when the host says no. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient } from "../../../../src/messages/client.js";
import { checkClient } from "../../../../src/request/client.js";
import { xclientCommand, xforwardCommands } from "../../../../workers/wire/smtp/client-commands.js";
import { checkDialogue, greeted, offered, smtpSettings } from "../../../kit/smtp-dialogue.js";

const ANN = encodeClient({ address: "192.0.2.1" });
const BOB = encodeClient({ address: "2001:db8::2", helo: "bob" });
const settings = smtpSettings({ client: "xclient" });
const XCLIENT = ["PIPELINING", "XCLIENT ADDR HELO"];
const EHLO = "C: EHLO gw.example";

describe("XCLIENT", () => {
  it("gives the session to the client, and greets anew, before its first task", () => {
    checkDialogue(
      { settings },
      (d) => [
        ...greeted(XCLIENT),
        d.vrfy("ann", ANN),
        "C: XCLIENT ADDR=192.0.2.1 HELO=[UNAVAILABLE]",
        ...["S: 220 again", EHLO, ...offered(XCLIENT)],
        ...["C: VRFY ann", "S: 250 <ann@example.net>"],
        d.vrfy("bob", ANN),
        ...["C: VRFY bob", "S: 550 no"],
      ],
      ["ready", "vrfy ann: found [ann@example.net]", "vrfy bob: not found"],
    );
  });

  it("gives it to another client between two tasks, out of the transaction that stands open", () => {
    checkDialogue(
      { settings },
      (d) => [
        ...greeted(XCLIENT),
        d.rcpt("a@example.net", ANN),
        "C: XCLIENT ADDR=192.0.2.1 HELO=[UNAVAILABLE]",
        ...["S: 220 again", EHLO, ...offered(XCLIENT)],
        ...["C: MAIL FROM:<>", "C: RCPT TO:<a@example.net>", "S: 250 ok", "S: 250 ok"],
        (session) => {
          assert.ok(session.hasRoomFor("rcpt", ANN));
          assert.ok(session.hasRoomFor("rcpt", BOB));
          assert.ok(!session.hasRoomFor("rcpt", ""), "nobody gets a client's session");
        },
        d.rcpt("b@example.net", BOB),
        ...["C: RSET", "C: XCLIENT ADDR=IPV6:2001:db8::2 HELO=bob", "S: 250 ok"],
        ...["S: 220 again", "C: EHLO bob", ...offered(XCLIENT)],
        ...["C: MAIL FROM:<>", "C: RCPT TO:<b@example.net>", "S: 250 ok", "S: 550 no"],
      ],
      ["ready", "rcpt a@example.net: found", "rcpt b@example.net: not found"],
    );
  });

  it("offered once only is for one client", () => {
    checkDialogue(
      { settings },
      (d) => [
        ...greeted(["XCLIENT ADDR"]),
        (session) => assert.ok(session.hasRoomFor("vrfy", BOB)),
        d.vrfy("ann", ANN),
        ...["C: XCLIENT ADDR=192.0.2.1", "S: 220 again", EHLO, ...offered([]), "C: VRFY ann", "S: 550 no"],
        (session) => assert.ok(session.hasRoomFor("vrfy", ANN) && !session.hasRoomFor("vrfy", BOB)),
      ],
      ["ready", "vrfy ann: not found"],
    );
  });

  it("logs the gateway's own account in again, which the host has forgotten with the rest", () => {
    const extensions = [...XCLIENT, "AUTH PLAIN"];
    const auth = ["C: AUTH PLAIN AHUAcw==", "S: 235 ok"];
    const withAccount = { ...settings, auth: { username: "u", secret: "s" }, allowPlaintextAuth: true };
    checkDialogue(
      { settings: withAccount },
      (d) => [
        ...[...greeted(extensions), ...auth],
        (session) => session.relay(d.relay("m", { client: ANN })),
        "C: XCLIENT ADDR=192.0.2.1 HELO=[UNAVAILABLE]",
        ...["S: 220 again", EHLO, ...offered(extensions), ...auth],
        ...["C: MAIL FROM:<m@example.org>", "C: RCPT TO:<u@example.net>", "C: DATA"],
        ...["S: 250 ok", "S: 250 ok", "S: 354 go", "C: hi", "C: .", "S: 250 done"],
      ],
      ["ready", "m: delivered 250; 250 done"],
    );
  });

  for (const reply of ["501 5.5.4 bad attribute", "550 5.7.0 not you"]) {
    it(`refused with ${reply}: nothing is asked in the client's name, and the connection serves nobody else`, () => {
      checkDialogue(
        { settings },
        (d) => [
          ...greeted(XCLIENT),
          d.vrfy("ann", ANN),
          ...["C: XCLIENT ADDR=192.0.2.1 HELO=[UNAVAILABLE]", () => assert.ok(!d.isRetired), `S: ${reply}`],
          () => assert.ok(d.isRetired, "attributes before the refused one may have been taken"),
        ],
        ["ready", "vrfy ann: HOST_UNAVAILABLE"],
      );
    });
  }

  it("answered with 421: the connection is over, and nothing of the task was shown", () => {
    checkDialogue(
      { settings },
      (d) => [
        ...greeted(XCLIENT),
        d.vrfy("ann", ANN),
        ...["C: XCLIENT ADDR=192.0.2.1 HELO=[UNAVAILABLE]", "S: 421 bye", "DESTROY"],
      ],
      ["ready", "vrfy ann: HOST_UNAVAILABLE", "ended HOST_UNAVAILABLE"],
    );
  });

  it("waits for the reply to RSET where the host does not pipeline", () => {
    const extensions = ["XCLIENT ADDR"];
    checkDialogue(
      { settings },
      (d) => [
        ...[...greeted(extensions), d.rcpt("a@example.net"), "C: MAIL FROM:<>", "S: 250 ok"],
        ...["C: RCPT TO:<a@example.net>", "S: 550 5.1.1 no", d.vrfy("ann", ANN), "C: RSET", "S: 250 ok"],
        ...["C: XCLIENT ADDR=192.0.2.1", "S: 220 again", EHLO, ...offered(extensions), "C: VRFY ann", "S: 550 no"],
      ],
      ["ready", "rcpt a@example.net: not found", "vrfy ann: not found"],
    );
  });

  it("is followed by STARTTLS where the host offers it only then", () => {
    const tls = smtpSettings({ client: "xclient", tls: { startTls: "optional" } });
    checkDialogue(
      { settings: tls },
      (d) => [
        ...[...greeted(["XCLIENT ADDR"]), d.vrfy("ann", ANN), "C: XCLIENT ADDR=192.0.2.1", "S: 220 again"],
        ...[EHLO, ...offered(["STARTTLS"]), "C: STARTTLS", "S: 220 go", "TLS", EHLO, ...offered([])],
        ...["C: VRFY ann", "S: 550 no"],
      ],
      ["notice tls-missing", "ready", "vrfy ann: not found"],
    );
  });

  it("is missing: the client's task has no answer, since the host would judge the gateway in its place", () => {
    checkDialogue({ settings }, (d) => [...greeted(), d.vrfy("ann", ANN), d.vrfy("bob"), "C: VRFY bob", "S: 550 no"], [
      "ready",
      "vrfy ann: HOST_UNAVAILABLE",
      "vrfy bob: not found",
    ]);
  });

  it("says nothing where the configuration does not ask for it", () => {
    checkDialogue({}, (d) => [...greeted(XCLIENT), d.vrfy("ann", ANN), "C: VRFY ann", "S: 550 no"], [
      "ready",
      "vrfy ann: not found",
    ]);
  });
});

describe("XFORWARD", () => {
  const forwarding = smtpSettings({ client: "xforward" });
  const extensions = ["PIPELINING", "XFORWARD NAME ADDR"];

  it("goes before MAIL in the same group, for each client its own", () => {
    checkDialogue(
      { settings: forwarding },
      (d) => [
        ...greeted(extensions),
        d.rcpt("a@example.net", ANN),
        ...["C: XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1", "C: MAIL FROM:<>", "C: RCPT TO:<a@example.net>"],
        ...["S: 250 ok", "S: 250 ok", "S: 250 ok"],
        (session) => session.relay(d.relay("m", { client: BOB })),
        ...["C: RSET", "C: XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::2"],
        ...["C: MAIL FROM:<m@example.org>", "C: RCPT TO:<u@example.net>", "C: DATA"],
        ...["S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", "C: hi", "C: .", "S: 250 done"],
        (session) => session.relay(d.relay("n")),
        ...["C: XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]"],
        ...["C: MAIL FROM:<n@example.org>", "C: RCPT TO:<u@example.net>", "C: DATA"],
        ...["S: 250 ok", "S: 250 ok", "S: 550 no", "S: 554 nobody"],
      ],
      ["ready", "rcpt a@example.net: found", "m: delivered 250; 250 done", "n: refused 550"],
    );
  });

  it("keeps the questions of two clients in transactions of their own", () => {
    checkDialogue(
      { settings: forwarding },
      (d) => [
        ...greeted(extensions),
        d.rcpt("a@example.net", ANN),
        ...["C: XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1", "C: MAIL FROM:<>", "C: RCPT TO:<a@example.net>"],
        d.rcpt("b@example.net", BOB),
        ...["C: RSET", "C: XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::2", "C: MAIL FROM:<>"],
        "C: RCPT TO:<b@example.net>",
        ...["S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 550 no"],
      ],
      ["ready", "rcpt a@example.net: found", "rcpt b@example.net: not found"],
    );
  });

  it("refused is a warning and no reason to keep a message, nor is it sent again", () => {
    checkDialogue(
      { settings: forwarding },
      (d) => [
        ...greeted(["XFORWARD NAME ADDR"]),
        d.rcpt("a@example.net", ANN),
        ...["C: XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1", "S: 550 not you", "C: MAIL FROM:<>", "S: 250 ok"],
        ...["C: RCPT TO:<a@example.net>", "S: 250 ok"],
        (session) => session.relay(d.relay("m", { client: BOB })),
        ...["C: RSET", "S: 250 ok", "C: MAIL FROM:<m@example.org>", "S: 550 no"],
      ],
      ["ready", "notice client-untold", "rcpt a@example.net: found", "m: refused 550; 550 no"],
    );
  });
});

describe("the commands about a client", () => {
  const client = checkClient({
    address: "2001:db8::1",
    port: 1025,
    name: "mx.example.org",
    helo: "a+b=c",
    login: "Jürgen Müller",
    protocol: "LMTP",
    session: "s1",
    local: { address: "192.0.2.25", port: 25 },
  });

  it("hold what is advertised and nothing else, as xtext", () => {
    assert.equal(
      xclientCommand(client, ["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT", "NEW"], false),
      "XCLIENT NAME=mx.example.org ADDR=IPV6:2001:db8::1 PORT=1025 HELO=a+2Bb+3Dc LOGIN=J+C3+BCrgen+20M+C3+BCller DESTADDR=192.0.2.25 DESTPORT=25\r\n",
    );
    assert.equal(xclientCommand(client, ["PROTO", "SESSION"], true), "XCLIENT PROTO=LMTP SESSION=s1\r\n");
  });

  it("are as many as their length takes", () => {
    const long = checkClient({ address: "192.0.2.1", name: "n".repeat(255), helo: "h".repeat(255) });
    const commands = xforwardCommands(long, ["NAME", "ADDR", "HELO"]);
    assert.equal(commands.length, 2);
    assert.ok(commands.every((command) => command.length <= 512 && command.endsWith("\r\n")));
    assert.equal(
      commands
        .join("")
        .replaceAll("\r\n", "")
        .match(/XFORWARD/g)?.length,
      2,
    );
  });
});
