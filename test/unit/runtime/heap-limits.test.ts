import assert from "node:assert/strict";
import { test } from "node:test";
import { loadSettings } from "../../../src/config/load.js";
import { heapLimits } from "../../../src/runtime/heap-limits.js";

async function limitsOf(hosts: number, threads: number): Promise<unknown> {
  const host = { address: "mx.example", port: 25, protocol: "smtp" } as const;
  const remote = Object.fromEntries(Array.from({ length: hosts }, (_, number) => [`host${number}`, host]));
  return heapLimits(await loadSettings({ runtime: { threads, memory: "100MiB" }, remote }));
}

test("threads share what there is for young garbage, as many as their hosts need, within bounds for each", async () => {
  for (const [hosts, threads, young] of [
    [1, 64, 12],
    [2, 64, 12],
    [4, 64, 7],
    [10, 64, 3],
    [1000, 16, 3],
    [200, 200, 3],
    [0, 64, 12],
  ] as const) {
    assert.deepEqual(
      await limitsOf(hosts, threads),
      { maxOldGenerationSizeMb: 100, maxYoungGenerationSizeMb: young },
      `${hosts} hosts on at most ${threads} threads`,
    );
  }
});
