/** What is made of DNS servers that answer, that do not, and that send what is no answer: against servers on loopback, by UDP and TCP. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DecodedPacket } from "dns-packet";
import { type Failure, isFailure } from "../../../../src/errors.js";
import { askForService } from "../../../../workers/wire/dns/dns-client.js";
import type { SrvAnswer } from "../../../../workers/wire/dns/srv-message.js";
import { DnsServer, overTcp, replyTo, srvAnswers } from "../../../kit/dns-server.js";

const NAME = "_lmtp._tcp.example.org";
const ONE = { target: "one.example.org", port: 24, priority: 0, weight: 0 };
const TWO = { target: "two.example.org", port: 2424, priority: 10, weight: 5 };
const AMPLE_MS = 20_000;

async function ask(servers: readonly DnsServer[], withinMs = AMPLE_MS): Promise<SrvAnswer> {
  const answer = await tryAsking(servers, withinMs);
  assert.ok(!isFailure(answer), JSON.stringify(answer));
  return answer;
}

/** For servers that will not answer. */
async function tryAsking(servers: readonly DnsServer[], withinMs: number): Promise<SrvAnswer | Failure> {
  const places = servers.map(({ place }) => place);
  return askForService(NAME, places, withinMs);
}

function good(query: DecodedPacket): Buffer {
  return replyTo(query, { answers: srvAnswers(NAME, [ONE], 60) });
}

describe("SRV records", { timeout: 60_000 }, () => {
  it("are told with the shortest of their times, whatever their name's case", async () => {
    await using server = await DnsServer.listen();
    server.script = (query) => [
      replyTo(query, {
        answers: [
          ...srvAnswers(NAME.toUpperCase(), [ONE], 300),
          ...srvAnswers(NAME, [TWO], 60),
          ...srvAnswers("_x._tcp.y", [ONE], 1),
        ],
      }),
    ];
    assert.deepEqual(await ask([server]), { records: [ONE, TWO], ttlMs: 60_000 });
    assert.deepEqual(server.asked, [{ name: NAME, by: "udp" }]);
  });

  it("are those of the name that theirs is an alias of", async () => {
    await using server = await DnsServer.listen();
    const other = "_lmtp._tcp.example.net";
    server.script = (query) => [
      replyTo(query, {
        answers: [{ type: "CNAME", name: NAME, ttl: 30, data: other }, ...srvAnswers(other, [ONE], 60)],
      }),
    ];
    assert.deepEqual(await ask([server]), { records: [ONE], ttlMs: 30_000 });
    server.script = (query) => [
      replyTo(query, {
        answers: [
          { type: "CNAME", name: NAME, ttl: 30, data: other },
          { type: "CNAME", name: other, ttl: 30, data: NAME },
        ],
      }),
    ];
    assert.deepEqual((await ask([server])).records, [], "a circle of aliases ends");
  });

  it("come by TCP where they do not fit", async () => {
    await using server = await DnsServer.listen();
    const many = Array.from({ length: 900 }, (_, at) => ({ ...ONE, target: `node${at}.example.org` }));
    server.script = (query, by) =>
      by === "udp"
        ? [replyTo(query, { isTruncated: true })]
        : [overTcp(replyTo(query, { answers: srvAnswers(NAME, many, 60) }))];
    assert.equal((await ask([server])).records.length, 900);
    assert.deepEqual(
      server.asked.map(({ by }) => by),
      ["udp", "tcp"],
    );
    server.script = (query, by) =>
      by === "udp" ? [good(query).fill(0xff, 6, 8).fill(0x82, 2, 3)] : octets(overTcp(good(query)));
    assert.deepEqual((await ask([server])).records, [ONE], "cut off in the middle, then octet by octet");
  });

  it("are none where the name has none, or does not exist", async () => {
    await using server = await DnsServer.listen();
    for (const rcode of [0, 3]) {
      server.script = (query) => [replyTo(query, { rcode })];
      assert.deepEqual(await ask([server]), { records: [], ttlMs: 0 });
    }
  });

  it("are asked of the next server where one cannot tell", async () => {
    await using silent = await DnsServer.listen();
    await using broken = await DnsServer.listen();
    await using right = await DnsServer.listen();
    silent.script = () => [];
    broken.script = (query) => [replyTo(query, { rcode: 2 })];
    right.script = (query) => [good(query)];
    assert.deepEqual((await ask([silent, broken, right])).records, [ONE]);
    assert.deepEqual(
      [silent, broken, right].map(({ asked }) => asked.length),
      [1, 1, 1],
    );
  });

  it("are believed only in a reply to the question that was asked", async () => {
    await using server = await DnsServer.listen();
    const forged = srvAnswers(NAME, [{ ...ONE, target: "evil.example.net" }], 60);
    server.script = (query) => [
      replyTo({ ...query, id: (query.id! + 1) % 65_536 }, { answers: forged }),
      replyTo({ ...query, questions: [{ type: "SRV", name: "_lmtp._tcp.example.net" }] }, { answers: forged }),
      replyTo({ ...query, questions: [] }, { answers: forged }),
      Buffer.from("x"),
      good(query),
    ];
    assert.deepEqual((await ask([server])).records, [ONE]);
  });

  const hostile: readonly [what: string, reply: (query: DecodedPacket) => Buffer][] = [
    [
      "garbage behind the right number",
      (query) => Buffer.concat([good(query).subarray(0, 12), Buffer.alloc(60, 0xff)]),
    ],
    [
      "a name that points at itself",
      (query) => Buffer.concat([good(query).subarray(0, 12), Buffer.from([0xc0, 12, 0, 33, 0, 1])]),
    ],
    ["more records than anybody needs", (query) => manyRecords(query, 2_000)],
    ["10,000 records by its header", (query) => withCount(good(query), 10_000)],
    ["more records by its header than there are", (query) => withCount(good(query), 900)],
    ["a refusal", (query) => replyTo(query, { rcode: 5 })],
  ];
  for (const [what, reply] of hostile) {
    it(`are not read out of ${what}`, async () => {
      await using bad = await DnsServer.listen();
      await using right = await DnsServer.listen();
      bad.script = (query) => [reply(query)];
      right.script = (query) => [good(query)];
      assert.deepEqual((await ask([bad, right])).records, [ONE], "another server is asked at once");
      const failure = await tryAsking([bad], AMPLE_MS);
      assert.ok(isFailure(failure) && failure.code === "DNS_FAILED", JSON.stringify(failure));
      assert.match(failure.message, /could not be resolved: 127\.0\.0\.1: gave no usable reply/);
    });
  }

  it("are given up in time where no server answers, or none to the end", async () => {
    await using server = await DnsServer.listen();
    server.script = () => [];
    assert.match(wordsOf(await tryAsking([server], 50)), /no reply in time/);
    server.script = (query, by) =>
      by === "udp" ? [replyTo(query, { isTruncated: true })] : [overTcp(good(query)).subarray(0, 20)];
    assert.match(wordsOf(await tryAsking([server], AMPLE_MS)), /closed without a reply/);
    assert.match(wordsOf(await askForService(NAME, [], AMPLE_MS)), /no server is known/);
    const gone = await DnsServer.listen();
    const { place } = gone;
    await gone[Symbol.asyncDispose]();
    assert.match(wordsOf(await askForService(NAME, [place, "[::1]:1"], AMPLE_MS)), /ECONNREFUSED/);
  });
});

function octets(buffer: Buffer): Buffer[] {
  return [...buffer].map((octet) => Buffer.from([octet]));
}

/** Each in 19 octets: its name is that of the question, and its target the root. */
function manyRecords(query: DecodedPacket, count: number): Buffer {
  const record = Buffer.from([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 7, 0, 0, 0, 0, 0, 24, 0]);
  const head = replyTo(query, {});
  return withCount(Buffer.concat([head, ...Array.from({ length: count }, () => record)]), count);
}

/** With another number of answers in its header. */
function withCount(octets: Buffer, count: number): Buffer {
  octets.writeUInt16BE(count, 6);
  return octets;
}

function wordsOf(answer: SrvAnswer | Failure): string {
  return isFailure(answer) ? answer.message : "";
}
