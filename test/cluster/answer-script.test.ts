/**
 * Holds the model of the answer script to a real Redis: equal random sequences of calls; replies, fields and words compared after each.
 * What plain commands read is held to what the function would say.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { answerReads, decodeAnswerReads } from "../../src/cluster/answer-reads.js";
import {
  ANSWER_SCRIPT,
  type AnswerCall,
  answerKeys,
  decodeAskReply,
  encodeAnswerCall,
} from "../../src/cluster/answer-script.js";
import { Random } from "../simulation/random.js";
import { AnswersModel } from "./kit/answers-model.js";
import { ScriptStage, timed } from "./kit/script-stage.js";

const HOSTS = ["lmtp", "imap"];
const RECORDS = ["r1", "r2"];
const FIELDS = ["f1", "f2"];
const CHANNEL = "words";
/** Longer than the test, since what expires by itself does so by the server's own clock. */
const LIFE_MS = 3_600_000;

const TIMED_SCRIPT = timed(ANSWER_SCRIPT);

describe("the answer script", () => {
  let stage: ScriptStage;

  before(async () => {
    stage = await ScriptStage.open(CHANNEL);
  });

  after(() => stage.close());

  /** All fields of all records, and the counts. */
  async function dump(): Promise<[key: string, fields: Record<string, string>][]> {
    const keys = (await stage.client.keys("relaypost:*")).sort();
    return Promise.all(
      keys.map(async (key) => [key, await stage.client.hGetAll(key)] as [string, Record<string, string>]),
    );
  }

  /** @returns what was read */
  async function compareReads(model: AnswersModel, host: string, record: string, field: string, known: number) {
    const keys = answerKeys("test", host, record);
    const reads = answerReads(keys, field).map((words) =>
      words[0] === "TIME" ? ["HMGET", "clock", "s", "us"] : words,
    );
    const replies = await Promise.all(reads.map((words) => stage.client.sendCommand(words)));
    const copy = new AnswersModel(() => {});
    copy.restore(model.copy());
    copy.nowMs = model.nowMs;
    const ask = { verb: "ask", channel: CHANNEL, known, field, token: "t1", lifeMs: LIFE_MS } as const;
    const asked = decodeAskReply(copy.apply(host, record, ask))!;
    const read = decodeAnswerReads(replies, known);
    assert.deepEqual(read, asked.is === "answer" ? asked : { is: "unclear" });
    return `read ${read!.is}`;
  }

  async function play(seed: number, steps: number, kinds: Record<string, number>): Promise<void> {
    const random = new Random(seed);
    const told: string[] = [];
    const model = new AnswersModel((_, message) => told.push(message));
    model.nowMs = 1e9;
    const { client, heard } = stage;
    heard.length = 0;
    await client.flushAll();
    const known = new Map<string, number>();
    let copy = { model: model.copy(), dump: await dump() };
    for (let step = 0; step < steps; step++) {
      model.nowMs += random.chance(0.05) ? random.between(0, LIFE_MS) : random.between(0, 2000);
      if (random.chance(0.02)) {
        model.nowMs -= random.between(0, LIFE_MS);
      }
      const fate = random.next();
      if (fate < 0.02) {
        copy = { model: model.copy(), dump: await dump() };
      } else if (fate < 0.04) {
        kinds.restored = (kinds.restored ?? 0) + 1;
        model.restore(copy.model);
        await client.flushAll();
        for (const [key, fields] of copy.dump) {
          await client.hSet(key, fields);
        }
      }
      const host = random.pick(HOSTS);
      const record = random.pick(RECORDS);
      const count = random.chance(0.1) ? 0 : (known.get(host) ?? 0);
      const call = anyCall(random, model.nowMs, count);
      await stage.setTime(model.nowMs);
      const read = await compareReads(model, host, record, random.pick(FIELDS), count);
      kinds[read] = (kinds[read] ?? 0) + 1;
      const expected = model.apply(host, record, call);
      const keys = answerKeys("test", host, record);
      const reply = await client.sendCommand(["EVAL", TIMED_SCRIPT, "2", ...keys, ...encodeAnswerCall(call)]);
      const where = `seed ${seed}, step ${step}: ${JSON.stringify(call)}`;
      assert.deepEqual(reply, expected, where);
      for (const each of RECORDS) {
        const [key] = answerKeys("test", host, each);
        assert.deepEqual({ ...(await client.hGetAll(key)) }, model.texts(host, each), where);
      }
      const forgets = typeof expected === "number" ? expected : (expected[2] as number);
      if (call.verb !== "put" && call.verb !== "release") {
        known.set(host, forgets);
      }
      const kind = `${call.verb} ${typeof expected === "number" ? (call.verb === "put" ? expected : "") : expected[0]}`;
      kinds[kind] = (kinds[kind] ?? 0) + 1;
    }
    await stage.untilHeard(told.length);
    assert.deepEqual(heard, told, `seed ${seed}`);
  }

  test("does what its model does, in random sequences", async () => {
    const kinds: Record<string, number> = {};
    for (let seed = 1; seed <= 16; seed++) {
      await play(seed, 200, kinds);
    }
    const all = ["ask 0", "ask 1", "ask 2", "put 0", "put 1", "release ", "forget ", "count ", "restored"];
    for (const kind of [...all, "read answer", "read unclear"]) {
      assert.ok((kinds[kind] ?? 0) > 10, `${kind}: ${JSON.stringify(kinds)}`);
    }
  });
});

function anyCall(random: Random, nowMs: number, known: number): AnswerCall {
  const field = random.pick(FIELDS);
  const token = random.pick(["t1", "t2", "t3"]);
  const start = { channel: CHANNEL, known };
  switch (random.pick(["ask", "ask", "ask", "put", "put", "release", "forget", "count"] as const)) {
    case "ask":
      return { ...start, verb: "ask", field, token, lifeMs: LIFE_MS };
    case "put": {
      const ageMs = random.pick([0, 0.4, random.between(0, 5000), 2 * LIFE_MS]);
      const givenMs = random.pick([-1, nowMs - random.between(0, 5000), nowMs + 10.6]);
      const asOf = random.pick([-1, known, known, random.below(5)]);
      const sealed = `v${random.below(100)}`;
      const isNone = random.chance(0.3);
      return {
        ...start,
        verb: "put",
        field,
        token: isNone ? "" : token,
        ageMs,
        givenMs,
        lifeMs: LIFE_MS,
        asOf,
        sealed,
      };
    }
    case "release":
      return { ...start, verb: "release", field, token };
    case "forget":
      return { ...start, verb: "forget", what: random.pick(["record", "all"]), sealed: "who" };
    case "count":
      return { ...start, verb: "count" };
  }
}
