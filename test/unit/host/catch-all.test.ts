/** Which domains accept everybody: what is asked, how often, and what follows from the answer. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { CatchAll, type CatchAllProbe } from "../../../workers/host/catch-all.js";
import type { TaskOwner } from "../../../workers/host/tasks.js";
import type { World } from "../../../workers/world.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const DAY = 86_400_000;
const ACCEPTED = { found: true, values: [], reply: { code: 250, text: "ok" } };
const UNKNOWN = { found: false, values: [], reply: { code: 550, enhanced: "5.1.1", text: "who?" } };
const ADDRESS = "anna@example.org";

function make({ isReachable = true, hasBareRecipients = false } = {}) {
  const clock = new VirtualClock();
  let drawn = 0;
  const world = {
    clock,
    wheel: new TimerWheel(clock),
    randomBytes: (count: number) => new Uint8Array(count).fill(++drawn),
  } as unknown as World;
  const log: unknown[] = [];
  const probes: CatchAllProbe[] = [];
  const state = { isReachable };
  const catchAll = new CatchAll({
    world,
    owner: { now: () => clock.now() } as TaskOwner,
    log: { write: (_level, event, _message, fields) => log.push([event, fields]) },
    hasBareRecipients,
    ask: (probe) => {
      if (state.isReachable) {
        probes.push(probe);
      }
      return state.isReachable;
    },
  });
  /** The host says this to the probe that was asked last. */
  const answer = (what: Parameters<CatchAllProbe["answeredWith"]>[1], speaksOfUs = false, wasSent = true): void => {
    const probe = probes.at(-1)!;
    probe.wasSent = wasSent;
    probe.answeredWith(probe, what, speaksOfUs);
  };
  const certainty = (address = ADDRESS) => catchAll.ofFound(address).certainty;
  return { clock, catchAll, probes, answer, certainty, log, state };
}

describe("a recipient that was found", () => {
  it("makes a random one of its domain be asked for, once", () => {
    const { probes, certainty } = make();
    assert.equal(certainty(), "unknown");
    assert.equal(certainty("eva@EXAMPLE.org"), "unknown");
    assert.equal(certainty("otto@example.net"), "unknown");
    assert.deepEqual(
      probes.map(({ value, isRefresh }) => [value, isRefresh]),
      [
        [`relaypost${"01".repeat(12)}@example.org`, true],
        [`relaypost${"02".repeat(12)}@example.net`, true],
      ],
    );
  });

  it("is verified where the random one is unknown, and no more than accepted where it is accepted too", () => {
    const { answer, certainty, catchAll, log } = make();
    certainty();
    answer(UNKNOWN);
    assert.equal(certainty(), "verified");
    certainty("a@all.example");
    answer(ACCEPTED);
    assert.equal(certainty("b@all.example"), "accepts-all");
    assert.deepEqual(catchAll.stats(), { asked: 2, verified: 1, acceptsAll: 1 });
    assert.deepEqual(log, [["accepts-all", { domain: "all.example" }]]);
  });

  it("stays unknown for the day where the host gives no verdict on the random one", () => {
    for (const [what, speaksOfUs] of [
      [{ code: "REPLY_TRANSIENT", message: "" }, false],
      [UNKNOWN, true],
      [{ ...UNKNOWN, mailbox: "full" }, false],
    ] as const) {
      const { answer, certainty, probes, clock } = make();
      certainty();
      answer(what, speaksOfUs);
      clock.advance(DAY - 1);
      assert.equal(certainty(), "unknown");
      assert.equal(probes.length, 1);
    }
  });

  it("has its domain asked about again after a day, and is what it was until the answer", () => {
    const { answer, certainty, probes, clock, catchAll } = make();
    certainty();
    answer(ACCEPTED);
    clock.advance(DAY - 1);
    assert.deepEqual(catchAll.ofFound(ADDRESS), { certainty: "accepts-all", untilMs: clock.now() + 1 });
    assert.equal(probes.length, 1);
    clock.advance(1);
    assert.deepEqual(catchAll.ofFound(ADDRESS), { certainty: "accepts-all", untilMs: undefined });
    assert.equal(probes.length, 2);
    answer(UNKNOWN);
    assert.equal(certainty(), "verified");
  });

  it("has its domain asked about with the next one where nothing was sent", () => {
    const { answer, certainty, probes, state, catchAll } = make({ isReachable: false });
    certainty();
    state.isReachable = true;
    certainty();
    assert.equal(probes.length, 1);
    answer({ code: "HOST_UNAVAILABLE", message: "" }, false, false);
    certainty();
    assert.equal(probes.length, 2);
    assert.equal(catchAll.stats().asked, 0);
  });

  it("without a domain is asked about only where such recipients can be", () => {
    const plain = make();
    plain.certainty("postmaster");
    assert.deepEqual(plain.probes, []);
    const bare = make({ hasBareRecipients: true });
    bare.certainty("john");
    assert.equal(bare.probes[0]?.value, `relaypost${"01".repeat(12)}`);
  });

  it("is forgotten with everything else", () => {
    const { answer, certainty, catchAll, probes } = make();
    certainty();
    answer(ACCEPTED);
    catchAll.forget();
    assert.equal(certainty(), "unknown");
    assert.equal(probes.length, 2);
  });

  it("is of ten thousand domains a day at most; those above it are not asked about", () => {
    const { answer, certainty, probes, clock } = make();
    for (let index = 0; index < 10_100; index++) {
      certainty(`a@${index}.example`);
      if (index < 10_000) {
        answer(UNKNOWN);
      }
    }
    assert.equal(probes.length, 10_000);
    assert.equal(certainty("a@10050.example"), "unknown");
    clock.advance(DAY);
    certainty("a@10050.example");
    assert.equal(probes.length, 10_001);
  });
});
