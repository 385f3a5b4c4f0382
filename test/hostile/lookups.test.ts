/** Peers that answer RCPT with something else than a verdict, and those that are asked and relayed to in turn. */
import assert from "node:assert/strict";
import type { RelaypostError } from "../../src/index.js";
import { close, expect, expectEnd, expectLines, reply, silence } from "../../src/testing/index.js";
import { type HostileCase, meet, outcomeOf, relayToTwo } from "./kit/ground.js";
import { leaveOrSayMore, MAIL_PROTOCOLS, pipelining, TRANSPORTS, welcome } from "./kit/lines.js";
import { answering, askEach, probed, rcpt, refusing } from "./kit/questions.js";

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

meet("peers that are asked and relayed to in turn", mixedCases);
