/** A host's actor: what it answers itself, what it makes of the pool's answers, and how it ends. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cacheSettings } from "../../kit/cache-settings.js";
import { HostRig } from "../../kit/host-rig.js";
import { friendly, type RigPeer } from "../../kit/rig-peer.js";

const CACHE = cacheSettings({
  entries: 100,
  positiveTtlMs: 10_000,
  negativeTtlMs: 5_000,
  authTtlMs: 2_000,
  stateTtlMs: 1_000,
});

/** Refuses these recipients for reasons that speak of us. */
const blocking = (isBlocking: () => boolean) => (line: string, peer: RigPeer) =>
  line.startsWith("RCPT TO:<p") && isBlocking() ? "550 5.7.1 you are listed" : friendly(line, peer);

describe("refusals that speak of us", () => {
  it("are answers and not cached, until a run of them means that the host blocks us", () => {
    let isBlocking = true;
    const rig = new HostRig({
      settings: { cache: CACHE, limits: { refusals: 3, errors: 100 } },
      answer: blocking(() => isBlocking),
    });
    const ask = (name: string) => {
      rig.rcpt(name);
      rig.run();
      return rig.outcomes()[0];
    };
    assert.equal(ask("p1"), "p1: not found (remote)");
    assert.equal(ask("p1#again"), "p1#again: not found (remote)", "not from the cache, and not a second recipient");
    assert.equal(ask("p2"), "p2: not found (remote)");
    assert.equal(ask("no1"), "no1: not found (remote)", "a verdict ends the run");
    for (const name of ["p3", "p4", "p5"]) {
      assert.equal(ask(name), `${name}: not found (remote)`);
    }
    assert.deepEqual(rig.logged, ["host-blocked"]);
    assert.equal(ask("p6"), "p6: HOST_UNAVAILABLE");
    assert.equal(ask("no2"), "no2: not found (remote)", "other refusals are verdicts still");
    assert.equal(ask("p7"), "p7: HOST_UNAVAILABLE");
    rig.login("user");
    rig.run();
    assert.equal(rig.outcomes()[0], "user: found (remote)");
    assert.equal(ask("p8"), "p8: HOST_UNAVAILABLE", "a login says nothing about recipients");
    isBlocking = false;
    assert.equal(ask("p9"), "p9: found (remote)");
    isBlocking = true;
    assert.equal(ask("p6"), "p6: not found (remote)");
    rig.checkSettled();
  });
});

describe("the cache of an actor", () => {
  it("answers what the peer said lately", () => {
    const rig = new HostRig({ settings: { cache: CACHE } });
    const ask = (name: string) => {
      rig.rcpt(name);
      rig.advance(1_000);
      return rig.outcomes()[0];
    };
    assert.equal(ask("a"), "a: found (remote)");
    assert.equal(ask("a#1"), "a#1: found (cache 1000 ms old)");
    assert.equal(ask("no"), "no: not found (remote)");
    rig.advance(5_000);
    assert.equal(ask("no#1"), "no#1: not found (remote)");
    assert.equal(rig.actor.forget({ recipient: "a@example.net" }), 1);
    assert.equal(ask("a#2"), "a#2: found (remote)");
    rig.checkSettled();
  });

  it("keeps nothing that was asked for before it was to be forgotten, and asks anew meanwhile", () => {
    const held: RigPeer[] = [];
    const rig = new HostRig({
      settings: { cache: CACHE },
      answer: (line, peer) => {
        if (!line.startsWith("RCPT TO:<a@") || held.length > 0) {
          return friendly(line, peer);
        }
        held.push(peer);
        return undefined;
      },
    });
    rig.rcpt("b");
    rig.rcpt("a");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["b: found (remote)"]);
    rig.actor.forget({ recipient: "a@example.net" });
    rig.rcpt("a");
    held[0]!.say("250 2.1.5 ok");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["a: found (remote)", "a: found (remote)"]);
    rig.rcpt("a");
    rig.rcpt("b");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["a: found (cache)", "b: found (cache)"]);
    rig.checkSettled();
  });

  it("serves a stale answer while the host does not answer, and says how old it is", () => {
    let isDown = false;
    const rig = new HostRig({
      settings: { cache: { ...CACHE, staleIfErrorMs: 60_000 }, limits: { idleMs: 1_000 } },
      connect: () => (isDown ? "refuse" : "accept"),
    });
    for (const name of ["a", "no"]) {
      rig.rcpt(name);
    }
    rig.login("user");
    rig.advance(20_000);
    rig.outcomes();
    isDown = true;
    rig.rcpt("a");
    rig.rcpt("no");
    rig.rcpt("b");
    rig.login("user");
    rig.run();
    assert.deepEqual(rig.outcomes().sort(), [
      "a: found (cache 20000 ms old)",
      "b: CONNECT_FAILED",
      "no: CONNECT_FAILED",
      "user: CONNECT_FAILED",
    ]);
    rig.checkSettled();
  });

  it("is refreshed in the background, behind everybody's questions; who asks meanwhile need not wait behind them", () => {
    const held: RigPeer[] = [];
    const rig = new HostRig({
      settings: { concurrency: 1, cache: { ...CACHE, refresh: 0.5 }, limits: { pipeline: 1 } },
      answer: (line, peer) => {
        if (!line.startsWith("VRFY hold")) {
          return friendly(line, peer);
        }
        held.push(peer);
        return undefined;
      },
    });
    rig.vrfy("a");
    rig.advance(6_000);
    rig.vrfy("hold");
    rig.run();
    rig.vrfy("a");
    assert.deepEqual(rig.outcomes(), ["a: found (remote)", "a: found (cache 6000 ms old)"]);
    rig.vrfy("b");
    rig.advance(500);
    held[0]!.say("250 <x>");
    rig.run();
    assert.deepEqual(rig.seen("VRFY"), ["VRFY a", "VRFY hold", "VRFY b", "VRFY a"]);
    rig.outcomes();
    rig.vrfy("a");
    assert.deepEqual(rig.outcomes(), ["a: found (cache)"]);
    rig.checkSettled();
  });

  it("whose refresh waits lets a caller join it, and then it is a question like any other", () => {
    const held: RigPeer[] = [];
    const rig = new HostRig({
      settings: { concurrency: 1, cache: { ...CACHE, refresh: 0.5 } },
      answer: (line, peer) => {
        if (!line.startsWith("VRFY hold")) {
          return friendly(line, peer);
        }
        held.push(peer);
        return undefined;
      },
    });
    rig.vrfy("a");
    rig.advance(9_900);
    rig.vrfy("hold");
    rig.run();
    rig.vrfy("a");
    rig.advance(200);
    rig.outcomes();
    rig.vrfy("a");
    rig.vrfy("c");
    held[0]!.say("250 <x>");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["hold: found (remote)", "a: found (remote)", "c: found (remote)"]);
    assert.equal(rig.seen("VRFY a").length, 2);
    rig.checkSettled();
  });

  it("whose refresh waits for its retry lets a caller join it, and still goes to a connection that never served", () => {
    const held: RigPeer[] = [];
    let forgotten = 0;
    const rig = new HostRig({
      settings: { concurrency: 2, cache: { ...CACHE, refresh: 0.5 }, limits: { pipeline: 1 } },
      connect: ({ number }) => (number < 2 ? "accept" : "hold"),
      answer: (line, peer) => {
        if (line === ".") {
          held.push(peer);
          return undefined;
        }
        if (rig.nowMs > 10_000 && peer.number < 2 && line.startsWith("VRFY")) {
          forgotten++;
          peer.cut();
        }
        return friendly(line, peer);
      },
    });
    rig.vrfy("a");
    rig.relay("busy");
    rig.advance(9_900);
    rig.vrfy("a");
    rig.advance(200);
    assert.equal(forgotten, 1, "the refresh met a connection that its peer had forgotten");
    rig.outcomes();
    rig.vrfy("a");
    held[0]!.say("250 ok");
    rig.run();
    rig.peers[2]!.accept();
    rig.run();
    assert.deepEqual(
      [forgotten, ...rig.outcomes().map((outcome) => outcome.replace(/ on .*/, ""))],
      [1, "busy: delivered", "a: found (remote)"],
    );
    rig.checkSettled();
  });
});

describe("the end of a host", () => {
  /** A message in each state: its verdict awaited, its envelope sent behind that, waiting. */
  function busy() {
    const rig = new HostRig({
      settings: { concurrency: 1 },
      answer: (line, peer) => (line === "." ? undefined : friendly(line, peer)),
    });
    rig.relay("sent");
    rig.run();
    rig.relay("behind");
    rig.relay("waiting");
    rig.rcpt("asked");
    rig.run();
    return rig;
  }

  it("settles everything once, at once where there is no time to drain", async () => {
    const rig = busy();
    const closed = rig.actor.close(0);
    rig.run();
    await closed;
    assert.deepEqual(rig.outcomes().sort(), [
      "asked: MAILBOX_CLOSED",
      "behind: MAILBOX_CLOSED",
      "sent: uncertain on 1",
      "waiting: MAILBOX_CLOSED",
    ]);
    assert.equal(rig.open.length, 0);
    rig.relay("late");
    rig.rcpt("late");
    assert.deepEqual(rig.outcomes(), ["late: MAILBOX_CLOSED", "late: MAILBOX_CLOSED"]);
    rig.checkSettled();
  });

  it("finishes what it has within the time to drain, and says QUIT", async () => {
    const rig = busy();
    const closed = rig.actor.close(10_000);
    Object.assign(rig.options, { answer: friendly });
    rig.peers[0]!.say("250 ok");
    rig.run();
    await closed;
    assert.deepEqual(rig.outcomes().sort(), [
      "asked: found (remote)",
      "behind: delivered on 1",
      "sent: delivered on 1",
      "waiting: delivered on 1",
    ]);
    assert.deepEqual(rig.seen("QUIT"), ["QUIT"]);
    rig.checkSettled();
  });

  it("does not wait for ever", async () => {
    const rig = busy();
    const closed = rig.actor.close(10_000);
    rig.advance(10_100);
    await closed;
    assert.equal(rig.outcomes().length, 4);
    await rig.actor.close(0);
    rig.checkSettled();
  });

  it("gives up connections that are still opening, and tries no further address", async () => {
    const rig = new HostRig({ addresses: ["192.0.2.1", "192.0.2.2"], connect: () => "hold" });
    rig.relay("a");
    rig.run();
    const closed = rig.actor.close(0);
    rig.run();
    await closed;
    assert.deepEqual([rig.outcomes(), rig.peers.length], [["a: MAILBOX_CLOSED"], 1]);
    rig.checkSettled();
  });
});

describe("new settings", () => {
  it("hold for connections opened from then on; the others finish what they have", () => {
    const rig = new HostRig({
      settings: { concurrency: 2, cache: CACHE },
      answer: (line, peer) => (line === "." && peer.number === 0 ? undefined : friendly(line, peer)),
    });
    rig.relay("a");
    rig.run();
    rig.rcpt("r");
    rig.run();
    rig.actor.reconfigure({ ...rig.settings, port: 26 });
    rig.relay("b");
    rig.rcpt("r#1");
    rig.peers[0]!.say("250 ok");
    rig.run();
    const outcomes = rig.outcomes();
    assert.ok(outcomes.includes("a: delivered on 1") && outcomes.includes("r#1: found (remote)"), outcomes.join("; "));
    assert.ok(
      outcomes.some((line) => line.startsWith("b: delivered on") && !line.endsWith(" 1") && !line.endsWith(" 2")),
    );
    rig.checkSettled();
  });

  it("forget that the former host could not be reached", () => {
    let isDown = true;
    const rig = new HostRig({ connect: () => (isDown ? "refuse" : "accept") });
    for (const name of ["a", "b", "c"]) {
      rig.relay(name);
      rig.run();
    }
    isDown = false;
    rig.actor.reconfigure({ ...rig.settings, port: 26 });
    rig.relay("d");
    rig.run();
    assert.equal(rig.outcomes().at(-1), "d: delivered on 4");
    rig.checkSettled();
  });
});
