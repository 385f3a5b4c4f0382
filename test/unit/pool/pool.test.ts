/** The rules of the pool: how many connections, whose turn it is, and what was given up. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HostRig } from "../../kit/host-rig.js";
import { holding, names } from "../kit/pool-peers.js";

describe("concurrency", () => {
  it("is never exceeded, opening and closing connections included", () => {
    const rig = new HostRig({ settings: { concurrency: 3, limits: { requests: 2, errors: 100 } } });
    for (const name of names(20)) {
      rig.relay(name);
    }
    for (const name of names(20, "u")) {
      rig.login(name);
    }
    for (const name of names(20, "a")) {
      rig.rcpt(name);
    }
    rig.run();
    rig.checkSettled();
    assert.equal(rig.mostOpen, 3);
    assert.equal(rig.outcomes().length, 60);
  });

  it("counts a connection until its socket is gone", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { requests: 1 } } });
    rig.holdsClose = true;
    rig.relay("a");
    rig.relay("b");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["a: delivered on 1"]);
    assert.deepEqual(rig.actor.stats().connections, { opening: 0, idle: 0, busy: 0, closing: 1 });
    rig.peers[0]!.cut();
    rig.holdsClose = false;
    rig.run();
    assert.deepEqual(rig.outcomes(), ["b: delivered on 2"]);
    rig.checkSettled();
  });

  it("is opened as far as there is work for it, and no further", () => {
    const rig = new HostRig({ settings: { concurrency: 10 } });
    assert.equal(rig.peers.length, 0, "nothing is opened ahead of the first request");
    for (const name of names(4)) {
      rig.relay(name);
    }
    assert.deepEqual(rig.actor.stats().connections, { opening: 4, idle: 0, busy: 0, closing: 0 });
    rig.run();
    assert.equal(rig.peers.length, 4);
    rig.checkSettled();
  });
});

describe("limits of a connection", () => {
  it("requests: it is closed with QUIT and replaced", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { requests: 3 } } });
    for (const name of names(7)) {
      rig.relay(name);
    }
    rig.run();
    rig.checkSettled();
    assert.deepEqual(
      rig.peers.map(({ lines }) => lines.filter((line) => line.startsWith("MAIL")).length),
      [3, 3, 1],
    );
    assert.deepEqual(
      rig.peers.map(({ lines }) => lines.at(-1)),
      ["QUIT", "QUIT", "."],
    );
  });

  it("errors: refusals are counted before they come, so no more than that many are met", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { errors: 3 } } });
    for (const name of names(10, "no")) {
      rig.rcpt(name);
    }
    rig.run();
    rig.checkSettled();
    for (const { lines } of rig.peers) {
      assert.ok(lines.filter((line) => line.startsWith("RCPT")).length <= 3);
    }
    assert.equal(rig.peers.length, 4);
  });

  it("idle and lifetime: what rested or lived long enough is closed and forgotten", () => {
    const rig = new HostRig({ settings: { limits: { idleMs: 10_000, lifetimeMs: 60_000 } } });
    rig.relay("a");
    rig.advance(9_000);
    rig.relay("b");
    rig.advance(9_000);
    assert.equal(rig.open.length, 1);
    rig.advance(2_000);
    assert.deepEqual([rig.open.length, rig.seen("QUIT").length], [0, 1]);
    for (let turn = 0; turn < 12; turn++) {
      rig.relay(`c${turn}`);
      rig.advance(6_000);
    }
    assert.equal(rig.peers.length, 3, "it is replaced in the middle of steady work");
    rig.checkSettled();
  });

  it("a message that cannot be sent leaves its connection free", () => {
    const rig = new HostRig({ settings: { concurrency: 1 } });
    for (const name of names(60)) {
      rig.relay(name, Infinity, { smtputf8: "required" });
    }
    rig.relay("b");
    rig.run();
    assert.deepEqual(rig.outcomes().slice(59), ["r59: MISSING_EXTENSION", "b: delivered on 1"]);
    assert.equal(rig.actor.stats().connections.idle, 1);
    rig.checkSettled();
  });
});

describe("the order of service", () => {
  it("is first come, first served within a kind", () => {
    const rig = new HostRig({ settings: { concurrency: 1 } });
    for (const name of names(5)) {
      rig.relay(name);
    }
    rig.run();
    assert.deepEqual(
      rig.outcomes(),
      names(5).map((name) => `${name}: delivered on 1`),
    );
  });

  it("puts logins before lookups before messages", () => {
    const { answer, held } = holding("DATA");
    const rig = new HostRig({ settings: { concurrency: 1 }, answer });
    rig.relay("first");
    rig.run();
    rig.relay("m");
    rig.vrfy("v");
    rig.login("l");
    held.pop()!.say("550 no");
    rig.run();
    held.pop()?.say("550 no");
    rig.run();
    assert.deepEqual(rig.outcomes(), [
      "first: refused on 1",
      "l: found (remote)",
      "v: found (remote)",
      "m: refused on 3",
    ]);
    rig.checkSettled();
  });

  it("lets nobody starve: who has waited for more than a second goes first", () => {
    const { answer, held } = holding("VRFY");
    const rig = new HostRig({ settings: { concurrency: 1 }, answer });
    rig.vrfy("v0");
    rig.run();
    rig.relay("m");
    rig.advance(1_100);
    rig.vrfy("v1");
    for (let turn = 1; turn <= 2; turn++) {
      held.pop()?.say("250 <x>");
      rig.run();
    }
    assert.deepEqual(rig.outcomes(), ["v0: found (remote)", "m: delivered on 1", "v1: found (remote)"]);
  });

  it("lets messages through a flood of logins", () => {
    const rig = new HostRig({ settings: { concurrency: 2 } });
    rig.relay("m");
    let logins = 0;
    for (let turn = 0; turn < 30; turn++) {
      for (let count = 0; count < 20; count++) {
        rig.login(`l${logins++}`);
      }
      rig.advance(100);
    }
    assert.ok(rig.outcomes().includes("m: delivered on 1") || rig.told.some((line) => line.startsWith("m:")));
    rig.relay("n");
    for (let turn = 0; turn < 30; turn++) {
      for (let count = 0; count < 20; count++) {
        rig.login(`l${logins++}`);
      }
      rig.advance(100);
    }
    assert.ok(rig.outcomes().some((line) => line.startsWith("n: delivered")));
    rig.checkSettled();
  });

  it("lets logins through a flood of messages", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { requests: 1_000_000 } } });
    let relays = 0;
    const more = () => {
      for (let count = 0; count < 20; count++) {
        rig.relay(`m${relays++}`);
      }
    };
    more();
    rig.login("l");
    rig.run();
    assert.ok(rig.outcomes().includes("l: found (remote)"));
    rig.checkSettled();
  });
});

describe("what was given up", () => {
  it("never reaches the wire, and leaves its queue at once", () => {
    const { answer, held } = holding("DATA");
    const rig = new HostRig({ settings: { concurrency: 1 }, answer });
    rig.relay("first");
    rig.run();
    const aborted = rig.relay("aborted");
    const asked = rig.rcpt("asked");
    rig.relay("expired", rig.nowMs + 500);
    rig.rcpt("late", rig.nowMs + 500);
    assert.equal(rig.actor.stats().queued, 4);
    rig.actor.cancel(aborted, "ABORTED");
    rig.actor.cancel(asked, "ABORTED");
    assert.equal(rig.actor.stats().queued, 2);
    rig.advance(600);
    held.pop()!.say("550 no");
    rig.run();
    assert.deepEqual(rig.outcomes(), [
      "aborted: ABORTED",
      "asked: ABORTED",
      "first: refused on 1",
      "late: DEADLINE_EXCEEDED",
      "expired: DEADLINE_EXCEEDED",
    ]);
    assert.deepEqual(rig.seen("MAIL"), ["MAIL FROM:<first@example.org>"]);
    rig.checkSettled();
  });

  it("by one of those who wait for an answer is no loss to the others", () => {
    const { answer, held } = holding("RCPT");
    const rig = new HostRig({ answer });
    const [a, b] = [rig.rcpt("x#1"), rig.rcpt("x#2")];
    rig.rcpt("x#3");
    rig.run();
    assert.equal(rig.inFlight, 3);
    rig.actor.cancel(a, "ABORTED");
    rig.actor.cancel(b, "DEADLINE_EXCEEDED");
    assert.equal(rig.inFlight, 1);
    held.pop()!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["x#1: ABORTED", "x#2: DEADLINE_EXCEEDED", "x#3: found (shared)"]);
    rig.checkSettled();
  });

  it("by everybody is not tried again", () => {
    const { answer, held } = holding("VRFY b");
    const rig = new HostRig({ answer });
    rig.vrfy("a");
    rig.run();
    const slot = rig.vrfy("b");
    rig.run();
    rig.actor.cancel(slot, "ABORTED");
    held.pop()!.cut();
    rig.run();
    assert.deepEqual(rig.outcomes(), ["a: found (remote)", "b: ABORTED"]);
    assert.deepEqual([rig.peers.length, rig.actor.stats().queued], [1, 0]);
    rig.checkSettled();
  });
});

describe("equal questions", () => {
  it("in flight are one", () => {
    const rig = new HostRig({});
    for (let count = 0; count < 5; count++) {
      rig.rcpt(`x#${count}`);
    }
    rig.run();
    assert.deepEqual(rig.outcomes(), [
      "x#0: found (remote)",
      ...[1, 2, 3, 4].map((count) => `x#${count}: found (shared)`),
    ]);
    assert.equal(rig.seen("RCPT").length, 1);
    assert.deepEqual(rig.actor.stats().lookups, { cached: 0, shared: 4, remote: 1, failed: 0, cluster: 0 });
    rig.checkSettled();
  });
});
