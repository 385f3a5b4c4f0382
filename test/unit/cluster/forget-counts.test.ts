import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { ForgetCounts } from "../../../src/cluster/forget-counts.js";
import { VirtualClock } from "../kit/virtual-clock.js";

describe("counts of what was forgotten", () => {
  let clock: VirtualClock;
  let missed: string[];
  let counts: ForgetCounts;

  beforeEach(() => {
    clock = new VirtualClock();
    missed = [];
    counts = new ForgetCounts(clock, (hostId) => missed.push(hostId));
    counts.add("lmtp");
    counts.counted("lmtp", 1);
  });

  test("let word be under way for a while, and then count it as lost", () => {
    counts.counted("lmtp", 2);
    clock.advance(499);
    assert.deepEqual(missed, []);
    clock.advance(1);
    assert.deepEqual(missed, ["lmtp"]);
    assert.equal(counts.of("lmtp"), 2);
  });

  test("wait for no word once they are closed, whatever is counted then", () => {
    counts.add("imap");
    counts.counted("imap", 1);
    counts.counted("lmtp", 2);
    counts.close();
    for (const hostId of ["lmtp", "imap"]) {
      counts.counted(hostId, 3);
      counts.counts(hostId, 4);
    }
    assert.equal(clock.pending, 0);
    clock.advance(10_000);
    assert.deepEqual(missed, []);
  });

  test("keep nothing of a host that was removed, and nothing of one that is not here", () => {
    counts.counted("lmtp", 2);
    counts.remove("lmtp");
    assert.equal(clock.pending, 0, "nobody waits for its words");
    for (const hostId of ["lmtp", "of-others"]) {
      counts.counted(hostId, 7);
      assert.equal(counts.told(hostId, 8, false), false);
      counts.counts(hostId, 1);
      assert.equal(counts.of(hostId), 0);
    }
    counts.add("lmtp");
    counts.counted("lmtp", 9);
    assert.equal(clock.pending, 0, "the first count of a host that is back is no lost word");
  });

  test("go on with what they know where a host is only set anew", () => {
    counts.add("lmtp");
    assert.equal(counts.of("lmtp"), 1);
    assert.equal(counts.told("lmtp", 2, false), true);
    assert.equal(counts.told("lmtp", 4, false), false);
    assert.deepEqual(missed, ["lmtp"]);
  });
});
