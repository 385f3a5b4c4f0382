/** Peers that go wrong while the content of a message is on its way, by DATA and by BDAT. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import type { RemoteHost } from "../../src/index.js";
import {
  close,
  expect,
  expectLines,
  play as perform,
  reply,
  reset,
  type Script,
  type ScriptedPeer,
  silence,
  stopReading,
  waitFor,
} from "../../src/testing/index.js";
import { type HostileCase, meet, type Scene } from "./kit/ground.js";
import { envelope, leaveOrEnd, leaveOrSayMore, MAIL_PROTOCOLS, pipelining, TRANSPORTS, welcome } from "./kit/lines.js";

/** Large enough that it cannot leave in one write; the peer's window fills. */
const LARGE = Buffer.alloc(16 * 1024 * 1024, `${"x".repeat(70)}\r\n`);

const relayLarge: HostileCase["ask"] = (host) =>
  host.relay({ from: "me@x.example", to: ["a@y.example", "b@y.example"] }, LARGE);

/** Resolved when a villain has seen the beginning of a content. */
const hasBegun = { smtp: deferred(), lmtp: deferred(), imap: deferred() };

function deferred(): { promise: Promise<void>; resolve(): void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** An accepted envelope, 354, and what the villain does then. */
function untilContent(scene: Scene, ...script: readonly Script[]): Script {
  return pipelining(scene, envelope(), reply("250 ok", "250 ok", "250 ok", "354 go on"), ...script);
}

const contentCases: HostileCase[] = [
  {
    name: "closes behind 354, the content being on its way already",
    transports: TRANSPORTS,
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => untilContent(scene, expectLines("Subject: x"), close())],
    outcome: "uncertain uncertain",
  },
  {
    name: "resets while a large message is on its way",
    transports: TRANSPORTS,
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => untilContent(scene, (peer) => peer.read(100_000), reset())],
    ask: relayLarge,
    outcome: "REMOTE_CLOSED",
  },
  {
    name: "stops reading a large message",
    transports: TRANSPORTS,
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => untilContent(scene, stopReading(), (peer) => peer.closed)],
    ask: relayLarge,
    outcome: "COMMAND_TIMEOUT",
    listen: { patienceMs: 5_000 },
    // The villain does not read, so that it cannot hear the end either.
    check: async ({ server }) => (await server.connection(1)).destroy(),
  },
  {
    name: "refuses for good while a large message is on its way",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => untilContent(scene, (peer) => peer.read(1_000), reply("552 5.3.4 too big"), drain())],
    ask: relayLarge,
    outcome: "refused refused",
  },
  {
    name: "refuses for now while a large message is on its way",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => untilContent(scene, (peer) => peer.read(1_000), reply("452 4.3.1 full"), drain())],
    ask: relayLarge,
    outcome: "deferred deferred",
  },
  {
    name: "claims to have taken a message that is still on its way",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => untilContent(scene, (peer) => peer.read(1_000), reply("250 2.0.0 mine"), drain())],
    ask: relayLarge,
    outcome: "REMOTE_PROTOCOL",
  },
  {
    name: "says 421 while a large message is on its way",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => untilContent(scene, (peer) => peer.read(1_000), reply("421 4.3.2 bye"), drain())],
    ask: relayLarge,
    outcome: /^(?:deferred deferred|HOST_UNAVAILABLE)$/,
  },
  {
    name: "the content's stream fails: no terminator is sent",
    protocols: MAIL_PROTOCOLS,
    villains: [
      (scene) =>
        untilContent(scene, async (peer) => {
          await peer.expect(/^Subject: x/);
          hasBegun[scene.protocol].resolve();
          assert.doesNotMatch((await peer.rest()).toString("latin1"), /\r\n\.\r\n/);
        }),
    ],
    ask: (host) =>
      host.relay(
        { from: "me@x.example", to: ["a@y.example", "b@y.example"] },
        Readable.from(
          (async function* () {
            yield Buffer.from("Subject: x\r\n".padEnd(300_000, "y"));
            await hasBegun[host.protocol].promise;
            throw new Error("the disk is gone");
          })(),
        ),
      ),
    outcome: "CONTENT_FAILED",
  },
];

/** Reads whatever comes until the client is gone. */
function drain(): Script {
  return [(peer) => peer.takeOver(() => {}), waitFor((peer) => peer.ended)];
}

/** An envelope for BDAT, its recipients answered. */
function untilChunks(scene: Scene, toRecipients = "250 ok"): Script {
  return [
    welcome(scene, "PIPELINING", "CHUNKING", "BINARYMIME"),
    expect(/^MAIL/),
    expectLines(/^RCPT/, /^RCPT/),
    reply("250 ok", toRecipients, toRecipients),
  ];
}

function unknownChunks(protocol: "smtp" | "lmtp", outcome: string): HostileCase {
  return {
    name: "advertises CHUNKING and does not know BDAT",
    protocols: [protocol],
    villains: [
      (scene) => [
        untilChunks(scene),
        expect(/^BDAT \d+ LAST$/),
        reply("500 5.5.2 what?"),
        // It would take the content for commands; whatever comes belongs to the chunk.
        async (peer) => assert.doesNotMatch((await peer.rest()).toString("latin1"), /^(?:MAIL|DATA|RSET|BDAT|QUIT)/m),
      ],
    ],
    judge: { capabilities: { chunking: true } },
    outcome,
    check: ({ judge }) => assert.equal(judge.ledger.transactions[0]!.via, "DATA"),
  };
}

const chunkCases: HostileCase[] = [
  unknownChunks("smtp", "REMOTE_PROTOCOL"),
  // It might be the verdict on the first recipient only.
  unknownChunks("lmtp", "refused uncertain"),
  {
    name: "refuses the last chunk",
    villains: [(scene) => [untilChunks(scene), takeChunk(), reply("552 5.3.4 too big"), leaveOrSayMore()]],
    outcome: "refused refused",
  },
  {
    name: "closes behind the last chunk",
    protocols: MAIL_PROTOCOLS,
    villains: [(scene) => [untilChunks(scene), takeChunk(), close()]],
    outcome: "uncertain uncertain",
  },
  {
    name: "refuses every recipient of a message that would go by BDAT: no chunk is sent",
    villains: [(scene) => [untilChunks(scene, "550 no"), leaveOrSayMore()]],
    outcome: "refused refused",
  },
  {
    name: "LAST brings one reply for each accepted recipient",
    protocols: ["lmtp"],
    villains: [(scene) => [untilChunks(scene), takeChunk(), reply("250 ok", "452 4.2.2 full"), leaveOrEnd()]],
    outcome: "delivered deferred",
    recovers: false,
  },
];

/** Only binary content goes by BDAT. */
function relayBinary(host: RemoteHost): Promise<unknown> {
  const envelope = { from: "me@x.example", to: ["a@y.example", "b@y.example"], body: "binarymime" as const };
  return host.relay(envelope, "Subject: x\r\n\r\n.hello\r\n");
}

function takeChunk(): Script {
  return async (peer: ScriptedPeer) => {
    const line = await peer.expect(/^BDAT \d+ LAST$/);
    await peer.read(Number(line.split(" ")[1]));
  };
}

/** More than one part: every chunk but the last goes out before its predecessors are answered, LAST only behind them all. */
function relayLargeBinary(host: RemoteHost): Promise<unknown> {
  const envelope = { from: "me@x.example", to: ["a@y.example", "b@y.example"], body: "binarymime" as const };
  return host.relay(envelope, LARGE.subarray(0, 1024 * 1024));
}

/** An accepted envelope, and the replies to the chunks that come; what is said to more of them than that is 503. */
function answeringChunks(scene: Scene, extensions: readonly string[], ...replies: readonly string[]): Script {
  return [
    welcome(scene, "CHUNKING", "BINARYMIME", ...extensions),
    ...[/^MAIL/, /^RCPT/, /^RCPT/].map((line): Script => [expect(line), reply("250 ok")]),
    async (peer) => {
      for (let count = 0; ; count++) {
        const line = await Promise.race([peer.line(), peer.ended.then(() => "")]).catch(() => "");
        const chunk = /^BDAT (\d+)( LAST)?$/.exec(line);
        if (chunk === null) {
          return afterChunks(peer, line, count);
        }
        assert.equal(chunk[2], undefined, "LAST would deliver what was refused");
        // Without PIPELINING a refused chunk is the last that is sent.
        if (extensions.length === 0) {
          assert.ok(count < replies.length, "a chunk behind a refused one");
        }
        await peer.read(Number(chunk[1]));
        await peer.reply(replies[count] ?? "503 5.5.1 the transaction has failed");
      }
    },
  ];
}

async function afterChunks(peer: ScriptedPeer, line: string, count: number): Promise<void> {
  assert.ok(count > 0, "no chunk came");
  assert.match(line, /^(?:RSET|QUIT|)$/, "nothing of the message may follow");
  if (line !== "RSET") {
    return;
  }
  await peer.reply("250 ok");
  await perform(leaveOrSayMore(), peer);
}

const earlyChunkCases: HostileCase[] = [
  ["PIPELINING", ["PIPELINING"]] as const,
  ["no PIPELINING", []] as const,
].flatMap(([how, extensions]): HostileCase[] => {
  const refused = (name: string, replies: readonly string[], outcome: string, more: Partial<HostileCase> = {}) => ({
    name: `${name}, with ${how}`,
    protocols: MAIL_PROTOCOLS,
    villains: [(scene: Scene) => answeringChunks(scene, extensions, ...replies)],
    outcome,
    ...more,
  });
  return [
    refused("refuses the first chunk for good: LAST is never sent", ["552 5.3.4 too big"], "refused refused"),
    refused("refuses the first chunk for now: LAST is never sent", ["452 4.3.1 full"], "deferred deferred"),
    refused("refuses the second chunk: LAST is never sent", ["250 ok", "554 5.6.0 no"], "refused refused"),
  ];
});

for (const [name, ending, outcome] of [
  ["closes behind the first chunk: nobody received it", close(), "REMOTE_CLOSED"],
  ["never answers the first chunk: nobody received it", silence(), "COMMAND_TIMEOUT"],
] as const) {
  const takesOne = async (peer: ScriptedPeer) => peer.read(Number((await peer.expect(/^BDAT \d+$/)).split(" ")[1]));
  earlyChunkCases.push({
    name,
    protocols: MAIL_PROTOCOLS,
    villains: [
      (scene) => [
        welcome(scene, "CHUNKING", "BINARYMIME"),
        ...[/^MAIL/, /^RCPT/, /^RCPT/].map((line): Script => [expect(line), reply("250 ok")]),
        takesOne,
        ending,
      ],
    ],
    outcome,
    check: ({ judge }) => assert.equal(judge.ledger.deliveryCount, 2, "what was asked behind it, and nothing else"),
  });
}

meet("peers that go wrong while content is sent", contentCases);
meet(
  "peers that go wrong before the last chunk",
  earlyChunkCases.map((hostile) => ({ ...hostile, ask: relayLargeBinary })),
);
meet(
  "peers that go wrong with chunks",
  chunkCases.map((hostile) => ({ ...hostile, ask: relayBinary })),
);
