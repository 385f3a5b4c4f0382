/** Peers that go wrong, or are merely peculiar, when they are asked about recipients, mailboxes and lists. */
import assert from "node:assert/strict";
import type { RelaypostError, RemoteHost } from "../../src/index.js";
import {
  close,
  expect,
  expectEnd,
  expectLines,
  reply,
  type Script,
  type ScriptedPeer,
  send,
  sendForEver,
  silence,
} from "../../src/testing/index.js";
import { type HostileCase, meet, outcomeOf, relayToTwo, type Scene } from "./kit/ground.js";
import { leaveOrEnd, leaveOrSayMore, MAIL_PROTOCOLS, pipelining, TRANSPORTS, welcome } from "./kit/lines.js";

const rcpt: HostileCase["ask"] = (host) => host.verifyRecipient("a@y.example");
const vrfy: HostileCase["ask"] = (host) => host.verify("a@y.example");
const expn: HostileCase["ask"] = (host) => host.expand("staff");

/** Answers every command of the kind it is asked for, however they are grouped, until the client is gone. */
function answering(answer: (line: string) => string | undefined): Script {
  return async (peer: ScriptedPeer) => {
    while (!peer.hasEnded || peer.unread.length > 0) {
      const line = await peer.line().catch(() => undefined);
      if (line === undefined || line === "QUIT") {
        return;
      }
      const said = answer(line);
      if (said === undefined) {
        assert.fail(`unexpected: ${line}`);
      }
      await peer.reply(said);
    }
  };
}

/** One probe: MAIL and RCPT, each with its reply. */
const probed = (scene: Scene, mail: string, ...rest: Script[]): Script => [
  welcome(scene),
  expect("MAIL FROM:<>"),
  reply(mail),
  ...rest,
];

/** MAIL, and so many recipients that are refused. */
const refusing = (count: number): Script => [
  expect("MAIL FROM:<>"),
  reply("250 ok"),
  ...Array.from({ length: count }, (): Script => [expect(/^RCPT/), reply("550 5.1.1 no")]),
];

/** Asks about one unknown recipient after the other. */
async function askEach(host: RemoteHost, outcomes: readonly string[]): Promise<{ found: boolean }> {
  const words: string[] = [];
  for (const at of outcomes.keys()) {
    words.push((await outcomeOf(host.verifyRecipient(`u${at}@y.example`))).word);
  }
  assert.deepEqual(words, outcomes);
  return { found: false };
}

const NO_VERDICTS_ON_RCPT: readonly [said: string, outcome: string][] = [
  ["450 4.2.0 greylisted", "REPLY_TRANSIENT"],
  ["451 4.3.0 later", "REPLY_TRANSIENT"],
  ["452 4.5.3 too many", "REPLY_TRANSIENT"],
  ["503 5.5.1 what?", "REPLY_PERMANENT"],
  ["530 5.7.0 log in", "REPLY_PERMANENT"],
  ["421 4.3.2 bye", "HOST_UNAVAILABLE"],
  ["354 go on", "REMOTE_PROTOCOL"],
  ["300 hm", "REMOTE_PROTOCOL"],
  ["25", "REMOTE_PROTOCOL"],
  ["2500 ok", "REMOTE_PROTOCOL"],
  ["hello", "REMOTE_PROTOCOL"],
];

const rcptCases: HostileCase[] = [
  ...NO_VERDICTS_ON_RCPT.map(
    ([said, outcome]): HostileCase => ({
      name: `answers RCPT with ${said}: no verdict`,
      protocols: MAIL_PROTOCOLS,
      villains: [
        (scene) => probed(scene, "250 ok", expect("RCPT TO:<a@y.example>"), reply(said), (peer) => peer.close()),
      ],
      ask: rcpt,
      outcome,
    }),
  ),
  ...["550 5.1.1 no", "551 elsewhere", "553 what a name", "554 5.7.1 not you", "521 nobody", "556 5.1.10 no"].map(
    (said): HostileCase => ({
      name: `answers RCPT with ${said}: a verdict`,
      protocols: MAIL_PROTOCOLS,
      villains: [
        (scene) => probed(scene, "250 ok", expect("RCPT TO:<a@y.example>"), reply(said), (peer) => peer.close()),
      ],
      ask: rcpt,
      outcome: "not found",
    }),
  ),
  ...["250 ok", "251 elsewhere", "252 perhaps"].map(
    (said): HostileCase => ({
      name: `answers RCPT with ${said}: found`,
      villains: [
        (scene) => probed(scene, "250 ok", expect("RCPT TO:<a@y.example>"), reply(said), (peer) => peer.close()),
      ],
      ask: rcpt,
      outcome: "found",
    }),
  ),
  ...["550 5.7.1 not you", "451 4.3.0 later", "530 log in", "421 bye", "354 go on"].map(
    (said): HostileCase => ({
      name: `answers MAIL with ${said}: no verdict on the recipient`,
      protocols: MAIL_PROTOCOLS,
      villains: [(scene) => probed(scene, said, leaveOrSayMore())],
      ask: rcpt,
      outcome: /^(?:REPLY_PERMANENT|REPLY_TRANSIENT|HOST_UNAVAILABLE|REMOTE_PROTOCOL)$/,
    }),
  ),
  {
    name: "refuses MAIL and accepts RCPT all the same: no verdict",
    villains: [
      (scene) =>
        pipelining(
          scene,
          expectLines("MAIL FROM:<>", "RCPT TO:<a@y.example>"),
          reply("550 no", "250 ok"),
          leaveOrSayMore(),
        ),
    ],
    ask: rcpt,
    outcome: "REPLY_PERMANENT",
  },
  {
    name: "never answers RCPT",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, expectLines("MAIL FROM:<>", /^RCPT/), reply("250 ok"), expectEnd())],
    ask: rcpt,
    outcome: "COMMAND_TIMEOUT",
  },
  {
    name: "closes instead of answering RCPT",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    villains: [(scene) => pipelining(scene, expectLines("MAIL FROM:<>", /^RCPT/), reply("250 ok"), close())],
    ask: rcpt,
    outcome: "REMOTE_CLOSED",
  },
  {
    name: "takes three recipients a transaction and says 452 to more: they are asked again behind RSET",
    villains: [
      (scene) => {
        let count = 0;
        return [
          welcome(scene, "PIPELINING"),
          answering((line) => {
            if (line === "RSET") {
              count = 0;
            }
            if (line === "RSET" || line.startsWith("MAIL")) {
              return "250 ok";
            }
            return line.startsWith("RCPT") ? (++count > 3 ? "452 4.5.3 too many" : "250 ok") : undefined;
          }),
        ];
      },
    ],
    host: { concurrency: 1, limits: { errors: 100 } },
    ask: async (host) => {
      const answers = Array.from({ length: 10 }, (_, at) => host.verifyRecipient(`u${at}@y.example`));
      const founds = (await Promise.all(answers)).map(({ found }) => found);
      return { found: founds.every(Boolean) };
    },
    outcome: "found",
    recovers: false,
  },
  {
    name: "refuses one recipient after the other for what we are: from the fifth on there are no verdicts",
    villains: [
      (scene) => [
        welcome(scene, "PIPELINING"),
        answering((line) => (line.startsWith("RCPT") ? "550 5.7.1 blocked" : "250 ok")),
      ],
    ],
    host: { concurrency: 1, limits: { errors: 100 } },
    ask: async (host) => {
      const words: string[] = [];
      for (let at = 0; at < 7; at++) {
        words.push((await outcomeOf(host.verifyRecipient(`u${at}@y.example`))).word);
      }
      assert.deepEqual(words.slice(0, 4), Array(4).fill("not found"));
      assert.deepEqual(words.slice(5), Array(2).fill("HOST_UNAVAILABLE"));
      return { found: false };
    },
    outcome: "not found",
    recovers: false,
  },
  {
    name: "counts errors: no more refusals are risked on a connection than limits.errors",
    villains: [
      (scene) => {
        let refused = 0;
        return [
          welcome(scene, "PIPELINING"),
          answering((line) => {
            if (!line.startsWith("RCPT")) {
              return "250 ok";
            }
            assert.ok(++refused <= 3, "a fourth refusal");
            return "550 5.1.1 no";
          }),
        ];
      },
    ],
    judge: { recipients: ["a@y.example", "b@y.example"] },
    host: { concurrency: 1 },
    ask: async (host) => {
      const answers = await Promise.all(Array.from({ length: 3 }, (_, at) => host.verifyRecipient(`u${at}@y.example`)));
      return { found: answers.some(({ found }) => found) };
    },
    outcome: "not found",
  },
  {
    name: "slows down after three errors: no fourth question meets it there",
    villains: [
      (scene) => [
        welcome(scene, "PIPELINING"),
        refusing(3),
        // It would be too slow for whatever came now; QUIT wants no answer.
        expect("QUIT"),
        silence(),
      ],
    ],
    judge: { recipients: ["a@y.example", "b@y.example"] },
    host: { concurrency: 1, limits: { idle: "20s" } },
    ask: (host) => askEach(host, ["not found", "not found", "not found", "not found"]),
    outcome: "not found",
  },
  {
    name: "slows down after two errors: the third question is asked again of a fresh connection",
    protocols: MAIL_PROTOCOLS,
    transports: TRANSPORTS,
    // What it says in the end is too late, and for nobody.
    villains: [(scene) => [welcome(scene, "PIPELINING"), refusing(2), expect(/^RCPT/), expectEnd(), reply("250 ok")]],
    judge: { recipients: ["a@y.example", "b@y.example"] },
    host: { concurrency: 1, limits: { idle: "20s" } },
    ask: (host) => askEach(host, ["not found", "not found", "not found", "not found"]),
    outcome: "not found",
  },
  {
    name: "slows down after two errors, and is slow from then on: no verdict, and no third try",
    villains: [
      (scene) => [welcome(scene, "PIPELINING"), refusing(2), expect(/^RCPT/), expectEnd()],
      (scene) => [welcome(scene, "PIPELINING"), expectLines("MAIL FROM:<>", /^RCPT/), expectEnd()],
    ],
    judge: { recipients: ["a@y.example", "b@y.example"] },
    host: { concurrency: 1, limits: { idle: "20s" } },
    ask: (host) => askEach(host, ["not found", "not found", "COMMAND_TIMEOUT", "not found"]),
    outcome: "not found",
  },
];

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

/** A relay does not go into a probe's open transaction. */
const mixedCases: HostileCase[] = [
  {
    name: "a message behind a probe begins with RSET, and the probe's recipient gets nothing",
    villains: [],
    host: { concurrency: 1, limits: { idle: "20s" } },
    ask: async (host) => {
      await host.verifyRecipient("probe@y.example");
      return relayToTwo(host);
    },
    outcome: "delivered delivered",
    check: ({ judge }) => {
      assert.ok(judge.ledger.commands.includes("RSET"));
      assert.ok(!judge.ledger.deliveries.some(({ address }) => address === "probe@y.example"));
    },
  },
  {
    name: "an error names the host and carries the reply",
    villains: [
      (scene) => probed(scene, "250 ok", expect(/^RCPT/), reply("450 4.2.0 greylisted"), (peer) => peer.close()),
    ],
    ask: rcpt,
    outcome: "REPLY_TRANSIENT",
    check: ({ value }) => {
      const { hostId, reply: said, retryable } = value as RelaypostError;
      assert.match(hostId!, /^case-/);
      assert.deepEqual(said, { code: 450, enhanced: "4.2.0", text: "greylisted" });
      assert.equal(retryable, true);
    },
  },
];

meet("peers that are asked about recipients", rcptCases);
meet("peers that are asked about mailboxes and lists", queryCases);
meet("peers that are asked and relayed to in turn", mixedCases);
