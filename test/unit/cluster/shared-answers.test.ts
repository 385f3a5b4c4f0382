import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { AnswerVault } from "../../../src/cluster/answer-vault.js";
import { SharedAnswers } from "../../../src/cluster/shared-answers.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { type FakeCall, FakeRedisLink } from "../kit/fake-redis-link.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const HOST = smtpSettings({ id: "lmtp", cluster: { cache: true } });

test("what a host owes the other gateways is told when Redis is back, although the host was removed; nothing is kept of it", async () => {
  const clock = new VirtualClock();
  const link = new FakeRedisLink();
  const vault = new AnswerVault("a secret that is long enough for a vault", "mail");
  const answers = new SharedAnswers({ name: "mail", gateway: "g", vault, link, clock, forgotten() {} });
  answers.addHost(HOST.id);
  const forgotten = answers.forget(HOST, { recipient: "a@example.org" });
  link.take().fail();
  await forgotten;
  answers.removeHost(HOST.id);
  clock.advance(250);
  const probe = link.take();
  assert.equal(probe.args[0], "count");
  probe.answer(0);
  await turn();
  const paid = link.take();
  assert.deepEqual(paid.args.slice(0, 2), ["forget", "all"]);
  paid.answer(1);
  await turn();
  assert.equal(answers.forgetsOf(HOST.id), 0);
  // It is paid: Redis that is lost again and found again is told nothing.
  const again = answers.forget(smtpSettings({ id: "other" }), {});
  link.take().fail();
  await again;
  clock.advance(500);
  link.take().answer(0);
  await turn();
  assert.deepEqual(
    link.calls.map(({ keys }) => keys.some((key) => key.includes("lmtp"))),
    [false],
  );
});

describe("a question", () => {
  const clock = new VirtualClock();
  const vault = new AnswerVault("a secret that is long enough for a vault", "mail");
  const place = vault.placeOf(HOST, { kind: "rcpt", value: "a@example.org", client: "", credentials: undefined });
  const answer = { found: true, values: [], reply: { code: 250, text: "yes" } };
  const sealed = vault.sealAnswer(answer, place);
  let link: FakeRedisLink;
  let answers: SharedAnswers;

  /** The next call comes in a later turn. */
  async function next(): Promise<FakeCall> {
    await turn();
    return link.take();
  }

  const text = (epoch: number, givenMs: number, untilMs: number): string =>
    `a ${epoch} ${givenMs} ${untilMs} ${sealed}`;
  const reads = (found: string | null, forgets = 3): unknown[] => [found, ["1", String(forgets)], ["5", "500000"]];

  beforeEach(async () => {
    link = new FakeRedisLink();
    answers = new SharedAnswers({ name: "mail", gateway: "g", vault, link, clock, forgotten() {} });
    answers.addHost(HOST.id);
    const known = answers.find(HOST, place);
    const { args, answer: reply } = await next();
    assert.equal(args[0], "ask", "nothing is known of what Redis may know");
    reply([1, 7, 3, sealed, 5_000]);
    assert.deepEqual(await known, { is: "known", answer, ageMs: 7 });
  });

  test("behind one that Redis knew the answer to is answered by plain commands; its age counts from when they were sent", async () => {
    const known = answers.find(HOST, place);
    const { commands, answer: reply } = await next();
    assert.deepEqual(
      commands.map(([name]) => name),
      ["HGET", "HMGET", "TIME"],
    );
    clock.advance(40);
    reply(reads(text(1, 5_000, 6_000)));
    assert.deepEqual(await known, { is: "known", answer, ageMs: 540 });
    assert.deepEqual(link.calls, []);
  });

  for (const [name, replies] of [
    ["nothing stands there", reads(null)],
    ["a claim stands there", reads("c 1 9000 g.1")],
    ["everything was forgotten since", reads(text(0, 5_000, 6_000))],
    ["it has ended", reads(text(1, 5_000, 5_500))],
    ["Redis has lost what was forgotten", reads(text(1, 5_000, 6_000), 2)],
  ] as const) {
    test(`is put to the function where ${name}, with what is left of the time; so is the next one at once`, async () => {
      const found = answers.find(HOST, place);
      const read = await next();
      clock.advance(40);
      read.answer(replies);
      const asked = await next();
      assert.deepEqual([asked.args[0], asked.waitedMs], ["ask", 40]);
      asked.answer([0, 0, 3, "", 5_000]);
      assert.equal((await found).is, "claimed");
      void answers.find(HOST, place);
      assert.equal((await next()).args[0], "ask");
    });
  }

  test("that somebody else had claimed is looked for without the function when there was word of it", async () => {
    const found = answers.find(HOST, place);
    (await next()).answer(reads(null));
    (await next()).answer([2, 1_000, 3, "", 5_000]);
    await turn();
    link.publish(`told ${place.where}`);
    (await next()).answer(reads(text(1, 5_000, 6_000)));
    assert.deepEqual(await found, { is: "known", answer, ageMs: 500 });
  });

  for (const [name, reply] of [
    ["too few replies", [null]],
    ["a number for a text", reads(5 as unknown as null)],
    ["no time", [null, [null, null], [null, null]]],
    ["a time that is none", [null, [null, null], ["x", "y"]]],
    ["counts that are none", [null, ["1", "x"], ["5", "0"]]],
    ["a text for a list", [null, "OK", ["5", "0"]]],
  ] as const) {
    test(`that Redis answers by ${name} is the last one until it has answered a probe`, async () => {
      const found = answers.find(HOST, place);
      (await next()).answer(reply);
      assert.deepEqual(await found, { is: "unknown" });
      assert.ok(!answers.isUsable);
    });
  }

  test("that Redis refuses is the last one until it has answered a probe", async () => {
    const found = answers.find(HOST, place);
    (await next()).fail();
    assert.deepEqual([await found, answers.isUsable, answers.counts.failed], [{ is: "unknown" }, false, 1]);
  });
});
