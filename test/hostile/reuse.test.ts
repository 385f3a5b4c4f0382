/** Peers that go wrong on a connection that has served before: when a message may go again by itself, and when not. */
import assert from "node:assert/strict";
import { close, expect, expectEnd, reply, reset, send, silence } from "../../src/testing/index.js";
import { type HostileCase, meet, relayToOne, relayToTwo } from "./kit/ground.js";
import { envelope, pipelining, TRANSPORTS, takeMessage } from "./kit/lines.js";

const reuseCases: HostileCase[] = [
  {
    name: "421 out of the blue while the connection rests",
    villains: [(scene) => pipelining(scene, takeMessage(), reply("250 ok", "421 4.4.2 idle too long"), expectEnd())],
    outcome: "delivered delivered",
  },
  ...(
    [
      ["some other reply", "250 ok again\r\n"],
      ["half a line", "4"],
    ] as const
  ).flatMap(([what, said]): HostileCase[] => [
    {
      name: `${what} in one segment with the verdict`,
      villains: [(scene) => pipelining(scene, takeMessage(), send(`250 ok\r\n${said}`), expectEnd())],
      host: { limits: { idle: "20s" } },
      outcome: "delivered delivered",
    },
    {
      name: `${what} out of the blue while the connection rests`,
      villains: [(scene) => pipelining(scene, takeMessage(), reply("250 ok"), send(said), expectEnd())],
      host: { limits: { idle: "20s" } },
      outcome: "delivered delivered",
      // The next message might cross what comes out of the blue: then that is no rest.
      recovers: false,
      check: async ({ server }) => (await server.connection(1)).ended,
    },
  ]),
  {
    name: "closes the connection after each message",
    transports: TRANSPORTS,
    protocols: ["smtp"],
    villains: [(scene) => pipelining(scene, takeMessage(), reply("250 ok"), close())],
    outcome: "delivered delivered",
  },
  ...(
    [
      ["closes when the next message comes", [close()]],
      ["resets when the next message comes", [reset()]],
      ["says 421 when the next message comes", [reply("421 4.4.2 idle too long"), close()]],
    ] as const
  ).map(
    ([name, ending]): HostileCase => ({
      name: `${name}: it goes again, once`,
      villains: [(scene) => pipelining(scene, takeMessage(1), reply("250 ok"), expect(/^MAIL/), [...ending])],
      ask: async (host) => {
        await relayToOne(host);
        return relayToTwo(host);
      },
      host: { concurrency: 1, limits: { idle: "20s" } },
      outcome: "delivered delivered",
      recovers: false,
      check: ({ judge }) => assert.equal(judge.ledger.messageCount, 1),
    }),
  ),
  {
    name: "closes twice when the next message comes: it does not go a third time",
    villains: [
      (scene) => pipelining(scene, takeMessage(1), reply("250 ok"), expect(/^MAIL/), close()),
      (scene) => pipelining(scene, expect(/^MAIL/), close()),
    ],
    ask: async (host) => {
      await relayToOne(host);
      return relayToTwo(host);
    },
    host: { concurrency: 1, limits: { idle: "20s" } },
    outcome: "REMOTE_CLOSED",
  },
  {
    name: "accepts MAIL on a used connection and closes: that is no reason to send again",
    villains: [(scene) => pipelining(scene, takeMessage(1), reply("250 ok"), envelope(2), reply("250 ok"), close())],
    ask: async (host) => {
      await relayToOne(host);
      return relayToTwo(host);
    },
    host: { concurrency: 1, limits: { idle: "20s" } },
    outcome: "REMOTE_CLOSED",
  },
  {
    name: "closes a used connection behind the final dot: that is no reason to send again",
    villains: [(scene) => pipelining(scene, takeMessage(1), reply("250 ok"), takeMessage(2), close())],
    ask: async (host) => {
      await relayToOne(host);
      return relayToTwo(host);
    },
    host: { concurrency: 1, limits: { idle: "20s" } },
    outcome: "uncertain uncertain",
  },
  {
    name: "does not answer QUIT: the place is free again soon",
    villains: [(scene) => pipelining(scene, takeMessage(2), reply("250 ok"), expect("QUIT"), silence())],
    host: { concurrency: 1, limits: { requests: 1 } },
    outcome: "delivered delivered",
  },
  {
    name: "refuses RSET",
    villains: [
      (scene) =>
        pipelining(
          scene,
          envelope(2),
          reply("250 ok", "550 no", "550 no", "554 no"),
          expect("RSET"),
          expect(/^MAIL/),
          reply("502 what?"),
          async (peer) => void (await peer.rest()),
        ),
    ],
    ask: async (host) => {
      await relayToTwo(host);
      return relayToOne(host);
    },
    host: { concurrency: 1, limits: { idle: "20s", errors: 100 } },
    outcome: "REMOTE_PROTOCOL",
  },
];

meet("peers that go wrong on a connection that was used before", reuseCases);
