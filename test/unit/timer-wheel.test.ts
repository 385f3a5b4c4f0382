import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Timer, TimerWheel } from "../../src/timer-wheel.js";
import { VirtualClock } from "./kit/virtual-clock.js";

const TICK_MS = 50;
const RUNS = Math.max(200, Number(process.env.FUZZ_RUNS ?? 0) / 100);

describe("the timer wheel", () => {
  test("fires late by at most one tick, never early, and not when it was cleared", () => {
    const clock = new VirtualClock();
    const wheel = new TimerWheel(clock, TICK_MS);
    const startMs = clock.now();
    const fired: [name: string, atMs: number][] = [];
    const timer = (name: string) => new Timer(() => fired.push([name, clock.now() - startMs]));
    const [soon, later, never] = [timer("soon"), timer("later"), timer("never")];
    wheel.set(later, 40_000); // more than a round ahead
    wheel.set(soon, 120);
    wheel.set(never, 500);
    wheel.clear(never);
    clock.advance(60_000);
    assert.deepEqual(
      fired.map(([name]) => name),
      ["soon", "later"],
    );
    assert.ok(fired[0]![1] >= 120 && fired[0]![1] <= 120 + TICK_MS, `soon fired at ${fired[0]![1]}`);
    assert.ok(fired[1]![1] >= 40_000 && fired[1]![1] <= 40_000 + TICK_MS, `later fired at ${fired[1]![1]}`);
  });

  test("sleeps until a slot that holds a timer, and has no timer while it is empty", () => {
    const clock = new VirtualClock();
    let set = 0;
    const counting = {
      now: () => clock.now(),
      after: (ms: number, callback: () => void) => {
        set++;
        return clock.after(ms, callback);
      },
    };
    const wheel = new TimerWheel(counting, TICK_MS);
    const timer = new Timer(() => {});
    wheel.set(timer, 20_000);
    clock.advance(30_000);
    assert.equal(set, 1);
    clock.advance(1_000_000);
    assert.equal(set, 1);
  });

  test("a callback that throws does not stop the others", () => {
    const clock = new VirtualClock();
    const wheel = new TimerWheel(clock, TICK_MS);
    let fired = 0;
    wheel.set(
      new Timer(() => {
        throw new Error("thrown by a callback");
      }),
      10,
    );
    wheel.set(new Timer(() => fired++), 500);
    assert.throws(() => clock.advance(200), /thrown by a callback/);
    clock.advance(1_000);
    assert.equal(fired, 1);
  });

  test("agrees with a plain list of due times, whatever is set, moved and cleared", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("set" as const), id: fc.nat(7), ms: fc.integer({ min: 0, max: 90_000 }) }),
      fc.record({ kind: fc.constant("clear" as const), id: fc.nat(7), ms: fc.constant(0) }),
      fc.record({ kind: fc.constant("advance" as const), id: fc.constant(0), ms: fc.integer({ min: 1, max: 60_000 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new VirtualClock();
        const wheel = new TimerWheel(clock, TICK_MS);
        const due = new Map<number, number>();
        const timers = Array.from({ length: 8 }, (_, id) => {
          return new Timer(() => {
            const dueMs = due.get(id);
            assert.ok(dueMs !== undefined, `timer ${id} fired without being set`);
            assert.ok(clock.now() >= dueMs, `timer ${id} fired ${dueMs - clock.now()} ms early`);
            due.delete(id);
          });
        });
        for (const { kind, id, ms } of steps) {
          if (kind === "set") {
            wheel.set(timers[id]!, ms);
            due.set(id, clock.now() + ms);
          } else if (kind === "clear") {
            wheel.clear(timers[id]!);
            due.delete(id);
          } else {
            clock.advance(ms);
            for (const [late, dueMs] of due) {
              assert.ok(clock.now() - dueMs <= TICK_MS, `timer ${late} is ${clock.now() - dueMs} ms late`);
            }
          }
        }
      }),
      { numRuns: RUNS },
    );
  });
});
