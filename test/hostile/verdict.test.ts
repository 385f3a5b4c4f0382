/** Peers that go wrong behind the final dot: what they say then decides between delivered, refused, deferred and uncertain. */
import { close, cut, expectContent, expectEnd, halfClose, reply, reset, send } from "../../src/testing/index.js";
import { type HostileCase, meet } from "./kit/ground.js";
import { envelope, leaveOrEnd, MAIL_PROTOCOLS, pipelining, TRANSPORTS, takeMessage } from "./kit/lines.js";

/** What a peer says in place of a verdict; none of it is one. */
const NO_VERDICTS: readonly [what: string, said: string][] = [
  ["nothing", ""],
  ["250 without CRLF", "250"],
  ["half a line", "250 2.0.0 sto"],
  ["half a reply of several lines", "250-2.0.0 stored\r\n"],
  ["garbage, then 250", "hello\r\n250 ok\r\n"],
  ["an empty line, then 250", "\r\n250 ok\r\n"],
  ["221", "221 bye\r\n"],
  ["354", "354 go on\r\n"],
  ["100", "100 hm\r\n"],
  ["two codes in one reply", "250-a\r\n550 b\r\n"],
  ["a NUL octet", "250 o\0k\r\n"],
];

const verdictCases: HostileCase[] = [
  ...NO_VERDICTS.flatMap(([what, said]): HostileCase[] => [
    {
      name: `${what} behind the final dot, then the end`,
      protocols: MAIL_PROTOCOLS,
      villains: [(scene) => pipelining(scene, takeMessage(), send(said), close())],
      outcome: "uncertain uncertain",
    },
  ]),
  {
    name: "cuts the connection in the middle of the final reply",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, takeMessage(), send("250 2.0.0 st"), cut())],
    outcome: "uncertain uncertain",
  },
  {
    name: "resets behind the final dot",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, takeMessage(), reset())],
    outcome: "uncertain uncertain",
  },
  {
    name: "half-closes behind the final dot",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => pipelining(scene, takeMessage(), halfClose(), (peer) => peer.ended)],
    outcome: "uncertain uncertain",
  },
  {
    name: "never gives a verdict",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, takeMessage(), expectEnd())],
    outcome: "uncertain uncertain",
  },
  {
    name: "trickles its verdict, each octet within the limit",
    protocols: MAIL_PROTOCOLS,
    villains: [
      (scene) =>
        pipelining(scene, takeMessage(), async (peer) => {
          for (let sent = 0; sent < 200 && (await peer.send(sent === 0 ? "250 " : "o")); sent++) {
            await new Promise((done) => setTimeout(done, 20));
          }
          await peer.ended;
        }),
    ],
    outcome: "uncertain uncertain",
  },
  {
    name: "a verdict of several lines, of another code, with strange octets",
    villains: [
      (scene) =>
        pipelining(
          scene,
          takeMessage(),
          send(Buffer.from("252-5.1.1 \u00ff\x1b[31m\r\n252 \xff\xfe\r\n", "latin1")),
          leaveOrEnd(),
        ),
    ],
    outcome: "delivered delivered",
    recovers: false,
  },
  {
    name: "a bare code is a verdict",
    villains: [(scene) => pipelining(scene, takeMessage(), send("250\r\n"), leaveOrEnd())],
    outcome: "delivered delivered",
    recovers: false,
  },
  {
    name: "refuses for good, and closes at once",
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, takeMessage(), reply("554 5.7.1 spam"), close())],
    outcome: "refused refused",
  },
  {
    name: "421 as the verdict",
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, takeMessage(), reply("421 4.3.2 bye"), close())],
    outcome: "deferred deferred",
  },
  {
    name: "a second verdict, which nobody asked for",
    villains: [(scene) => pipelining(scene, takeMessage(), reply("250 ok", "550 no, after all"), leaveOrEnd())],
    outcome: "delivered delivered",
  },
];

const lmtpOnly: HostileCase[] = [
  {
    name: "452 for one recipient, 250 for the other",
    villains: [(scene) => pipelining(scene, takeMessage(), reply("452 4.2.2 full", "250 ok"), leaveOrEnd())],
    outcome: "deferred delivered",
    recovers: false,
  },
  {
    name: "one reply is missing",
    villains: [(scene) => pipelining(scene, takeMessage(), reply("250 ok"), expectEnd())],
    outcome: "delivered uncertain",
  },
  {
    name: "one reply, then the end",
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, takeMessage(), reply("250 ok"), close())],
    outcome: "delivered uncertain",
  },
  {
    name: "one reply, then garbage",
    villains: [(scene) => pipelining(scene, takeMessage(), send("550 no\r\nwhat?\r\n"), expectEnd())],
    outcome: "refused uncertain",
  },
  {
    name: "one reply too many",
    villains: [(scene) => pipelining(scene, takeMessage(), reply("250 ok", "450 later", "250 ok"), leaveOrEnd())],
    outcome: "delivered deferred",
  },
  {
    name: "421 as the first of two verdicts",
    villains: [(scene) => pipelining(scene, takeMessage(), reply("421 4.3.2 bye"), close())],
    outcome: "deferred uncertain",
  },
  {
    name: "replies for those accepted only, duplicates included",
    villains: [
      (scene) =>
        pipelining(
          scene,
          envelope(4),
          reply("250 ok", "250 ok", "550 no", "250 ok", "250 ok", "354 go on"),
          expectContent(),
          reply("250 a", "452 a", "550 b"),
          leaveOrEnd(),
        ),
    ],
    ask: (host) => host.relay({ from: "", to: ["a@y.example", "nobody@y.example", "a@y.example", "b@y.example"] }, "x"),
    outcome: "delivered refused deferred refused",
    recovers: false,
  },
];

const lmtpCases = lmtpOnly.map((hostile): HostileCase => ({ ...hostile, protocols: ["lmtp"] }));

/** A judge that sends one octet a segment is no villain, only slow. */
const octetCases: HostileCase[] = [
  {
    name: "every reply comes one octet a segment",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [],
    judge: { octetReplies: true },
    outcome: "delivered delivered",
  },
];

meet("peers that go wrong behind the final dot", verdictCases);
meet("LMTP peers that count wrongly", lmtpCases);
meet("peers that are only slow", octetCases);
