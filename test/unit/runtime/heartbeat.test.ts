/** The parts of supervision that are decisions: when a worker counts as silent, and when a lost one is started again. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { SharedState } from "../../../src/messages/shared-state.js";
import { Heartbeat } from "../../../src/runtime/heartbeat.js";
import { RestartPolicy } from "../../../src/runtime/restarts.js";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { VirtualClock } from "../kit/virtual-clock.js";

describe("the heartbeat", () => {
  let clock: VirtualClock;
  let mailbox: { cells: SharedState; posted: number; probe: () => void };
  let owes: boolean;
  let silences: number;
  let heartbeat: Heartbeat;
  /** Whether the worker answers probes. */
  let isAlive: boolean;

  beforeEach(() => {
    clock = new VirtualClock();
    owes = true;
    isAlive = true;
    silences = 0;
    mailbox = {
      cells: SharedState.create(),
      posted: 0,
      probe: () => {
        mailbox.posted++;
        if (isAlive) {
          mailbox.cells.countReceived();
        }
      },
    };
    heartbeat = new Heartbeat(
      new TimerWheel(clock, 20),
      2000,
      mailbox,
      () => owes,
      () => silences++,
    );
  });

  test("a worker that waits for its peer and answers probes is fine", () => {
    heartbeat.wake();
    clock.advance(60_000);
    assert.equal(silences, 0);
    assert.ok(mailbox.posted > 60);
  });

  test("a worker that works on no batch for the limit is silent, once", () => {
    heartbeat.wake();
    clock.advance(1000);
    isAlive = false;
    clock.advance(1900);
    assert.equal(silences, 0);
    clock.advance(1500);
    assert.equal(silences, 1);
    clock.advance(60_000);
    assert.equal(silences, 1);
    assert.equal(clock.pending, 0);
  });

  test("a worker that makes its way through a heap of batches is fine", () => {
    mailbox.posted = 1000;
    heartbeat.wake();
    for (let second = 0; second < 60; second++) {
      mailbox.cells.countReceived();
      clock.advance(1000);
    }
    assert.equal(silences, 0);
  });

  test("a worker that owes nothing costs no timer", () => {
    heartbeat.wake();
    owes = false;
    clock.advance(10_000);
    assert.equal(clock.pending, 0);
    owes = true;
    isAlive = false;
    heartbeat.wake();
    clock.advance(3000);
    assert.equal(silences, 1);
  });
});

describe("the restart policy", () => {
  test("the first losses are made good soon, each later than the one before", () => {
    const policy = new RestartPolicy(3, 60_000, () => 1);
    assert.deepEqual(
      [0, 1, 2].map((second) => policy.lost(second * 1000)),
      [50, 100, 200].map((delayMs) => ({ delayMs, isFailed: false })),
    );
  });

  test("one loss too many in the window, and the hosts are failed, for longer each time", () => {
    const policy = new RestartPolicy(1, 60_000, () => 1);
    policy.lost(0);
    assert.deepEqual(policy.lost(1000), { delayMs: 10_000, isFailed: true });
    assert.deepEqual(policy.lost(2000), { delayMs: 20_000, isFailed: true });
    for (let second = 3; second < 20; second++) {
      policy.lost(second * 1000);
    }
    assert.deepEqual(policy.lost(21_000), { delayMs: 600_000, isFailed: true });
  });

  test("a window without losses makes them forgotten", () => {
    const policy = new RestartPolicy(1, 60_000, () => 1);
    for (let loss = 0; loss < 5; loss++) {
      policy.lost(loss);
    }
    assert.deepEqual(policy.lost(70_000), { delayMs: 50, isFailed: false });
    assert.deepEqual(policy.lost(70_001), { delayMs: 10_000, isFailed: true });
  });

  test("delays lie between half and all of their length", () => {
    assert.equal(new RestartPolicy(1, 1000, () => 0).lost(0).delayMs, 25);
  });
});
