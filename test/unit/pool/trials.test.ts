/** An address that was down and may be back, tried while others serve: nobody waits for what comes of that. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TRIAL_MS } from "../../../workers/pool/trials.js";
import { HostRig } from "../../kit/host-rig.js";

const [LOST, UP] = ["192.0.2.1", "192.0.2.2"];

/** Two addresses, of which the first says nothing: each request takes a connection of its own. */
function host(more: { concurrency: number; client?: "proxy-v2" }) {
  const lost = { says: "refuse" as "refuse" | "hold" | "accept" };
  const endpoints = [LOST, UP].map((address) => ({ address, port: 25, serverName: address, weight: 1, backup: false }));
  const rig = new HostRig({
    settings: { endpoints, timeoutMs: 60_000, limits: { requests: 1 }, ...more },
    connect: ({ address }) => (address === LOST ? lost.says : "accept"),
    addresses: "own",
  });
  // Whoever comes first is refused there, and served by the other one.
  rig.relay("first");
  rig.advance(100);
  rig.relay("second");
  rig.advance(100);
  assert.equal(rig.outcomes().length, 2);
  assert.equal(rig.actor.stats().addresses?.[0]?.state, "down");
  return { rig, lost };
}

const attempts = (rig: HostRig) => rig.peers.filter(({ address }) => address === LOST).length;

describe("an address that may be back and says nothing", () => {
  for (const more of [{ concurrency: 1 }, { concurrency: 5, client: "proxy-v2" as const }]) {
    it(`keeps nobody waiting for the whole timeout, with ${JSON.stringify(more)}`, () => {
      const { rig, lost } = host(more);
      lost.says = "hold";
      rig.advance(2_000);
      rig.relay("waits");
      rig.advance(TRIAL_MS + 200);
      assert.match(rig.outcomes().join(), /^waits: delivered/);
      assert.equal(rig.actor.stats().addresses?.[0]?.state, "down", "it is left alone again");
      const before = attempts(rig);
      rig.relay("next");
      rig.advance(100);
      assert.match(rig.outcomes().join(), /^next: delivered/);
      assert.equal(attempts(rig), before);
      rig.checkSettled();
    });
  }

  it("is waited for where nobody needs its slot", () => {
    const { rig, lost } = host({ concurrency: 2 });
    lost.says = "hold";
    rig.advance(2_000);
    rig.relay("served");
    rig.advance(10_000);
    assert.match(rig.outcomes().join(), /^served: delivered/);
    assert.equal(rig.actor.stats().connections.opening, 1);
    rig.checkSettled();
  });

  it("is used again when it is back", () => {
    const { rig, lost } = host({ concurrency: 1 });
    lost.says = "accept";
    rig.advance(2_000);
    rig.relay("there");
    rig.advance(100);
    assert.match(rig.outcomes().join(), /^there: delivered/);
    assert.equal(rig.actor.stats().addresses?.[0]?.state, "up");
    rig.checkSettled();
  });
});
