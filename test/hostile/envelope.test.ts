/** Peers that go wrong in the envelope of a message: MAIL, RCPT and DATA, on SMTP and LMTP. */
import assert from "node:assert/strict";
import {
  close,
  cut,
  expect,
  expectContent,
  expectEnd,
  expectLines,
  reply,
  reset,
  send,
  sendForEver,
} from "../../src/testing/index.js";
import { type HostileCase, meet } from "./kit/ground.js";
import { envelope, leaveOrEnd, leaveOrSayMore, MAIL_PROTOCOLS, pipelining, TRANSPORTS, welcome } from "./kit/lines.js";

/** Replies to the first command of a group that make no sense. */
const SENSELESS: readonly string[] = [
  "25\r\n",
  "2500 ok\r\n",
  "abc\r\n",
  "\r\n",
  "250-one\r\n550 two\r\n",
  "250-one\r\nabc\r\n",
  "250 o\0k\r\n",
  "250 o\rk\r\n",
  "354 go on\r\n",
  "300 what\r\n",
  "220 hi\r\n",
  "999 ok\r\n",
  "050 ok\r\n",
  `250 ${"x".repeat(4_200)}\r\n`,
  `250-${"y".repeat(100)}\r\n`.repeat(700),
  "250-a\r\n".repeat(1_001),
];

const envelopeCases: HostileCase[] = [
  ...SENSELESS.map(
    (said): HostileCase => ({
      name: `answers MAIL with ${JSON.stringify(said.slice(0, 30))}${said.length > 30 ? "…" : ""}`,
      protocols: MAIL_PROTOCOLS,
      villains: [(scene) => pipelining(scene, envelope(), send(said), expectEnd())],
      outcome: "REMOTE_PROTOCOL",
    }),
  ),
  {
    name: "answers MAIL with lines without end",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, envelope(), sendForEver("250-and another\r\n".repeat(50)))],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "answers RCPT with 354",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => pipelining(scene, envelope(), reply("250 ok", "354 go on"), expectEnd())],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "answers DATA with 250",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => pipelining(scene, envelope(), reply("250 ok", "250 ok", "250 ok", "250 ok"), expectEnd())],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "answers MAIL twice, so that every later reply is one too early",
    protocols: MAIL_PROTOCOLS,
    villains: [
      (scene) => pipelining(scene, envelope(), reply("250 ok", "250 ok", "250 ok", "250 ok", "354 go on"), expectEnd()),
    ],
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "refuses MAIL for good",
    protocols: MAIL_PROTOCOLS,
    villains: [
      (scene) =>
        pipelining(scene, envelope(), reply("550 5.7.1 not you", "503 no", "503 no", "503 no"), leaveOrSayMore()),
    ],
    outcome: "refused refused",
  },
  {
    name: "refuses MAIL for now",
    protocols: MAIL_PROTOCOLS,
    villains: [
      (scene) =>
        pipelining(scene, envelope(), reply("451 4.3.0 later", "503 no", "503 no", "503 no"), leaveOrSayMore()),
    ],
    outcome: "deferred deferred",
  },
  {
    name: "refuses MAIL, accepts the recipients all the same and asks for content",
    villains: [
      (scene) =>
        pipelining(
          scene,
          envelope(),
          reply("550 no", "250 ok", "250 ok", "354 go on"),
          expectLines("."),
          reply("554 nobody"),
          leaveOrSayMore(),
        ),
    ],
    outcome: "refused refused",
  },
  {
    name: "refuses DATA for now",
    protocols: MAIL_PROTOCOLS,
    villains: [
      (scene) =>
        pipelining(scene, envelope(), reply("250 ok", "250 ok", "250 ok", "451 4.3.0 later"), leaveOrSayMore()),
    ],
    outcome: "deferred deferred",
  },
  {
    name: "accepts one recipient, refuses the other, and refuses DATA",
    villains: [
      (scene) =>
        pipelining(scene, envelope(), reply("250 ok", "250 ok", "450 4.2.0 later", "554 5.5.1 no"), leaveOrSayMore()),
    ],
    outcome: "refused deferred",
  },
  {
    name: "asks for content though every recipient was refused",
    villains: [
      (scene) =>
        pipelining(
          scene,
          envelope(),
          reply("250 ok", "550 no", "450 no", "354 go on"),
          expectLines("."),
          reply("250 queued as nothing"),
          leaveOrSayMore(),
        ),
    ],
    outcome: "refused deferred",
  },
  {
    name: "asks for content though every recipient was refused",
    protocols: ["lmtp"],
    villains: [
      (scene) =>
        pipelining(scene, envelope(), reply("250 ok", "550 no", "450 no", "354 go on"), expectLines("."), leaveOrEnd()),
    ],
    outcome: "refused deferred",
  },
  {
    name: "says 421 to RCPT and closes",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => pipelining(scene, envelope(), reply("250 ok", "250 ok", "421 4.3.2 shutting down"), close())],
    outcome: "HOST_UNAVAILABLE",
  },
  {
    name: "says 421 to RCPT and stays",
    protocols: MAIL_PROTOCOLS,
    villains: [
      (scene) => pipelining(scene, envelope(), reply("250 ok", "250 ok", "421 4.3.2 shutting down"), expectEnd()),
    ],
    outcome: "HOST_UNAVAILABLE",
  },
  {
    name: "closes without a reply to the envelope",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, envelope(), close())],
    outcome: "REMOTE_CLOSED",
  },
  {
    name: "resets without a reply to the envelope",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, envelope(), reset())],
    outcome: "REMOTE_CLOSED",
  },
  {
    name: "cuts the connection in the middle of a reply to RCPT",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, envelope(), send("250 ok\r\n250 ok\r\n25"), cut())],
    outcome: "REMOTE_CLOSED",
  },
  {
    name: "advertises PIPELINING and drops all but the first command of a group",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => pipelining(scene, envelope(), reply("250 ok"), expectEnd())],
    outcome: "COMMAND_TIMEOUT",
    // It is remembered: the judge behind it is spoken to one by one, which its ledger would show.
    check: ({ judge }) =>
      assert.deepEqual(
        judge.ledger.connections[0]!.commands.slice(1, 5).map((line) => line.slice(0, 4)),
        ["MAIL", "RCPT", "RCPT", "DATA"],
      ),
  },
  {
    name: "never answers MAIL",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => [welcome(scene), expect(/^MAIL /), expectEnd()]],
    outcome: "COMMAND_TIMEOUT",
  },
  {
    name: "never answers DATA",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => pipelining(scene, envelope(), reply("250 ok", "250 ok", "250 ok"), expectEnd())],
    outcome: "COMMAND_TIMEOUT",
  },
  {
    name: "trickles its reply to MAIL, each octet within the limit",
    villains: [
      (scene) =>
        pipelining(scene, envelope(), async (peer) => {
          for (let sent = 0; sent < 200 && (await peer.send(sent === 0 ? "250 " : "o")); sent++) {
            await new Promise((done) => setTimeout(done, 20));
          }
          await peer.ended;
        }),
    ],
    outcome: "COMMAND_TIMEOUT",
  },
  {
    name: "offers extensions in clear that it does not offer in TLS",
    transports: ["starttls"],
    villains: [
      (scene) => [
        reply("220 hi"),
        expect(/^EHLO /),
        reply(
          "250-villain",
          "250-STARTTLS",
          "250-PIPELINING",
          "250-CHUNKING",
          "250-8BITMIME",
          "250-SIZE 10",
          "250 SMTPUTF8",
        ),
        expect("STARTTLS"),
        reply("220 go"),
        (peer) => peer.startTls(scene.certificate),
        expect(/^EHLO /),
        reply("250 villain"),
        expect("MAIL FROM:<me@x.example>"),
        // Without PIPELINING nothing may stand behind it.
        (peer) => assert.equal(peer.unread.length, 0),
        reply("250 ok"),
        expect(/^RCPT/),
        reply("250 ok"),
        expect(/^RCPT/),
        reply("250 ok"),
        expect("DATA"),
        reply("354 go on"),
        expectContent(),
        reply("250 ok"),
        leaveOrEnd(),
      ],
    ],
    outcome: "delivered delivered",
    recovers: false,
  },
];

meet("peers that go wrong in the envelope", envelopeCases);
