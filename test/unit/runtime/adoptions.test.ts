/** Answers of other gateways on their way to the worker: none late, none that was forgotten, each as old as it is. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SharedQuestion } from "../../../src/cluster/answer-vault.js";
import type { Answer } from "../../../src/messages/contract.js";
import { Adoptions } from "../../../src/runtime/adoptions.js";
import type { Clock } from "../../../src/timer-wheel.js";

const ANSWER: Answer = { found: true, values: [], reply: { code: 250, text: "ok" } };

function asked(value: string): SharedQuestion {
  return { kind: "rcpt", value, client: "", credentials: undefined };
}

function gather(): { adoptions: Adoptions; told: string[]; clock: { nowMs: number; run: () => void; timers: number } } {
  const told: string[] = [];
  const clock = { nowMs: 1_000, run: () => {}, timers: 0 };
  const virtual: Clock = {
    now: () => clock.nowMs,
    after: (_, run) => {
      clock.run = run;
      clock.timers++;
      return () => {};
    },
  };
  const adoptions = new Adoptions(virtual, ({ value }, _, ageMs) => told.push(`${value} ${ageMs}`));
  return { adoptions, told, clock };
}

describe("answers of other gateways", () => {
  test("are told together after a while, by one timer, with the age that they have then", () => {
    const { adoptions, told, clock } = gather();
    adoptions.add(asked("a"), ANSWER, 5);
    clock.nowMs += 10;
    adoptions.add(asked("b"), ANSWER, 0);
    assert.deepEqual([told, clock.timers], [[], 1]);
    clock.nowMs += 10;
    clock.run();
    assert.deepEqual(told, ["a 25", "b 10"]);
    adoptions.add(asked("c"), ANSWER, 0);
    assert.equal(clock.timers, 2);
  });

  test("are told at once when the worker is asked, and once", () => {
    const { adoptions, told, clock } = gather();
    adoptions.add(asked("a"), ANSWER, 5);
    adoptions.tell();
    clock.run();
    assert.deepEqual(told, ["a 5"]);
  });

  test("are not told when something was forgotten meanwhile", () => {
    const { adoptions, told, clock } = gather();
    adoptions.add(asked("a"), ANSWER, 5);
    adoptions.drop();
    clock.run();
    adoptions.tell();
    assert.deepEqual(told, []);
  });
});
