/** A trace costs connections something only while somebody fetches it. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { HostTrace } from "../../../workers/host/host-trace.js";
import type { WireTap } from "../../../workers/wire/wire-tap.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const HOUR_MS = 3_600_000;
const ORDER = { protocol: "smtp", recipient: undefined, mostLines: 100, forMs: HOUR_MS } as const;

describe("a host's trace", () => {
  let clock: VirtualClock;
  let tap: WireTap;
  let trace: HostTrace;

  beforeEach(() => {
    clock = new VirtualClock();
    tap = { listener: undefined };
    trace = new HostTrace(tap, new TimerWheel(clock, 50), () => clock.now());
  });

  test("nobody listens to the wire, and no timer runs, while none was asked for", () => {
    assert.deepEqual(trace.fetch(), { lines: [], isOver: true });
    assert.equal(tap.listener, undefined);
    assert.equal(clock.pending, 0);
  });

  test("goes on for as long as it is fetched, to the end of its time", () => {
    trace.start(ORDER);
    for (let passedMs = 1_000; passedMs < HOUR_MS; passedMs += 1_000) {
      clock.advance(1_000);
      assert.equal(trace.fetch().isOver, false);
    }
    tap.listener!.sent(1, "NOOP\r\n");
    clock.advance(1_000);
    assert.deepEqual(
      trace.fetch().lines.map(({ text }) => text),
      ["NOOP"],
      "the last lines can be had",
    );
    assert.equal(tap.listener, undefined);
  });

  test("nobody listens any more ten seconds after the last one who fetched", () => {
    trace.start(ORDER);
    clock.advance(4_000);
    trace.fetch();
    clock.advance(10_100);
    assert.equal(tap.listener, undefined);
    assert.equal(clock.pending, 0);
  });

  test("ends with its last line", () => {
    trace.start({ ...ORDER, mostLines: 2 });
    tap.listener!.sent(1, "NOOP\r\nRSET\r\nQUIT\r\n");
    assert.equal(trace.fetch().lines.length, 2);
    assert.equal(tap.listener, undefined);
  });
});
