/** What is said of a host that is not well: every cause, from its evidence. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HostInput } from "../../../src/config/input.js";
import { CAUSES } from "../../../src/operator/causes.js";
import { diagnose } from "../../../src/operator/diagnosis.js";
import { ADDRESS_CASES } from "../kit/address-cases.js";
import { CASES, DOWN, failure, NOW_MS } from "../kit/diagnosis-cases.js";
import { evidenceOf } from "../kit/evidence.js";
import { WAITING_CASES } from "../kit/waiting-cases.js";

describe("the diagnosis of a host", () => {
  const cases = [...CASES, ...ADDRESS_CASES, ...WAITING_CASES];

  for (const { name, host, known, says } of cases) {
    test(`${name}: ${says.cause}`, async () => {
      assert.deepEqual(diagnose(await evidenceOf(known, host)), { hostId: "store", ...says });
    });
  }

  test("knows no cause that is not told of here", () => {
    const told = new Set(cases.map(({ says }) => says.cause));
    assert.deepEqual(
      CAUSES.map(({ cause }) => cause).filter((cause) => !told.has(cause)),
      [],
    );
  });

  test("says that stale answers are served, where they are", async () => {
    const known = { stats: DOWN, failure: failure("CONNECT_FAILED", "It could not be reached.") };
    const stale: Partial<HostInput> = { lookup: true, cache: { "stale-if-error": "2h" } };
    assert.match(
      diagnose(await evidenceOf(known, stale)).now,
      /; cached answers serve for up to 2 h past their time\.$/,
    );
  });

  test("takes an old failure for what it is", async () => {
    const old = failure("CONNECT_FAILED", "It could not be reached.", { atMs: NOW_MS - 120_000 });
    assert.equal(diagnose(await evidenceOf({ failure: old })).cause, "idle");
  });
});
