/** What is said of a host that is not well: every cause, from its evidence. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { HostInput } from "../../../src/config/input.js";
import { loadSettings } from "../../../src/config/load.js";
import type { HostSettings } from "../../../src/config/settings.js";
import { newHostStats } from "../../../src/messages/host-stats.js";
import { CAUSES } from "../../../src/operator/causes.js";
import { diagnose } from "../../../src/operator/diagnosis.js";
import type { Evidence } from "../../../src/operator/evidence.js";
import { ADDRESS_CASES } from "../kit/address-cases.js";
import { CASES, type Case, DOWN, failure, NOW_MS } from "../kit/diagnosis-cases.js";
import { WAITING_CASES } from "../kit/waiting-cases.js";

const HOST: HostInput = { address: "mx.example.org", port: 24, protocol: "lmtp" };

async function settingsOf(host: Partial<HostInput> = {}): Promise<HostSettings> {
  const cluster =
    host.cluster === undefined ? {} : { cluster: { url: "redis://127.0.0.1", name: "test", secret: "x".repeat(32) } };
  return (await loadSettings({ ...cluster, remote: { store: { ...HOST, ...host } } })).hosts.get("store")!;
}

describe("the diagnosis of a host", () => {
  let settings: HostSettings;

  before(async () => {
    settings = await settingsOf();
  });

  function evidence({ stats, ...known }: Case["known"]): Evidence {
    return {
      nowMs: NOW_MS,
      settings,
      cluster: undefined,
      failure: undefined,
      readyMs: undefined,
      silentSinceMs: undefined,
      phases: {},
      settledRate: 0,
      queueGrowth: 0,
      events: [],
      ...known,
      stats: {
        ...newHostStats({ id: "store", address: "192.0.2.1", port: 24, protocol: "lmtp" }),
        state: "up",
        ...stats,
      },
    };
  }

  const cases = [...CASES, ...ADDRESS_CASES, ...WAITING_CASES];

  for (const { name, host, known, says } of cases) {
    test(`${name}: ${says.cause}`, async () => {
      const found = { ...evidence(known), settings: await settingsOf(host) };
      assert.deepEqual(diagnose(found), { hostId: "store", ...says });
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
    const known = evidence({ stats: DOWN, failure: failure("CONNECT_FAILED", "It could not be reached.") });
    const stale = await settingsOf({ lookup: true, cache: { "stale-if-error": "2h" } });
    assert.match(
      diagnose({ ...known, settings: stale }).now,
      /; cached answers serve for up to 2 h past their time\.$/,
    );
  });

  test("takes an old failure for what it is", () => {
    const old = failure("CONNECT_FAILED", "It could not be reached.", { atMs: NOW_MS - 120_000 });
    assert.equal(diagnose(evidence({ failure: old })).cause, "idle");
  });
});
