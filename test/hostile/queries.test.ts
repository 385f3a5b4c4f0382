/** Peers that answer VRFY and EXPN with something else than a verdict. */
import assert from "node:assert/strict";
import { expect, reply, send, sendForEver } from "../../src/testing/index.js";
import { type HostileCase, meet } from "./kit/ground.js";
import { leaveOrEnd, TRANSPORTS, welcome } from "./kit/lines.js";
import { expn, vrfy } from "./kit/questions.js";

const NO_VERDICTS_ON_QUERIES: readonly string[] = [
  "252 try and see",
  "500 what?",
  "502 no such command",
  "450 later",
  "554 no",
  "530 log in",
  "354 go on",
  "220 hi",
  "hello",
];

const queryCases: HostileCase[] = [
  ...NO_VERDICTS_ON_QUERIES.flatMap((said) =>
    [["VRFY a@y.example", vrfy] as const, ["EXPN staff", expn] as const].map(
      ([command, ask]): HostileCase => ({
        name: `answers ${command.slice(0, 4)} with ${said}: no verdict`,
        villains: [(scene) => [welcome(scene), expect(command), reply(said), (peer) => peer.close()]],
        ask: ask!,
        outcome: /^(?:REPLY_PERMANENT|REPLY_TRANSIENT|NOT_SUPPORTED|REMOTE_PROTOCOL)$/,
      }),
    ),
  ),
  ...["550 no", "551 elsewhere", "553 ambiguous"].flatMap((said) =>
    [["VRFY a@y.example", vrfy] as const, ["EXPN staff", expn] as const].map(
      ([command, ask]): HostileCase => ({
        name: `answers ${command.slice(0, 4)} with ${said}: a verdict`,
        villains: [(scene) => [welcome(scene), expect(command), reply(said), leaveOrEnd()]],
        ask: ask!,
        outcome: "not found",
        recovers: false,
      }),
    ),
  ),
  {
    name: "a list of 9,999 members is read",
    villains: [
      (scene) => [
        welcome(scene),
        expect("EXPN staff"),
        send(`${"250-<somebody@y.example>\r\n".repeat(9_998)}250 <last@y.example>\r\n`),
        leaveOrEnd(),
      ],
    ],
    ask: expn,
    outcome: "found",
    recovers: false,
    check: ({ value }) => assert.equal((value as { values: string[] }).values.length, 9_999),
  },
  {
    name: "a list of a million members",
    transports: TRANSPORTS,
    villains: [
      (scene) => [welcome(scene), expect("EXPN staff"), sendForEver("250-<somebody@y.example>\r\n".repeat(500))],
    ],
    ask: expn,
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "a list to VRFY of as many lines as only EXPN may have",
    villains: [(scene) => [welcome(scene), expect(/^VRFY/), sendForEver("250-<somebody@y.example>\r\n".repeat(500))]],
    ask: vrfy,
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "a gigabyte without a newline costs next to nothing",
    transports: TRANSPORTS,
    villains: [
      (scene) => [
        welcome(scene),
        expect(/^VRFY/),
        async (peer) => {
          const block = Buffer.alloc(65_536, "x");
          let sent = 0;
          while (sent < 2 ** 30 && (await peer.send(block))) {
            sent += block.length;
          }
          // The rest is what the kernel holds for both sides: the client has read 4 KiB and gone.
          assert.ok(sent < 32 * 1024 * 1024, `${sent} octets were taken`);
        },
      ],
    ],
    ask: async (host) => {
      const before = process.memoryUsage.rss();
      try {
        return await host.verify("a@y.example");
      } finally {
        const grown = process.memoryUsage.rss() - before;
        assert.ok(grown < 64 * 1024 * 1024, `${grown} octets more`);
      }
    },
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "two replies to one VRFY: the next question does not get the second",
    villains: [
      (scene) => [welcome(scene), expect("VRFY a@y.example"), reply("250 <a@y.example>", "550 no"), leaveOrEnd()],
    ],
    ask: vrfy,
    outcome: "found",
  },
];

meet("peers that are asked about mailboxes and lists", queryCases);
