/** Whose turn it is, as a table. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Claim,
  connectionsWanted,
  type Holder,
  isOverdue,
  mustYield,
  opensLoginFirst,
} from "../../../workers/pool/turns.js";

const NOW_MS = 100_000;
/** So long ago that they go first. */
const LONG_AGO_MS = NOW_MS - 1_001;

function claim(details: Partial<Claim> = {}): Claim {
  const oldestMs = (details.queued ?? 0) > 0 ? NOW_MS : Number.POSITIVE_INFINITY;
  return { isLogin: false, queued: 0, retries: 0, oldestMs, opening: 0, held: 0, circuitState: "closed", ...details };
}
const logins = (details: Partial<Claim> = {}): Claim => claim({ isLogin: true, ...details });

describe("how many connections a purpose should have more", () => {
  const table: readonly (readonly [string, Partial<Claim>, number])[] = [
    ["none, where nobody waits", { queued: 0 }, 0],
    ["one for each that waits", { queued: 4 }, 4],
    ["less those on their way", { queued: 4, opening: 3 }, 1],
    ["never fewer than none", { queued: 1, opening: 3 }, 0],
    ["none while the circuit is open", { queued: 4, circuitState: "open" }, 0],
    ["one that finds out", { queued: 4, circuitState: "half-open" }, 1],
    ["and no second one", { queued: 4, opening: 1, circuitState: "half-open" }, 0],
  ];
  for (const [name, details, expected] of table) {
    it(name, () => assert.equal(connectionsWanted(claim(details)), expected));
  }
});

describe("a connection gives its slot to the other purpose", () => {
  const used: Holder = { past: "used", ageMs: 5_000 };
  const rested: Holder = { past: "rested", ageMs: 5_000 };
  const fresh: Holder = { past: "fresh", ageMs: 5_000 };
  const young: Holder = { past: "used", ageMs: 500 };
  const waits = { queued: 1 };
  const waitsLong = { queued: 1, oldestMs: LONG_AGO_MS };
  const table: readonly (readonly [string, Holder, Claim, Claim, number, boolean])[] = [
    ["not while nobody waits", used, claim(), logins(), 0, false],
    ["when only the other waits", used, claim(), logins(waits), 0, true],
    ["when only the other waits, though it never served", fresh, claim(), logins(waits), 0, true],
    ["not for one that has a connection on its way", used, claim(), logins({ ...waits, opening: 1 }), 0, false],
    ["not for one whose slot is being freed", used, claim(), logins(waits), 1, false],
    ["not for one whose circuit is open", used, claim(), logins({ ...waits, circuitState: "open" }), 0, false],
    ["to logins that have none", used, claim(waits), logins(waits), 0, true],
    ["not to logins that have one", used, claim(waits), logins({ ...waits, held: 1 }), 0, false],
    ["not from logins, which go first", used, logins(waits), claim(waits), 0, false],
    ["not when it never served, and its own wait", fresh, claim(waits), logins(waits), 0, false],
    ["not to logins when its own wait longest", used, claim(waitsLong), logins(waits), 0, false],
    ["to whoever waits for too long", used, logins(waits), claim(waitsLong), 0, true],
    ["not before it has served for a while", young, logins(waits), claim(waitsLong), 0, false],
    ["for a retry of its own, which needs a fresh one", used, claim({ queued: 1, retries: 1 }), logins(), 0, true],
    [
      "for a retry, when it rested for so long that the host may have ended it",
      rested,
      claim({ queued: 1, retries: 1 }),
      logins(),
      0,
      true,
    ],
    ["not when it rested before its first task, and its own wait", rested, claim(waits), logins(waits), 0, false],
    ["not for a retry that it may serve itself", fresh, claim({ queued: 1, retries: 1 }), logins(), 0, false],
    ["not for a retry whose slot is being freed", used, claim({ queued: 1, retries: 1 }), logins(), 1, false],
  ];
  for (const [name, holder, own, rival, closing, expected] of table) {
    it(name, () => assert.equal(mustYield(holder, own, rival, closing, NOW_MS), expected));
  }
});

describe("a free slot that both want", () => {
  const table: readonly (readonly [string, number, number, boolean])[] = [
    ["is the logins'", NOW_MS, NOW_MS, true],
    ["is the logins', who came later", NOW_MS, NOW_MS - 900, true],
    ["is that of the others once they waited for too long", NOW_MS, LONG_AGO_MS, false],
    ["is the logins' who waited longer still", LONG_AGO_MS - 1, LONG_AGO_MS, true],
  ];
  for (const [name, loginMs, serviceMs, expected] of table) {
    it(name, () => {
      const [login, service] = [logins({ queued: 1, oldestMs: loginMs }), claim({ queued: 1, oldestMs: serviceMs })];
      assert.equal(opensLoginFirst(login, service, NOW_MS), expected);
    });
  }
});

describe("who is overdue", () => {
  it("has waited for more than a second, and longer than the other", () => {
    const [long, longer, none] = [
      claim({ queued: 1, oldestMs: LONG_AGO_MS }),
      claim({ queued: 1, oldestMs: LONG_AGO_MS - 1 }),
      claim(),
    ];
    assert.ok(isOverdue(long, none, NOW_MS));
    assert.ok(isOverdue(longer, long, NOW_MS));
    assert.ok(!isOverdue(long, longer, NOW_MS));
    assert.ok(!isOverdue(long, none, LONG_AGO_MS + 1_000), "a second is not more than a second");
    assert.ok(!isOverdue(none, none, NOW_MS));
  });
});
