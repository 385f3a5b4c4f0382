/** The places of a host that was removed and added again while it had something in hand. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { friendly, HostRig, type RigPeer } from "../../kit/host-rig.js";

const names = (count: number, start: string) => Array.from({ length: count }, (_, at) => `${start}${at}`);

describe("a host that was removed and added again", () => {
  it("shares its connections with what it was before, which goes first", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { requests: 1 } } });
    for (const name of names(3, "old")) {
      rig.relay(name);
    }
    rig.replace(60_000);
    for (const name of names(3, "new")) {
      rig.relay(name);
    }
    rig.run();
    rig.checkSettled();
    const order = [...names(3, "old"), ...names(3, "new")];
    assert.deepEqual(
      rig.outcomes().map((outcome) => outcome.split(":")[0]),
      order,
    );
  });

  it("is served when the last of several before it is done", async () => {
    const held: RigPeer[] = [];
    const rig = new HostRig({
      settings: { concurrency: 1 },
      answer: (line, peer) => (line === "." ? void held.push(peer) : friendly(line, peer)),
    });
    rig.relay("a");
    rig.run();
    const first = rig.replace(60_000);
    const second = rig.replace(60_000);
    rig.relay("b");
    const third = rig.replace(60_000);
    rig.run();
    assert.deepEqual(rig.outcomes(), []);
    held.shift()!.say("250 ok");
    rig.run();
    held.shift()!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["a: delivered on 1", "b: delivered on 1"]);
    rig.checkSettled();
    await Promise.all([first, second, third]);
  });

  it("does not lose count of the one that waits for a connection when the one between them is done", async () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { requests: 1 } } });
    for (const name of names(2, "old")) {
      rig.relay(name);
    }
    const first = rig.replace(60_000);
    const second = rig.replace(60_000);
    for (const name of names(2, "new")) {
      rig.relay(name);
    }
    rig.run();
    rig.checkSettled();
    await Promise.all([first, second, rig.actor.close(0)]);
  });
});
