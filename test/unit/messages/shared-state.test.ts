/** What both threads write at once: the phases of relays, and what is in flight. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SharedState } from "../../../src/messages/shared-state.js";

describe("phases of a relay", () => {
  /** The two threads' views on one memory. */
  function open(): { gateway: SharedState; worker: SharedState } {
    const gateway = SharedState.create();
    return { gateway, worker: new SharedState(gateway.memory) };
  }

  test("a relay that runs through cannot be withdrawn after its terminator", () => {
    const { gateway, worker } = open();
    gateway.queue(7);
    assert.ok(worker.toEnvelope(7) && worker.toContent(7) && worker.toTerminator(7));
    assert.equal(gateway.withdraw(7), false);
    worker.toReplied(7);
    assert.equal(gateway.withdraw(7), false);
  });

  const steps: ((cells: SharedState) => boolean)[] = [
    (cells) => cells.toEnvelope(1),
    (cells) => cells.toContent(1),
    (cells) => cells.toTerminator(1),
  ];
  for (let done = 0; done < steps.length; done++) {
    test(`withdrawn after ${done} steps, it goes no further`, () => {
      const { gateway, worker } = open();
      gateway.queue(1);
      for (const step of steps.slice(0, done)) {
        assert.ok(step(worker));
      }
      assert.ok(gateway.withdraw(1));
      assert.ok(gateway.withdraw(1), "withdrawing twice is the same");
      for (const step of steps) {
        assert.equal(step(worker), false);
      }
      assert.equal(worker.toQueued(1), false);
    });
  }

  test("a retry starts from the queue, and only while no content was sent", () => {
    const { gateway, worker } = open();
    gateway.queue(1);
    assert.ok(worker.toEnvelope(1) && worker.toQueued(1) && worker.toEnvelope(1) && worker.toContent(1));
    assert.equal(worker.toQueued(1), false, "never once content may be on its way");
    assert.ok(worker.toTerminator(1));
    assert.equal(worker.toQueued(1), false, "never after the terminator");
  });

  test("a slot that was never queued cannot start", () => {
    assert.equal(open().worker.toEnvelope(3), false);
  });

  test("requests and octets in flight are counted for each host by itself", () => {
    const { gateway, worker } = open();
    worker.countInFlight(0, 2);
    worker.countInFlight(1, 5);
    worker.countOctetsInFlight(0, 100);
    worker.countReceived();
    assert.deepEqual([gateway.inFlight(0), gateway.inFlight(1), gateway.octetsInFlight(0)], [2, 5, 100]);
    assert.equal(gateway.received(), 1);
    gateway.clearHost(0);
    assert.deepEqual([gateway.inFlight(0), gateway.inFlight(1), gateway.octetsInFlight(0)], [0, 5, 0]);
  });
});
