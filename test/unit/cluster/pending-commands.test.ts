/** The time limit of commands to Redis: one timer for all, and no reply that has come is overlooked. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { PendingCommands } from "../../../src/cluster/pending-commands.js";

const LIMIT_MS = 20;

/** Nothing else runs on this thread for so long. */
function block(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs) {}
}

describe("a command to Redis", () => {
  test("is late after the time limit, never before, also when it was sent while the timer ran for another", async () => {
    let tellLate: () => void = () => {};
    const late = new Promise<void>((resolve) => {
      tellLate = resolve;
    });
    const pending = new PendingCommands(LIMIT_MS, tellLate);
    pending.settled(pending.add(assert.fail));
    await new Promise((resolve) => setTimeout(resolve, LIMIT_MS / 2));
    const sentMs = performance.now();
    pending.add(() => {});
    await late;
    assert.ok(performance.now() - sentMs >= LIMIT_MS);
    pending.giveUp(new Error("late"));
  });

  test("that is the second one for somebody is late when both have taken as long as one may", {
    timeout: 30_000,
  }, async () => {
    let tellLate: () => void = () => {};
    const late = new Promise<void>((resolve) => {
      tellLate = resolve;
    });
    const limitMs = 3_600_000;
    const pending = new PendingCommands(limitMs, tellLate);
    pending.add(() => {});
    pending.add(() => {}, limitMs - LIMIT_MS);
    await late;
    pending.giveUp(new Error("late"));
  });

  test("whose reply has come while the thread was busy is not late", async () => {
    const pending = new PendingCommands(LIMIT_MS, assert.fail);
    const { port1, port2 } = new MessageChannel();
    const replied = new Promise<void>((resolve) => {
      // Behind an immediate, timers are looked at before sockets and ports are.
      setImmediate(() => {
        const command = pending.add(assert.fail);
        port1.on("message", () => {
          pending.settled(command);
          resolve();
        });
        block(2 * LIMIT_MS);
        port2.postMessage("a reply");
      });
    });
    await replied;
    // Whoever looks whether it is late has looked.
    await new Promise((resolve) => setTimeout(resolve, 2 * LIMIT_MS));
    port1.close();
  });

  test("is late in its own time, though an older one had its reply at the last moment and another was sent then", async () => {
    let lateCount = 0;
    const pending = new PendingCommands(LIMIT_MS, () => lateCount++);
    const { port1, port2 } = new MessageChannel();
    await new Promise<void>((resolve) => {
      setImmediate(() => {
        const answered = pending.add(assert.fail);
        pending.add(() => {});
        port1.on("message", () => {
          pending.settled(answered);
          pending.add(() => {});
          resolve();
        });
        block(2 * LIMIT_MS);
        port2.postMessage("a reply");
      });
    });
    for (let turns = 0; turns < 4; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(lateCount, 1);
    pending.giveUp(new Error("late"));
    port1.close();
  });

  test("is given up with all others, and nothing is left to be looked at", () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const pending = new PendingCommands(LIMIT_MS, assert.fail);
    const failures: string[] = [];
    for (const name of ["a", "b"]) {
      pending.add(({ message }) => failures.push(`${name} ${message}`));
    }
    const settled = pending.add(assert.fail);
    pending.settled(settled);
    pending.giveUp(new Error("lost"));
    pending.giveUp(new Error("lost again"));
    assert.deepEqual(failures, ["a lost", "b lost"]);
    assert.equal(timers(), before);
  });
});
