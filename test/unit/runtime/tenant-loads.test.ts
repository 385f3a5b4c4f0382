/** What is kept of tenants on the gateway's thread: the busiest are told of, and names in any number need no memory. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TenantLoads } from "../../../src/runtime/tenant-loads.js";

describe("the loads of tenants", () => {
  it("tell of the busiest first, and of what is not settled", () => {
    const loads = new TenantLoads();
    for (const tenant of ["a", "b", "b", "c", "c", "c"]) {
      loads.began(loads.tagOf({ tenant }));
    }
    loads.ended(loads.tagOf({ tenant: "c" }));
    loads.tagOf({ tenant: "a" }).load.turnedAway++;
    assert.deepEqual(loads.stats(), [
      { name: "c", requests: 3, turnedAway: 0, pending: 2 },
      { name: "b", requests: 2, turnedAway: 0, pending: 2 },
      { name: "a", requests: 1, turnedAway: 1, pending: 1 },
    ]);
  });

  it("find whoever asks for much among a hundred thousand names, and keep few of those", () => {
    const loads = new TenantLoads();
    for (let count = 0; count < 100_000; count++) {
      const rare = loads.tagOf({ tenant: `rare ${count}` });
      loads.began(rare);
      loads.ended(rare);
      if (count % 100 === 0) {
        loads.began(loads.tagOf({ tenant: "busy" }));
      }
    }
    const told = loads.stats();
    assert.equal(told.length, 100);
    assert.deepEqual([told[0]!.name, told[0]!.pending], ["busy", 1_000]);
    assert.equal(sizeOf(loads), 2_000);
  });

  it("forget nobody who has something pending, and are few again when all is settled", () => {
    const loads = new TenantLoads();
    const tags = Array.from({ length: 10_000 }, (_, count) => loads.tagOf({ tenant: `tenant ${count}` }));
    for (const tag of tags) {
      loads.began(tag);
    }
    assert.equal(sizeOf(loads), 10_000);
    for (const [count, { load }] of tags.entries()) {
      assert.equal(loads.tagOf({ tenant: `tenant ${count}` }).load, load);
    }
    for (const tag of tags) {
      loads.ended(tag);
    }
    assert.equal(sizeOf(loads), 2_000);
  });

  it("are one for all priorities of a tenant, and keep nothing of one that was only asked for", () => {
    const loads = new TenantLoads();
    const [bulk, high] = [loads.tagOf({ tenant: "a", priority: "bulk" }), loads.tagOf({ priority: "high" })];
    assert.deepEqual([bulk.text, high.text, sizeOf(loads)], ["2a", "0", 0]);
    loads.began(bulk);
    assert.equal(loads.tagOf({ tenant: "a", priority: "bulk" }), bulk);
    assert.equal(loads.tagOf({ tenant: "a" }).load, bulk.load);
  });
});

function sizeOf(loads: TenantLoads): number {
  return Object.values(loads).reduce((sum, value) => sum + (value instanceof Map ? value.size : 0), 0);
}
