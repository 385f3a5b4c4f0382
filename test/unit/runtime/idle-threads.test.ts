/** Which threads are given back, and when: under a virtual clock, with fake supervisors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { IdleThreads } from "../../../src/runtime/idle-threads.js";
import type { Placement } from "../../../src/runtime/router.js";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const LIMIT_MS = 4_000;

function stage() {
  const clock = new VirtualClock();
  const rested: string[] = [];
  const host = (name: string) => {
    const supervisor = { state: "up", asked: 0, mailbox: { posted: 0, owed: 0 }, rest: () => rested.push(name) };
    return { supervisor, load: { copies: { givenCount: 0 } } };
  };
  const hosts = [host("a"), host("b")] as const;
  const threads = new IdleThreads(new TimerWheel(clock, 20), LIMIT_MS, () => hosts as unknown as Placement[]);
  return { clock, rested, hosts, threads };
}

test("a thread is given back after the limit without requests, and not before", () => {
  const { clock, rested, hosts } = stage();
  hosts[0].supervisor.mailbox.posted = 1;
  clock.advance(LIMIT_MS);
  assert.deepEqual(rested, []);
  hosts[1].supervisor.mailbox.posted = 1;
  clock.advance(LIMIT_MS / 2);
  assert.deepEqual(rested, ["a"]);
});

test("whatever its hosts are asked keeps it: a request, one that waits, an order, an answer from a copy", () => {
  const { clock, rested, hosts } = stage();
  const [{ supervisor, load }, other] = hosts;
  other.supervisor.mailbox.owed = 1;
  for (const use of [
    () => supervisor.mailbox.posted++,
    () => supervisor.asked++,
    () => load.copies.givenCount++,
    () => supervisor.mailbox.posted++,
  ]) {
    clock.advance(LIMIT_MS / 2);
    use();
  }
  assert.deepEqual(rested, []);
});

test("one that has no thread is left alone, and so are all after the end", () => {
  const { clock, rested, hosts, threads } = stage();
  hosts[0].supervisor.state = "idle";
  hosts[1].supervisor.state = "starting";
  clock.advance(3 * LIMIT_MS);
  assert.deepEqual(rested, []);
  threads.stop();
  hosts[0].supervisor.state = "up";
  clock.advance(3 * LIMIT_MS);
  assert.deepEqual(rested, []);
});
