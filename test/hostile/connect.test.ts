/** Peers that go wrong before a session stands: at TCP, in the greeting, at EHLO or LHLO. */
import assert from "node:assert/strict";
import {
  close,
  expect,
  expectEnd,
  expectLines,
  halfClose,
  reply,
  reset,
  send,
  sendForEver,
  silence,
} from "../../src/testing/index.js";
import { type HostileCase, meet, relayToTwo } from "./kit/ground.js";
import { leaveOrEnd, sayExtensions, takeMessage } from "./kit/lines.js";

const EVERYWHERE = { protocols: ["smtp", "lmtp"], transports: ["plain", "implicit"] } as const;

/** A greeting, or what stands in its place, and what it must come to. */
const GREETINGS: readonly [what: string, said: string | Uint8Array, outcome: string][] = [
  ["421", "421 4.3.2 too busy\r\n", "HOST_UNAVAILABLE"],
  ["554", "554 5.7.1 no service for you\r\n", "HOST_UNAVAILABLE"],
  ["250 in place of 220", "250 hello\r\n", "REMOTE_PROTOCOL"],
  ["354 in place of 220", "354 hello\r\n", "REMOTE_PROTOCOL"],
  ["garbage", "hello there\r\n", "REMOTE_PROTOCOL"],
  ["an SSH server", "SSH-2.0-OpenSSH_9.2\r\n", "REMOTE_PROTOCOL"],
  ["a web server", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "REMOTE_PROTOCOL"],
  ["telnet options", Uint8Array.of(0xff, 0xfb, 0x01, 13, 10), "REMOTE_PROTOCOL"],
  ["an empty line", "\r\n220 hello\r\n", "REMOTE_PROTOCOL"],
  ["a NUL octet", "220 he\0llo\r\n", "REMOTE_PROTOCOL"],
  ["a bare CR", "220 he\rllo\r\n", "REMOTE_PROTOCOL"],
  ["two greetings", "220 one\r\n220 two\r\n", "REMOTE_PROTOCOL"],
  ["the reply to EHLO along with it", "220 hi\r\n250-villain\r\n250 PIPELINING\r\n", "REMOTE_PROTOCOL"],
  ["a line of 5,000 octets", `220 ${"x".repeat(5_000)}\r\n`, "REMOTE_PROTOCOL"],
  ["a multiline one with two codes", "220-one\r\n421 two\r\n", "REMOTE_PROTOCOL"],
];

const cases: HostileCase[] = [
  ...GREETINGS.map(
    ([what, said, outcome]): HostileCase => ({
      ...EVERYWHERE,
      name: `greets with ${what}`,
      villains: [() => [send(said), expectEnd()]],
      outcome,
    }),
  ),
  {
    name: "a refusal at the greeting is no verdict on a recipient",
    villains: [() => [reply("554 5.7.1 no service"), expectEnd()]],
    ask: (host) => host.verifyRecipient("a@y.example"),
    outcome: "HOST_UNAVAILABLE",
  },
  { ...EVERYWHERE, name: "accepts and says nothing", villains: [() => silence()], outcome: "COMMAND_TIMEOUT" },
  {
    name: "accepts, and never answers the TLS handshake",
    transports: ["implicit"],
    ownTls: true,
    villains: [() => silence()],
    outcome: "CONNECT_TIMEOUT",
  },
  {
    name: "speaks plain text where TLS was expected",
    protocols: ["smtp", "lmtp", "imap"],
    transports: ["implicit"],
    ownTls: true,
    villains: [() => [reply("220 plain.example"), (peer) => peer.ended]],
    outcome: "TLS_FAILED",
  },
  { ...EVERYWHERE, name: "closes at once", villains: [() => close()], outcome: "REMOTE_CLOSED" },
  { ...EVERYWHERE, name: "resets at once", villains: [() => reset()], outcome: /^(?:REMOTE_CLOSED|CONNECT_FAILED)$/ },
  {
    ...EVERYWHERE,
    name: "half-closes behind its greeting",
    villains: [() => [reply("220 hi"), halfClose(), (peer) => peer.ended]],
    outcome: "REMOTE_CLOSED",
  },
  {
    ...EVERYWHERE,
    name: "closes in the middle of the greeting",
    villains: [() => [send("220 he"), close()]],
    outcome: "REMOTE_CLOSED",
  },
  {
    ...EVERYWHERE,
    name: "trickles an endless greeting, each octet within the limit",
    villains: [
      () => async (peer) => {
        // Octets must not prolong the limit: the client is gone before this is through.
        for (let sent = 0; sent < 200 && (await peer.send("2")); sent++) {
          await new Promise((done) => setTimeout(done, 20));
        }
        await peer.ended;
      },
    ],
    outcome: "COMMAND_TIMEOUT",
  },
  {
    ...EVERYWHERE,
    name: "greets without end",
    villains: [() => sendForEver("220-hello\r\n".repeat(100))],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "a long greeting of several lines is a greeting",
    villains: [() => [send("220-one\r\n220-two\r\n220 three\r\n"), expect(/^EHLO /), reply("250 hi"), relayOneByOne()]],
    outcome: "delivered delivered",
    recovers: false,
  },
  {
    name: "EHLO is refused: HELO will do where nothing else is needed",
    villains: [
      () => [
        reply("220 old.example"),
        expect(/^EHLO /),
        reply("500 what?"),
        expect("HELO me.example"),
        reply("250 hi"),
        relayOneByOne(),
      ],
    ],
    outcome: "delivered delivered",
    recovers: false,
  },
  {
    name: "EHLO is refused where TLS is required",
    transports: ["starttls"],
    villains: [() => [reply("220 old.example"), expect(/^EHLO /), reply("500 what?"), expectEnd()]],
    outcome: "HOST_UNAVAILABLE",
  },
  {
    name: "EHLO is refused where the connection has an account",
    judge: { users: { gate: "way" } },
    host: { auth: { username: "gate", secret: "way" } },
    villains: [() => [reply("220 old.example"), expect(/^EHLO /), reply("502 what?"), expectEnd()]],
    outcome: "HOST_UNAVAILABLE",
  },
  {
    name: "EHLO and HELO are refused",
    villains: [
      () => [
        reply("220 old.example"),
        expect(/^EHLO /),
        reply("500 no"),
        expect(/^HELO /),
        reply("550 no"),
        expectEnd(),
      ],
    ],
    outcome: "HOST_UNAVAILABLE",
  },
  {
    name: "LHLO is refused: no HELO for LMTP",
    protocols: ["lmtp"],
    villains: [() => [reply("220 old.example"), expect(/^LHLO /), reply("500 what?"), expectEnd()]],
    outcome: "HOST_UNAVAILABLE",
  },
  ...["354 go on", "220 hi", "25 hi", "2500 hi", "abc"].map(
    (said): HostileCase => ({
      name: `answers EHLO with ${JSON.stringify(said)}`,
      protocols: ["smtp", "lmtp"],
      villains: [() => [reply("220 hi"), expect(/^.HLO |^EHLO /), reply(said), expectEnd()]],
      outcome: "REMOTE_PROTOCOL",
    }),
  ),
  {
    ...EVERYWHERE,
    name: "10,000 lines of extensions",
    villains: [
      () => [
        reply("220 hi"),
        expect(/HLO /),
        // More than the limit is in flight before the client can close; what it says then is nothing.
        async (peer) => {
          for (let at = 0; at < 100; at++) {
            await peer.send("250-X-EXTENSION\r\n".repeat(100));
          }
        },
        expectEnd(),
      ],
    ],
    outcome: "REMOTE_PROTOCOL",
  },
  ...[
    "SIZE=-1",
    "SIZE -1",
    "SIZE 99999999999999999999999",
    "SIZE x",
    "AUTH",
    "AUTH=",
    "STARTTLS please",
    " ",
    "\u00ff\u00fe",
  ].map(
    (odd): HostileCase => ({
      name: `an extension line ${JSON.stringify(odd)} does no harm`,
      villains: [() => [reply("220 hi"), expect(/^EHLO /), (peer) => sayExtensions(peer, [odd]), relayOneByOne()]],
      outcome: "delivered delivered",
      recovers: false,
    }),
  ),
  {
    name: "extensions in small letters are extensions",
    villains: [
      () => [
        reply("220 hi"),
        expect(/^EHLO /),
        (peer) => sayExtensions(peer, ["pipelining", "8bitmime"]),
        takeMessage(),
        reply("250 ok"),
        leaveOrEnd(),
      ],
    ],
    outcome: "delivered delivered",
    recovers: false,
  },
  {
    name: "a host that came back is served again although it refused connections before",
    villains: [],
    ask: async (host) => relayToTwo(host),
    outcome: "delivered delivered",
    check: ({ server }) => assert.equal(server.accepted, 1),
  },
];

/** The whole of a message for a client that may not pipeline. */
function relayOneByOne() {
  return [
    expect(/^MAIL FROM:<me@x\.example>/),
    reply("250 ok"),
    expectLines("RCPT TO:<a@y.example>"),
    reply("250 ok"),
    expectLines("RCPT TO:<b@y.example>"),
    reply("250 ok"),
    expectLines("DATA"),
    reply("354 go on"),
    expectLines("Subject: x", "", "..hello", "."),
    reply("250 ok"),
    leaveOrEnd(),
  ];
}

meet("peers that go wrong before a session stands", cases);
