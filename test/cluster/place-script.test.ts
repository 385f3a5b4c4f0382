/** Holds the model of the place script to a real Redis: equal random sequences of calls, replies and tables compared after each. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  decodePlaceReply,
  encodePlaceCall,
  PLACE_SCRIPT,
  type PlaceCall,
  placesKey,
} from "../../src/cluster/place-script.js";
import { Random } from "../simulation/random.js";
import { PlacesModel } from "./kit/places-model.js";
import { ScriptStage, timed } from "./kit/script-stage.js";

const KEY = placesKey("test");
const HOSTS = ["lmtp", "relay", "imap_1"];

/** The server's identity is told by the test, too. */
const TIMED_SCRIPT = timed(PLACE_SCRIPT).replace(
  "string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or '-'",
  "redis.call('GET', 'run')",
);

describe("the place script", () => {
  let stage: ScriptStage;

  before(async () => {
    stage = await ScriptStage.open(KEY);
  });

  after(() => stage.close());

  const evaluate = (script: string, call: PlaceCall): Promise<unknown> =>
    stage.client.sendCommand(["EVAL", script, "1", KEY, ...encodePlaceCall(call)]);

  async function play(seed: number, steps: number): Promise<Record<string, number>> {
    const random = new Random(seed);
    const model = new PlacesModel();
    const seenKinds: Record<string, number> = { stale: 0, jumped: 0, flushed: 0, rotated: 0, refused: 0 };
    const leaseMs = random.pick([1000, 10_000]);
    const total = random.pick([1, 2, 7, 40]);
    const serials = new Map<string, number>();
    const renewed = new Map<string, number>();
    const { client } = stage;
    await client.flushAll();
    for (let step = 0; step < steps; step++) {
      model.nowMs += random.chance(0.1) ? random.between(0, 2 * leaseMs) : random.between(0, leaseMs / 10);
      if (random.chance(0.01)) {
        model.flush();
        await client.del(KEY);
        seenKinds.flushed!++;
      }
      if (random.chance(0.01)) {
        model.run = `r${step}`;
      }
      if (random.chance(0.01)) {
        model.nowMs -= random.between(0, 3 * leaseMs);
      }
      const gateway = `g${random.below(6)}`;
      const serial = (serials.get(gateway) ?? 0) + (random.chance(0.05) ? 0 : 1);
      serials.set(gateway, serial);
      const elapsed = random.chance(0.1) ? -1 : model.nowMs - (renewed.get(gateway) ?? model.nowMs);
      const hosts = HOSTS.filter(() => random.chance(0.6));
      const call: PlaceCall = {
        gateway,
        serial,
        leaseMs,
        isStrict: random.chance(0.3),
        isLeaving: random.chance(0.05),
        claims: (hosts.length === 0 ? [HOSTS[0]!] : hosts).map((hostId) => ({
          hostId,
          total,
          want: random.chance(0.2) ? 0 : random.between(0, 12),
          claim: random.chance(0.5) ? 0 : random.between(0, 12),
          leased: random.chance(0.5) ? 0 : random.between(0, 12),
          seen: random.below(5),
          elapsedMs: random.chance(0.1) ? Math.max(-1, elapsed - leaseMs) : elapsed,
        })),
      };
      renewed.set(gateway, model.nowMs);
      await stage.setTime(model.nowMs);
      await client.set("run", model.run);
      const expected = model.apply(call);
      const told = await evaluate(TIMED_SCRIPT, call).catch((error: Error) => error.message);
      const where = `seed ${seed}, step ${step}`;
      if (expected === undefined) {
        assert.match(String(told), /^STALE /, where);
        seenKinds.stale!++;
      } else {
        assert.deepEqual(decodePlaceReply(told, call.claims.length), expected, where);
        if (expected.some(({ target, granted }) => target < granted)) {
          seenKinds.refused!++;
        }
      }
      for (const host of HOSTS) {
        assert.equal(await client.hGet(KEY, host), model.text(host), `${where}, ${host}`);
      }
    }
    return seenKinds;
  }

  test("does what its model does, in random sequences", async () => {
    const kinds: Record<string, number> = {};
    for (let seed = 1; seed <= 24; seed++) {
      for (const [kind, count] of Object.entries(await play(seed, 150))) {
        kinds[kind] = (kinds[kind] ?? 0) + count;
      }
    }
    assert.ok(kinds.stale! > 20 && kinds.flushed! > 10 && kinds.refused! > 20, JSON.stringify(kinds));
  });

  test("a table that has forgotten tells of as many gateways as the one that asks knew of, for a lease", async () => {
    await stage.client.flushAll();
    await stage.client.set("run", "r1");
    const claim = { hostId: "lmtp", total: 12, want: 12, claim: 0, leased: 0, elapsedMs: -1 };
    const ask = async (serial: number, nowMs: number, seen: number) => {
      await stage.setTime(nowMs);
      const call = { gateway: "g1", serial, leaseMs: 1_000, isStrict: false, isLeaving: false };
      const reply = await evaluate(TIMED_SCRIPT, { ...call, claims: [{ ...claim, seen }] });
      return decodePlaceReply(reply, 1)![0]!;
    };
    // Cut off now, it would go on with its share of what it is told: with all 12 if that were of itself alone.
    assert.deepEqual(await ask(1, 5_000_000, 4), { target: 3, granted: 3, used: 3, seen: 4, wanted: 12 });
    assert.equal((await ask(2, 5_000_999, 4)).seen, 4);
    assert.deepEqual(await ask(3, 5_001_000, 4), { target: 12, granted: 12, used: 12, seen: 1, wanted: 12 });
  });
});
