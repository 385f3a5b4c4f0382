/** `limits.rate`: how many requests begin, when, and who goes first; what waits for it is not the host's fault. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Pace } from "../../../workers/pool/pace.js";
import { RateLimit } from "../../../workers/pool/rate-limit.js";
import { HostRig } from "../../kit/host-rig.js";
import { friendly } from "../../kit/rig-peer.js";

const names = (count: number, start = "r") => Array.from({ length: count }, (_, at) => `${start}${at}`);

/** A host at which one request may begin each `intervalMs`, and `burst` at once. */
function rated(intervalMs: number, burst: number, concurrency = 4, answer = friendly): HostRig {
  return new HostRig({
    answer,
    settings: { concurrency, limits: { requests: 1000, errors: 1000, rate: { intervalMs, burst } } },
  });
}

describe("a rate", () => {
  it("lets a burst begin, then one after the other, and saves up no more than the burst", () => {
    const limit = new RateLimit({ intervalMs: 100, burst: 3 });
    const begunAt: number[] = [];
    for (let nowMs = 5_000; nowMs < 5_500; nowMs += 10) {
      while (limit.room(nowMs) > 0) {
        limit.take(nowMs);
        begunAt.push(nowMs - 5_000);
      }
    }
    assert.deepEqual(begunAt, [0, 0, 0, 100, 200, 300, 400]);
    assert.equal(limit.waitMs(5_450), 50);
    assert.equal(limit.room(60_000), 3);
  });

  it("keeps what is left when it changes: a change is no new burst", () => {
    const limit = new RateLimit({ intervalMs: 100, burst: 10 });
    for (let count = 0; count < 8; count++) {
      limit.take(0);
    }
    limit.change({ intervalMs: 10, burst: 100 }, 1, 0);
    assert.equal(limit.room(0), 2);
    assert.equal(limit.room(10), 3);
    limit.change({ intervalMs: 10, burst: 100 }, 0, 10);
    assert.equal(limit.room(1_000_000), 0);
    assert.equal(limit.waitMs(1_000_000), Number.POSITIVE_INFINITY);
    limit.change({ intervalMs: 10, burst: 100 }, 0.25, 1_000_000);
    assert.equal(limit.room(1_000_000), 0);
    assert.equal(limit.room(1_000_040), 1);
    assert.equal(limit.room(2_000_000), 25);
  });
});

describe("cluster.rate", () => {
  /** A host whose gateways share one request each 10 ms, of which a hundred may begin at once. */
  const shared = (answer = friendly) =>
    new HostRig({
      answer,
      settings: {
        concurrency: 4,
        limits: { requests: 1000, errors: 1000 },
        cluster: { rate: { intervalMs: 10, burst: 100 } },
      },
    });

  it("begins nothing without a part of it, and then as much as the part allows", () => {
    const rig = shared();
    for (const name of names(60)) {
      rig.relay(name);
    }
    rig.run();
    assert.equal(rig.outcomes().length, 0);
    assert.match(rig.demands.at(-1)!, /rate.*1000/, "all of it is wanted");
    rig.grant(250, "lease", 10_000, "rate");
    rig.run();
    assert.equal(rig.outcomes().length, 0, "a part that was just granted is no burst");
    rig.advance(1_000);
    assert.equal(rig.outcomes().length, 25);
    assert.equal(rig.actor.stats().rate!.part, 0.25);
    rig.grant(500, "lease", 10_000, "rate");
    rig.advance(1_000);
    rig.checkSettled();
  });

  it("asks for about what it uses, and a little where it uses nothing", () => {
    const rig = shared();
    rig.grant(1000, "lease", 100_000, "rate");
    rig.advance(10_000);
    rig.grant(1000, "lease", 100_000, "rate");
    assert.match(rig.demands.at(-1)!, /rate.* 10 wanted/);
    for (const name of names(50)) {
      rig.relay(name);
    }
    rig.advance(5_000);
    rig.grant(1000, "lease", 100_000, "rate");
    assert.match(rig.demands.at(-1)!, /rate.* 210 wanted/, "50 in 5 s of 100 a second, as much again, and a little");
  });

  it("ends with its lease although no timer has fired yet: the process was stopped", () => {
    let nowMs = 0;
    const pace = new Pace({ now: () => nowMs, after: () => () => {} }, () => {}, undefined);
    pace.share({ intervalMs: 10, burst: 20 }, () => {});
    pace.grant(1, 1_000);
    nowMs = 999;
    assert.equal(pace.room, 20);
    nowMs = 1_000;
    assert.equal(pace.room, 0);
    pace.grant(1, 2_000);
    assert.equal(pace.room, 20);
  });

  it("ends with its lease, and where Redis is lost and nothing may go on, requests are refused", () => {
    const rig = shared();
    rig.grant(1000, "lease", 1_000, "rate");
    rig.advance(900);
    rig.relay("a");
    rig.advance(200);
    assert.equal(rig.outcomes().length, 1);
    rig.relay("b");
    rig.advance(5_000);
    assert.equal(rig.outcomes().length, 0);
    rig.grant(0, "refused", Number.POSITIVE_INFINITY, "rate");
    rig.relay("c");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["b: HOST_UNAVAILABLE", "c: HOST_UNAVAILABLE"]);
    rig.grant(500, "share", Number.POSITIVE_INFINITY, "rate");
    rig.relay("d");
    rig.advance(100);
    assert.equal(rig.outcomes().length, 1);
    rig.checkSettled();
  });

  it("goes over to the host as it is after a reload", () => {
    const rig = shared();
    rig.grant(1000, "lease", 100_000, "rate");
    rig.advance(1_000);
    for (const name of names(100)) {
      rig.relay(name);
    }
    rig.run();
    assert.equal(rig.outcomes().length, 100);
    void rig.replace(60_000);
    rig.grant(1000, "lease", 100_000, "rate");
    for (const name of names(5, "new")) {
      rig.relay(name);
    }
    rig.run();
    assert.equal(rig.outcomes().length, 0);
    rig.advance(50);
    rig.checkSettled();
  });
});

describe("limits.rate", () => {
  it("bounds messages, lookups and logins together, on all connections; what waits is told", () => {
    const rig = rated(100, 4);
    for (const name of names(6)) {
      rig.relay(name);
    }
    for (const name of names(2, "u")) {
      rig.login(name);
    }
    for (const name of names(2, "a")) {
      rig.rcpt(name);
    }
    rig.run();
    assert.equal(rig.outcomes().length, 4);
    assert.deepEqual(rig.actor.stats().rate, { perSecond: 10, burst: 4, waiting: 6, delayed: 0 });
    rig.advance(99);
    assert.equal(rig.outcomes().length, 0);
    rig.advance(2);
    assert.equal(rig.outcomes().length, 1);
    rig.advance(500);
    assert.equal(rig.outcomes().length, 5);
    rig.checkSettled();
    assert.deepEqual(rig.actor.stats().rate, { perSecond: 10, burst: 4, waiting: 0, delayed: 6 });
  });

  it("counts a message whose envelope follows another's content", () => {
    const rig = rated(1_000, 2, 1);
    for (const name of names(4)) {
      rig.relay(name);
    }
    rig.advance(500);
    assert.equal(rig.seen("MAIL").length, 2);
    rig.advance(1_000);
    assert.equal(rig.seen("MAIL").length, 3);
  });

  it("opens no connections for what may not begin", () => {
    const rig = rated(100, 2, 8);
    for (const name of names(20)) {
      rig.relay(name);
    }
    rig.run();
    assert.equal(rig.mostOpen, 2);
    rig.advance(5_000);
    assert.equal(rig.mostOpen, 2);
    rig.checkSettled();
  });

  it("starves nobody: whoever has waited for longer than a second goes before logins", () => {
    const rig = rated(500, 1);
    const outcomes: string[] = [];
    for (let second = 0; second < 20; second++) {
      for (const name of names(4, `${second}user`)) {
        rig.login(name);
      }
      if (second === 6) {
        rig.relay("message");
      }
      rig.advance(1_000);
      outcomes.push(...rig.outcomes());
    }
    const at = outcomes.findIndex((outcome) => outcome.startsWith("message: delivered"));
    assert.ok(at > 0, "a message is served beside logins that come faster than the rate");
  });

  it("lets a deadline pass in the queue, and does not take the host for hung", () => {
    // A host may think about a message for minutes.
    const rig = rated(60_000, 1, 4, (line, peer) => (line === "." ? undefined : friendly(line, peer)));
    rig.relay("first");
    rig.run();
    const slots = names(5).map((name) => rig.rcpt(name, rig.nowMs + 20_000));
    rig.advance(20_000);
    for (const slot of slots) {
      rig.actor.cancel(slot, "DEADLINE_EXCEEDED");
    }
    assert.equal(rig.told.filter((outcome) => outcome.includes("DEADLINE_EXCEEDED")).length, 5);
    assert.equal(rig.actor.stats().state, "up");
    assert.equal(rig.seen("RCPT").length, 1);
  });

  it("is kept by a host that was removed and added again together with what it was", () => {
    const rig = rated(100, 4);
    for (const name of names(6, "old")) {
      rig.relay(name);
    }
    rig.run();
    void rig.replace(60_000);
    for (const name of names(6, "new")) {
      rig.relay(name);
    }
    rig.run();
    assert.equal(rig.seen("MAIL").length, 4);
    rig.advance(410);
    assert.equal(rig.seen("MAIL").length, 8);
    rig.advance(1_000);
    rig.checkSettled();
  });

  it("holds after a reload, and holds no more when it is taken away", () => {
    const rig = rated(60_000, 1);
    for (const name of names(3)) {
      rig.relay(name);
    }
    rig.run();
    assert.equal(rig.outcomes().length, 1);
    rig.actor.reconfigure({ ...rig.settings, concurrency: 2 });
    rig.run();
    assert.equal(rig.outcomes().length, 0);
    const { rate: _, ...limits } = rig.settings.limits;
    rig.actor.reconfigure({ ...rig.settings, limits });
    rig.run();
    assert.equal(rig.outcomes().length, 2);
    assert.equal(rig.actor.stats().rate, undefined);
  });
});
