/** Who joins a question that waits already: it goes where the one with more right to the answer would. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeTag } from "../../../src/messages/tenant.js";
import { cacheSettings } from "../../kit/cache-settings.js";
import { HostRig } from "../../kit/host-rig.js";
import { friendly, type RigPeer } from "../../kit/rig-peer.js";
import { names } from "../kit/pool-peers.js";

const [HIGH, BULK] = [encodeTag("t", "high"), encodeTag("t", "bulk")];
const LIMITS = { pipeline: 1, errors: 1_000, requests: 1_000, idleMs: 60_000, lifetimeMs: 60_000 };
const NEVER = Number.POSITIVE_INFINITY;

/** In which order recipients were asked for. */
const asked = (rig: HostRig) => rig.seen("RCPT").map((line) => /<(\w+)@/.exec(line)?.[1]);

describe("a question that is joined", () => {
  it("goes where the one with more right to it would", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: LIMITS } });
    const bulk = names(10, "bulk");
    for (const name of bulk) {
      rig.rcpt(name, NEVER, "", BULK);
    }
    rig.rcpt("bulk9#again", NEVER, "", HIGH);
    rig.advance(1_000);
    const order = asked(rig);
    // Who was to go next may have been named already.
    assert.ok(order.indexOf("bulk9") <= 1, `${order}`);
    const others = order.filter((name) => name !== "bulk9");
    assert.deepEqual(others, bulk.slice(0, 9));
    assert.equal(rig.outcomes().filter((line) => line.includes("found (shared)")).length, 1);
    rig.checkSettled();
  });

  it("stays where it is for one with no more right to it", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: LIMITS } });
    for (const name of ["one", "two", "three"]) {
      rig.rcpt(name, NEVER, "", HIGH);
    }
    rig.rcpt("one#again", NEVER, "", BULK);
    rig.rcpt("two#again", NEVER, "", HIGH);
    rig.advance(1_000);
    assert.deepEqual(asked(rig), ["one", "two", "three"]);
    rig.checkSettled();
  });

  it("becomes the caller's where nobody waited for it: it was a refresh", () => {
    let held: RigPeer | undefined;
    const cache = cacheSettings({ entries: 10, positiveTtlMs: 1_000, refresh: 0.5 });
    const rig = new HostRig({
      settings: { concurrency: 1, limits: LIMITS, cache },
      answer: (line, peer) => {
        if (!line.includes("<busy@")) {
          return friendly(line, peer);
        }
        held = peer;
        return undefined;
      },
    });
    rig.rcpt("known");
    rig.advance(700);
    rig.rcpt("busy");
    rig.rcpt("known");
    rig.advance(700);
    assert.equal(rig.outcomes().length, 2, "the second one from the cache");
    const bulk = names(3, "bulk");
    for (const [at, name] of bulk.entries()) {
      rig.rcpt(`other${at}`);
      rig.rcpt(name, NEVER, "", BULK);
    }
    rig.rcpt("known", NEVER, "", HIGH);
    held!.say("250 2.1.5 ok");
    rig.advance(100);
    const order = asked(rig);
    assert.equal(order.length, 9);
    // The last of nobody's would go behind those.
    assert.ok(order.lastIndexOf("known") < order.indexOf("other2"), `${order}`);
    rig.checkSettled();
  });
});
