/** Holds the model of the health script to a real Redis: equal random sequences of calls; replies, fields and words compared. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { encodeHealthCall, HEALTH_SCRIPT, type HealthCall, healthKey } from "../../src/cluster/health-script.js";
import { Random } from "../simulation/random.js";
import { HealthModel, parseHealthCall } from "./kit/health-model.js";
import { ScriptStage, timed } from "./kit/script-stage.js";

const KEY = healthKey("test");
const CIRCUITS = ["lmtp:x:service", "lmtp:x:login"];
const NOTES = ["lmtp:x:limit"];

/** What expires by itself would do so by the server's own clock. */
const TIMED_SCRIPT = timed(HEALTH_SCRIPT).replace("redis.call('PEXPIRE', key, 3600000)", "");

describe("the health script", () => {
  let stage: ScriptStage;

  before(async () => {
    stage = await ScriptStage.open(KEY);
  });

  after(() => stage.close());

  async function play(seed: number, steps: number, kinds: Record<string, number>): Promise<void> {
    const random = new Random(seed);
    const told: string[] = [];
    const model = new HealthModel((message) => told.push(message));
    model.nowMs = 1e9;
    const { client, heard } = stage;
    heard.length = 0;
    await client.flushAll();
    for (let step = 0; step < steps; step++) {
      model.nowMs += random.chance(0.05) ? random.between(0, 200_000) : random.between(0, 4_000);
      if (random.chance(0.02)) {
        model.nowMs -= random.between(0, 200_000);
      }
      const gateway = `g${random.below(3)}`;
      const call = anyCall(random);
      const args = encodeHealthCall(call, gateway, KEY);
      const where = `seed ${seed}, step ${step}: ${JSON.stringify(call)}`;
      assert.deepEqual(encodeHealthCall(parseHealthCall(args).call, gateway, KEY), args, where);
      await stage.setTime(model.nowMs);
      const expected = model.apply(gateway, parseHealthCall(args).call);
      assert.deepEqual(await client.sendCommand(["EVAL", TIMED_SCRIPT, "1", KEY, ...args]), expected, where);
      assert.deepEqual({ ...(await client.hGetAll(KEY)) }, model.texts(), where);
      const kind = call.verb === "claim" ? `claim ${(expected as number[])[0]}` : call.verb;
      kinds[kind] = (kinds[kind] ?? 0) + 1;
    }
    await stage.untilHeard(told.length);
    assert.deepEqual(heard, told, `seed ${seed}`);
    kinds.free = (kinds.free ?? 0) + told.filter((word) => word.startsWith("free ")).length;
  }

  test("does what its model does, in random sequences", async () => {
    const kinds: Record<string, number> = {};
    for (let seed = 1; seed <= 16; seed++) {
      await play(seed, 200, kinds);
    }
    for (const kind of ["claim 0", "claim 1", "claim 2", "down", "up", "note", "pass", "free", "read", "drop"]) {
      assert.ok((kinds[kind] ?? 0) > 10, `${kind}: ${JSON.stringify(kinds)}`);
    }
  });
});

function anyCall(random: Random): HealthCall {
  const field = random.pick(CIRCUITS);
  const verb = random.pick([
    "down",
    "down",
    "down",
    "claim",
    "claim",
    "claim",
    "pass",
    "up",
    "note",
    "read",
    "drop",
  ] as const);
  switch (verb) {
    case "down":
      return {
        verb,
        field,
        forMs: random.pick([0.4, 1_000, random.between(0, 60_000), 1e9]),
        failures: random.below(9),
      };
    case "claim":
      return { verb, field, lifeMs: random.pick([10_000, 1e9]) };
    case "note":
      return { verb, field: NOTES[0]!, forMs: random.pick([60_000, 1e9]), value: random.between(1, 9) };
    case "pass":
    case "up":
      return { verb, field: verb === "up" && random.chance(0.2) ? NOTES[0]! : field };
    default:
      // Rarely: what it takes away is found out anew by all.
      return verb === "drop" && random.chance(0.7)
        ? { verb: "read", fields: [...CIRCUITS, ...NOTES] }
        : { verb, fields: [...CIRCUITS, ...NOTES] };
  }
}
