import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { AnswerVault } from "../../../src/cluster/answer-vault.js";
import { SharedAnswers } from "../../../src/cluster/shared-answers.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { FakeRedisLink } from "../kit/fake-redis-link.js";
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
