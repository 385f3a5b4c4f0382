/** Who tries out addresses, and what becomes of their questions: the watch and the shield, without a host. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient } from "../../../src/messages/client.js";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { HarvestShield } from "../../../workers/host/harvest-shield.js";
import { HarvestWatch } from "../../../workers/host/harvest-watch.js";
import type { World } from "../../../workers/world.js";
import { HostRig } from "../../kit/host-rig.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const SETTINGS = { unknown: 4, windowMs: 1_000, ratio: 0.5 };
const LATE_MS = 3_000;

describe("a watch over clients", () => {
  const told = (watch: HarvestWatch, unknown: number, known: number, nowMs = 0, network = "192.0.2.1"): void => {
    for (let index = 0; index < unknown; index++) {
      watch.count(network, `${index}`, false, nowMs);
    }
    for (let index = 0; index < known; index++) {
      watch.count(network, "known", true, nowMs);
    }
  };
  const stance = (watch: HarvestWatch, nowMs = 0) => watch.stanceOf("192.0.2.1", nowMs);

  it("suspects one by the number and the share of unknown recipients", () => {
    for (const [unknown, known, expected] of [
      [3, 0, "free"],
      [4, 5, "free"],
      [4, 4, "late"],
      [7, 0, "late"],
      [8, 9, "free"],
      [8, 8, "refused"],
    ] as const) {
      const watch = new HarvestWatch(SETTINGS);
      told(watch, unknown, known);
      assert.equal(stance(watch), expected, `${unknown} unknown, ${known} known`);
    }
  });

  it("counts the same unknown recipient in a row once", () => {
    const watch = new HarvestWatch(SETTINGS);
    for (let times = 0; times < 100; times++) {
      watch.count("192.0.2.1", "same", false, 0);
    }
    assert.equal(stance(watch), "free");
  });

  it("forgets what lies a window back, little by little", () => {
    const watch = new HarvestWatch(SETTINGS);
    told(watch, 8, 0);
    assert.equal(stance(watch, 1_000), "refused");
    assert.equal(stance(watch, 1_001), "late");
    assert.equal(stance(watch, 1_500), "late");
    assert.equal(stance(watch, 1_501), "free");
    assert.deepEqual(watch.shareOf("192.0.2.1", 2_000), { unknown: 0, share: 0 });
  });

  it("remembers so many clients and no more, and suspects before others", () => {
    const watch = new HarvestWatch(SETTINGS);
    told(watch, 8, 0);
    for (let index = 0; index < 25_000; index++) {
      told(watch, 1, 0, 1, `client ${index}`);
    }
    assert.equal(watch.size, 20_000);
    assert.equal(stance(watch, 1), "refused");
    assert.equal(watch.suspects(1), 1);
  });
});

describe("the shield", () => {
  const [CLIENT, OTHER] = ["192.0.2.1", "192.0.2.2"].map((address) => encodeClient({ address, port: 25 }));

  function make() {
    const clock = new VirtualClock();
    const world = { clock, wheel: new TimerWheel(clock) } as unknown as World;
    const log: unknown[] = [];
    const shield = new HarvestShield(SETTINGS, world, {
      write: (level, event, _message, fields) => log.push([level, event, fields]),
    });
    /** The client learns of so many unknown recipients. */
    const told = (count: number, client = CLIENT!): void => {
      for (let index = 0; index < count; index++) {
        shield.asks(index, client, `${index}`, undefined);
        shield.settled(index, `${index}`, false);
      }
    };
    return { clock, shield, log, told };
  }

  it("lets a suspect's questions through late, so many at a time, and another client's at once", () => {
    const { clock, shield, log, told } = make();
    told(4);
    const asked: number[] = [];
    const outcomes = [10, 11, 12, 13, 14].map((slot) => shield.meet(slot, "rcpt", CLIENT!, () => asked.push(slot)));
    assert.deepEqual(outcomes, ["held", "held", "held", "held", "refused"]);
    assert.equal(shield.meet(20, "rcpt", OTHER!, assert.fail), "free");
    clock.advance(LATE_MS - 1);
    assert.deepEqual(asked, []);
    clock.advance(100);
    assert.deepEqual(asked.sort(), [10, 11, 12, 13]);
    assert.deepEqual({ ...shield.stats(), suspects: 0 }, { late: 4, refused: 1, suspects: 0 });
    const fields = { client: "192.0.2.1", unknown: 4, share: 1, others: 0 };
    assert.deepEqual(log, [["warn", "harvest-suspected", fields]]);
  });

  it("refuses one who was told of twice as many", () => {
    const { shield, told } = make();
    told(8);
    assert.equal(shield.meet(10, "rcpt", CLIENT!, assert.fail), "refused");
    assert.equal(shield.stats().suspects, 1);
  });

  it("counts neither what has no verdict nor what was given up", () => {
    const { shield } = make();
    for (let index = 0; index < 8; index++) {
      shield.asks(index, CLIENT!, `${index}`, undefined);
      shield.settled(index, `${index}`, undefined);
      shield.asks(index, CLIENT!, `${index}`, undefined);
      shield.parted(index);
      shield.settled(index, `${index}`, false);
    }
    assert.equal(shield.meet(10, "rcpt", CLIENT!, assert.fail), "free");
  });

  it("lets no suspect go for known recipients that it asks for again and again", () => {
    const { shield, told } = make();
    told(4);
    for (let index = 0; index < 100; index++) {
      shield.asks(index, CLIENT!, "known", true);
    }
    assert.equal(
      shield.meet(10, "rcpt", CLIENT!, () => {}),
      "held",
    );
  });

  it("counts what the cache says of one who does not exist", () => {
    const { shield } = make();
    for (let index = 0; index < 4; index++) {
      shield.asks(index, CLIENT!, `${index}`, false);
    }
    assert.equal(
      shield.meet(10, "rcpt", CLIENT!, () => {}),
      "held",
    );
  });

  it("lets go of a question that is given up, and of all of them at the end", () => {
    const { clock, shield, told } = make();
    told(4);
    for (const slot of [10, 11, 12]) {
      shield.meet(slot, "vrfy", CLIENT!, () => assert.fail("it was given up"));
    }
    assert.deepEqual([shield.release(10), shield.release(10)], ["vrfy", undefined]);
    const dropped: unknown[] = [];
    shield.close((slot, kind) => dropped.push([slot, kind]));
    assert.deepEqual(dropped, [
      [11, "vrfy"],
      [12, "vrfy"],
    ]);
    clock.advance(2 * LATE_MS);
  });

  it("writes one record a second, which tells how many more there are", () => {
    const { clock, shield, log } = make();
    const suspect = (address: string): void => {
      for (let index = 0; index < 4; index++) {
        shield.asks(0, encodeClient({ address }), `${index}`, false);
      }
    };
    ["192.0.2.1", "192.0.2.2", "192.0.2.3"].forEach(suspect);
    clock.advance(1_000);
    suspect("192.0.2.4");
    const others = log.map((record) => (record as [string, string, { others: number }])[2].others);
    assert.deepEqual(others, [0, 2]);
  });
});

describe("a host with the shield", () => {
  it("renews what its clients ask for in the background, as any other host", () => {
    const client = encodeClient({ address: "192.0.2.1" });
    const rig = new HostRig({
      settings: {
        lookups: { detectsCatchAll: false, acceptsAll: "found", harvest: { ...SETTINGS, windowMs: 60_000 } },
        cache: { ...smtpSettings().cache, entries: 10, positiveTtlMs: 100_000, refresh: 0.2 },
      },
    });
    for (const [name, waitMs] of [
      ["yes", 90_000],
      ["yes#2", 20_000],
      ["yes#3", 0],
    ] as const) {
      rig.rcpt(name, Number.POSITIVE_INFINITY, client);
      rig.run();
      rig.advance(waitMs);
    }
    const expected = ["yes: found (remote)", "yes#2: found (cache 90000 ms old)", "yes#3: found (cache 20000 ms old)"];
    assert.deepEqual(rig.outcomes(), expected);
  });
});

describe("a host that drains", () => {
  it("holds no question of a suspect back", async () => {
    const suspect = encodeClient({ address: "192.0.2.1" });
    const rig = new HostRig({
      settings: {
        lookups: { detectsCatchAll: false, acceptsAll: "found", harvest: { ...SETTINGS, windowMs: 60_000 } },
      },
    });
    for (let number = 0; number < SETTINGS.unknown; number++) {
      rig.rcpt(`no${number}`, Number.POSITIVE_INFINITY, suspect);
      rig.run();
    }
    rig.rcpt("no8", Number.POSITIVE_INFINITY, suspect);
    rig.run();
    assert.equal(rig.outcomes().length, SETTINGS.unknown, "the last one is held back");
    const done = rig.actor.close(1_000);
    assert.deepEqual(rig.outcomes(), ["no8: MAILBOX_CLOSED"]);
    rig.rcpt("no9", Number.POSITIVE_INFINITY, suspect);
    assert.deepEqual(rig.outcomes(), ["no9: MAILBOX_CLOSED"]);
    rig.advance(1_000);
    await done;
  });
});
