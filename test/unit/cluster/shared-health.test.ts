import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { SharedHealth } from "../../../src/cluster/shared-health.js";
import type { HealthHint } from "../../../src/messages/health.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { FakeRedisLink } from "../kit/fake-redis-link.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const HOST = smtpSettings({ id: "lmtp", cluster: { health: true } });
const LEASE_MS = 3_000;
const TURN: HealthHint = { is: "turn", of: "service" };

describe("what gateways share of hosts' health", () => {
  let clock: VirtualClock;
  let link: FakeRedisLink;
  let hints: HealthHint[];
  let health: SharedHealth;

  beforeEach(() => {
    clock = new VirtualClock();
    link = new FakeRedisLink();
    hints = [];
    const hint = (_hostId: string, word: HealthHint): void => void hints.push(word);
    health = new SharedHealth({ name: "mail", gateway: "g", leaseMs: LEASE_MS, link, clock, hint });
    health.setHost(HOST);
    link.take();
    health.found("lmtp", { is: "wish", of: "service" });
  });

  test("renews the claim of a turn until it is closed, and sets no timer after that", async () => {
    link.take().answer([0, LEASE_MS, 3]);
    await turn();
    assert.deepEqual(hints, [TURN]);
    clock.advance(LEASE_MS / 3);
    const renewal = link.take();
    assert.equal(renewal.args[0], "claim");
    health.close();
    assert.equal(clock.pending, 0);
    renewal.answer([0, LEASE_MS, 3]);
    await turn();
    health.found("lmtp", { is: "pass", of: "service" });
    health.removeHost("lmtp");
    assert.equal(clock.pending, 0);
    assert.deepEqual(link.calls, []);
  });

  test("lets whoever asked for the turn when it is closed find out alone", async () => {
    const claim = link.take();
    health.close();
    assert.deepEqual(hints, [TURN]);
    claim.fail();
    await turn();
    assert.deepEqual(hints, [TURN], "once");
    assert.equal(clock.pending, 0);
  });

  test("lets whoever waits for another one when it is closed find out alone", async () => {
    link.take().answer([2, LEASE_MS, 3]);
    await turn();
    assert.deepEqual(hints, []);
    health.close();
    assert.deepEqual(hints, [TURN]);
    assert.equal(clock.pending, 0);
  });
});
