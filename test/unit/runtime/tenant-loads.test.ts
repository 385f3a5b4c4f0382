/** What is kept of tenants on the gateway's thread: the busiest are told of, and names in any number need no memory. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TenantLoads } from "../../../src/runtime/tenant-loads.js";

describe("the loads of tenants", () => {
  it("tell of the busiest first, and of what is not settled", () => {
    const loads = new TenantLoads();
    for (const name of ["a", "b", "b", "c", "c", "c"]) {
      loads.began(name);
    }
    loads.ended("c");
    loads.turnedAway("a");
    assert.deepEqual(loads.stats(), [
      { name: "c", requests: 3, turnedAway: 0, pending: 2 },
      { name: "b", requests: 2, turnedAway: 0, pending: 2 },
      { name: "a", requests: 1, turnedAway: 1, pending: 1 },
    ]);
  });

  it("find whoever asks for much among a hundred thousand names, and keep few of those", () => {
    const loads = new TenantLoads();
    for (let count = 0; count < 100_000; count++) {
      loads.began(`rare ${count}`);
      loads.ended(`rare ${count}`);
      if (count % 100 === 0) {
        loads.began("busy");
      }
    }
    const told = loads.stats();
    assert.equal(told.length, 100);
    assert.deepEqual([told[0]!.name, told[0]!.pending], ["busy", 1_000]);
    const sizes = Object.values(loads).map((value) => (value instanceof Map ? value.size : 0));
    assert.ok(
      sizes.every((size) => size <= 2_000),
      sizes.join(),
    );
  });
});
