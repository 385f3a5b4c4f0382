/** The connection slots of a host: those that it shares with what it was before a reload, and those that are granted from elsewhere. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HostRig } from "../../kit/host-rig.js";
import { friendly, type RigPeer } from "../../kit/rig-peer.js";

const names = (count: number, start: string) => Array.from({ length: count }, (_, at) => `${start}${at}`);

describe("a host that was removed and added again", () => {
  it("shares its connections with what it was before, which goes first", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { requests: 1 } } });
    for (const name of names(3, "old")) {
      rig.relay(name);
    }
    rig.replace(60_000);
    for (const name of names(3, "new")) {
      rig.relay(name);
    }
    rig.run();
    rig.checkSettled();
    const order = [...names(3, "old"), ...names(3, "new")];
    assert.deepEqual(
      rig.outcomes().map((outcome) => outcome.split(":")[0]),
      order,
    );
  });

  it("is served when the last of several before it is done", async () => {
    const held: RigPeer[] = [];
    const rig = new HostRig({
      settings: { concurrency: 1 },
      answer: (line, peer) => (line === "." ? void held.push(peer) : friendly(line, peer)),
    });
    rig.relay("a");
    rig.run();
    const first = rig.replace(60_000);
    const second = rig.replace(60_000);
    rig.relay("b");
    const third = rig.replace(60_000);
    rig.run();
    assert.deepEqual(rig.outcomes(), []);
    held.shift()!.say("250 ok");
    rig.run();
    held.shift()!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["a: delivered on 1", "b: delivered on 1"]);
    rig.checkSettled();
    await Promise.all([first, second, third]);
  });

  it("does not lose count of the one that waits for a connection when the one between them is done", async () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { requests: 1 } } });
    for (const name of names(2, "old")) {
      rig.relay(name);
    }
    const first = rig.replace(60_000);
    const second = rig.replace(60_000);
    for (const name of names(2, "new")) {
      rig.relay(name);
    }
    rig.run();
    rig.checkSettled();
    await Promise.all([first, second, rig.actor.close(0)]);
  });

  /** What it was has a message at work, another that waits, and may open nothing for now; what it is has the other slot. */
  function withOpenCircuit() {
    const held: RigPeer[] = [];
    const rig = new HostRig({
      settings: { concurrency: 2, limits: { pipeline: 1 } },
      connect: ({ number }) => (number === 0 || number > 3 ? "accept" : "refuse"),
      answer: (line, peer) => (line === "." && held.push(peer) <= 2 ? undefined : friendly(line, peer)),
    });
    rig.relay("old0");
    rig.run();
    rig.relay("old1");
    rig.run();
    assert.equal(rig.actor.stats().circuit, "open");
    rig.replace(60_000);
    rig.relay("new");
    rig.run();
    assert.deepEqual([rig.peers.length, held.length], [5, 2]);
    return { rig, held };
  }

  it("gives an idle connection up for what it was, once that may open connections again", () => {
    const { rig, held } = withOpenCircuit();
    held[1]!.say("250 ok");
    rig.run();
    assert.equal(rig.actor.stats().connections.idle, 1, "no sooner than it is of use");
    assert.deepEqual(rig.outcomes(), ["new: delivered on 1"]);
    rig.advance(1_500);
    assert.deepEqual(rig.outcomes(), ["old1: delivered on 5"]);
    held[0]!.say("250 ok");
    rig.run();
    rig.checkSettled();
  });

  it("gives a busy connection up for what it was, behind the message that it has", () => {
    const { rig, held } = withOpenCircuit();
    rig.advance(1_500);
    rig.relay("newer");
    held[1]!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["new: delivered on 1", "old1: delivered on 5", "newer: delivered on 2"]);
    held[0]!.say("250 ok");
    rig.run();
    rig.checkSettled();
  });
});

describe("slots that are granted from elsewhere", () => {
  const holdData = () => {
    const held: RigPeer[] = [];
    const rig = new HostRig({
      settings: { concurrency: 4, limits: { pipeline: 1 }, cluster: { concurrency: 40 } },
      answer: (line, peer) => (line === "." ? void held.push(peer) : friendly(line, peer)),
    });
    return { rig, held, told: rig.demands };
  };

  it("none: nothing is opened, and whoever waits is served with the first one", () => {
    const { rig, held, told } = holdData();
    for (const name of names(6, "m")) {
      rig.relay(name);
    }
    rig.run();
    assert.equal(rig.peers.length, 0);
    assert.deepEqual(told.at(-1), "4 wanted, 0 held", "no more than concurrency");
    rig.grant(1);
    rig.run();
    assert.equal(rig.open.length, 1);
    assert.deepEqual(told.at(-1), "4 wanted, 1 held");
    held.pop()!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["m0: delivered on 1"]);
  });

  it("fewer: idle ones are closed at once, a busy one behind its message, and neither takes another", () => {
    const { rig, held, told } = holdData();
    rig.grant(4);
    for (const name of names(3, "m")) {
      rig.relay(name);
    }
    rig.run();
    held.shift()!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.actor.stats().connections, { opening: 0, idle: 1, busy: 2, closing: 0 });
    rig.holdsClose = true;
    rig.grant(1);
    assert.deepEqual(rig.actor.stats().connections, { opening: 0, idle: 0, busy: 2, closing: 1 });
    rig.relay("later");
    rig.run();
    assert.deepEqual(rig.seen("MAIL FROM:<later"), []);
    held.shift()!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.seen("MAIL FROM:<later"), [], "its slot goes back, however many wait");
    held.shift()!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.seen("MAIL FROM:<later"), ["MAIL FROM:<later@example.org>"], "one may be kept");
    rig.holdsClose = false;
    for (const peer of rig.open.filter(({ state }) => state === "ending")) {
      peer.cut();
    }
    held.shift()!.say("250 ok");
    rig.run();
    rig.grant(1);
    assert.deepEqual(told.at(-1), "0 wanted, 1 held");
    rig.grant(0);
    rig.run();
    assert.equal(rig.open.length, 0);
    rig.checkSettled();
  });

  it("hold for a host that was removed and added again together with what it was", () => {
    const rig = new HostRig({ settings: { concurrency: 3, limits: { requests: 1 }, cluster: { concurrency: 40 } } });
    rig.grant(1);
    for (const name of names(3, "old")) {
      rig.relay(name);
    }
    rig.replace(60_000);
    for (const name of names(3, "new")) {
      rig.relay(name);
    }
    rig.run();
    rig.checkSettled();
    assert.equal(rig.mostOpen, 1);
  });

  it("for a time: when it is over, idle ones are closed, and who waits goes on waiting", () => {
    const { rig, held } = holdData();
    rig.grant(2, "lease", 1_000);
    rig.relay("a");
    rig.relay("b");
    rig.run();
    held.shift()!.say("250 ok");
    rig.run();
    rig.relay("c");
    rig.relay("d");
    rig.run();
    held.shift()!.say("250 ok");
    held.shift()!.say("250 ok");
    rig.run();
    rig.advance(1_100);
    rig.run();
    assert.deepEqual(
      rig.actor.stats().connections,
      { opening: 0, idle: 0, busy: 1, closing: 0 },
      "one has its message",
    );
    rig.relay("e");
    held.shift()!.say("250 ok");
    rig.run();
    assert.equal(rig.open.length, 0);
    assert.equal(rig.actor.stats().queued, 1, "e waits for the next lease");
    rig.grant(1);
    rig.run();
    held.shift()!.say("250 ok");
    rig.run();
    rig.checkSettled();
  });

  it("for a time: when it is over nothing begins, although no timer has fired yet: the process was held back", () => {
    const { rig, held } = holdData();
    rig.grant(2, "lease", 1_000);
    rig.relay("rests");
    rig.relay("busy");
    rig.run();
    held.shift()!.say("250 ok");
    rig.run();
    rig.nowMs += 1_000;
    rig.relay("waits");
    rig.run();
    assert.deepEqual(rig.actor.stats().connections, { opening: 0, idle: 0, busy: 1, closing: 0 }, "none rests");
    held.shift()!.say("250 ok");
    rig.run();
    assert.equal(rig.open.length, 0, "nor takes another message");
    rig.relay("comes later");
    rig.run();
    assert.equal(rig.peers.length, 2, "nor is opened");
    assert.deepEqual(rig.seen("MAIL FROM:<waits"), []);
    rig.advance(100);
    rig.grant(1);
    rig.run();
    held.shift()!.say("250 ok");
    rig.run();
    held.shift()!.say("250 ok");
    rig.run();
    rig.checkSettled();
    assert.equal(rig.mostOpen, 2);
  });

  it("refused: who waits is told so as soon as no connection is left, and who comes later at once", () => {
    const { rig, held } = holdData();
    rig.relay("early");
    rig.run();
    rig.grant(0, "refused");
    assert.deepEqual(rig.outcomes(), ["early: HOST_UNAVAILABLE"]);
    rig.relay("later");
    assert.deepEqual(rig.outcomes(), ["later: HOST_UNAVAILABLE"]);
    rig.grant(1);
    rig.relay("again");
    rig.run();
    rig.relay("behind it");
    rig.grant(0, "refused");
    rig.run();
    assert.deepEqual(rig.outcomes(), [], "a connection stands");
    held.shift()!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["again: delivered on 1", "behind it: HOST_UNAVAILABLE"]);
  });

  it("are asked for once for each need, and spoken of again when something is given back", () => {
    const { rig, held, told } = holdData();
    for (const name of names(2, "m")) {
      rig.relay(name);
    }
    rig.run();
    assert.deepEqual(told, ["1 wanted, 0 held", "2 wanted, 0 held"]);
    rig.grant(2);
    rig.run();
    const { length } = told;
    held.shift()!.say("250 ok");
    rig.run();
    rig.relay("more");
    rig.run();
    assert.equal(told.length, length, "nothing that others wait for");
    rig.grant(1);
    held.shift()!.say("250 ok");
    rig.run();
    assert.equal(told.at(-1)?.split(", ")[1], "1 held");
  });
});
