/** What the pool does when connections fail: the one retry, the circuit, fewer connections, the next address. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HostRig, type RigOptions } from "../../kit/host-rig.js";
import { friendly, type RigPeer } from "../../kit/rig-peer.js";
import { holding, names } from "../kit/pool-peers.js";

describe("a retry", () => {
  /** Two connections have served; the server forgets both without a word. */
  function stale(options: RigOptions = {}) {
    const rig = new HostRig({ ...options, settings: { concurrency: 2, ...options.settings } });
    rig.relay("a");
    rig.relay("b");
    rig.run();
    rig.outcomes();
    const cut = (line: string, peer: RigPeer) => {
      if (peer.number < 2 && /^(MAIL|VRFY|RCPT)/.test(line)) {
        peer.cut();
      }
      return friendly(line, peer);
    };
    Object.assign(rig.options, { answer: cut });
    return rig;
  }

  it("goes to a fresh connection, not to another one that has rested as long", () => {
    const rig = stale();
    rig.relay("c");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["c: delivered on 3"]);
    rig.checkSettled();
  });

  it("of a lookup too, and of all that were lost together", () => {
    const rig = stale();
    rig.vrfy("v");
    rig.rcpt("r");
    rig.run();
    assert.deepEqual(rig.outcomes().sort(), ["r: found (remote)", "v: found (remote)"]);
    rig.checkSettled();
  });

  it("goes to no fresh connection that the host has ended at the same moment", () => {
    const { answer, held } = holding(".");
    const rig = new HostRig({
      settings: { concurrency: 2 },
      answer,
      connect: ({ number }) => (number === 1 ? "hold" : "accept"),
    });
    rig.relay("a");
    rig.vrfy("b");
    rig.run();
    rig.peers[1]!.accept();
    rig.run();
    held[0]!.say("250 ok");
    rig.run();
    assert.deepEqual(rig.actor.stats().connections, { opening: 0, idle: 2, busy: 0, closing: 0 });
    // A restart of the host: 421 to one, and the end of the other before the first one's socket is gone.
    rig.relay("c");
    rig.peers[1]!.say("421 restarting");
    rig.peers[0]!.cut();
    rig.run();
    held[1]?.say("250 ok");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["b: found (remote)", "a: delivered on 1", "c: delivered on 3"]);
    rig.checkSettled();
  });

  it("is due to whoever meets a connection that rested before its first request, and goes to none of those", () => {
    const { answer, held } = holding(".");
    const rig = new HostRig({
      settings: { concurrency: 3 },
      answer,
      connect: ({ number }) => (number === 0 || number > 2 ? "accept" : "hold"),
    });
    for (const name of ["a", "b", "c"]) {
      rig.relay(name);
    }
    rig.run();
    for (let at = 0; at < 3; at++) {
      held[at]!.say("250 ok");
      rig.run();
    }
    rig.peers[1]!.accept();
    rig.peers[2]!.accept();
    rig.run();
    assert.deepEqual(rig.actor.stats().connections, { opening: 0, idle: 3, busy: 0, closing: 0 });
    rig.outcomes();
    const cut = (line: string, peer: RigPeer) => {
      if (peer.number < 3 && line.startsWith("MAIL")) {
        peer.cut();
      }
      return friendly(line, peer);
    };
    Object.assign(rig.options, { answer: cut });
    rig.relay("d");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["d: delivered on 4"]);
    rig.checkSettled();
  });

  it("is the only one", () => {
    let cuts = 0;
    const rig = new HostRig({ settings: { concurrency: 2 } });
    rig.relay("a");
    rig.run();
    Object.assign(rig.options, {
      answer: (line: string, peer: RigPeer) => {
        if (!line.startsWith("MAIL")) {
          return friendly(line, peer);
        }
        cuts++;
        peer.cut();
        return undefined;
      },
    });
    rig.relay("b");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["a: delivered on 1", "b: REMOTE_CLOSED"]);
    assert.equal(cuts, 2);
    rig.checkSettled();
  });

  it("is not made on a first connection, nor after a reply", () => {
    const first = new HostRig({
      answer: (line, peer) => {
        if (line.startsWith("MAIL")) {
          peer.cut();
        }
        return friendly(line, peer);
      },
    });
    first.relay("a");
    first.run();
    assert.deepEqual(first.outcomes(), ["a: REMOTE_CLOSED"]);
    assert.equal(first.peers.length, 1);
    first.checkSettled();
  });

  it("gets its place from one that rests when all are taken", () => {
    const { answer, held } = holding("DATA");
    const rig = new HostRig({ settings: { concurrency: 2 } });
    rig.relay("a");
    rig.relay("b");
    rig.run();
    Object.assign(rig.options, { answer });
    rig.relay("busy");
    rig.run();
    Object.assign(rig.options, {
      answer: (line: string, peer: RigPeer) => {
        if (peer !== held[0] && peer.number < 2 && line.startsWith("MAIL")) {
          peer.cut();
        }
        return friendly(line, peer);
      },
    });
    rig.relay("c");
    rig.run();
    assert.deepEqual(rig.outcomes().at(-1), "c: delivered on 3");
    held[0]!.say("550 no");
    rig.run();
    rig.checkSettled();
  });
});

describe("the circuit", () => {
  it("is told of with each outage, where logins failed in the first one and nobody has logged in since", () => {
    let isDown = true;
    const rig = new HostRig({ connect: () => (isDown ? "refuse" : "accept") });
    const told = () => rig.logged.filter((event) => event === "host-down" || event === "host-up");
    for (const name of names(3)) {
      rig.login(`user ${name}`);
      rig.relay(`message ${name}`);
      rig.run();
    }
    assert.deepEqual(told(), ["host-down"]);
    isDown = false;
    rig.advance(60_000);
    rig.relay("back");
    rig.run();
    assert.deepEqual(told(), ["host-down", "host-up"]);
    const { lastFailure, since } = rig.actor.stats();
    assert.equal(lastFailure, undefined);
    isDown = true;
    rig.advance(600_000);
    for (const name of names(3)) {
      rig.relay(`later ${name}`);
      rig.run();
    }
    assert.deepEqual(told(), ["host-down", "host-up", "host-down"]);
    assert.equal(rig.actor.stats().since - since, 600_000);
    rig.checkSettled();
  });

  it("opens after failed attempts, refuses at once, and one connection finds out when it may close", () => {
    let isDown = true;
    const rig = new HostRig({ connect: () => (isDown ? "refuse" : "accept") });
    for (const name of ["a", "b", "c"]) {
      rig.relay(name);
      rig.run();
    }
    assert.deepEqual(rig.outcomes(), ["a: CONNECT_FAILED", "b: CONNECT_FAILED", "c: CONNECT_FAILED"]);
    rig.relay("d");
    rig.rcpt("e");
    assert.deepEqual(rig.outcomes(), ["d: HOST_UNAVAILABLE", "e: HOST_UNAVAILABLE"]);
    assert.deepEqual([rig.peers.length, rig.actor.stats().state], [3, "down"]);
    isDown = false;
    rig.advance(1_100);
    rig.relay("f");
    rig.relay("g");
    rig.run();
    assert.deepEqual(rig.outcomes().sort(), ["f: delivered on 4", "g: delivered on 4"]);
    assert.equal(rig.actor.stats().state, "up");
    rig.checkSettled();
  });

  it("of logins is not that of messages", () => {
    const rig = new HostRig({
      settings: { auth: { username: "gw", secret: "wrong" } },
    });
    for (const name of names(4)) {
      rig.relay(name);
      rig.run();
    }
    rig.login("user");
    rig.run();
    assert.deepEqual(rig.outcomes(), [
      "r0: AUTH_FAILED",
      "r1: AUTH_FAILED",
      "r2: AUTH_FAILED",
      "r3: HOST_UNAVAILABLE",
      "user: found (remote)",
    ]);
    rig.checkSettled();
  });

  it("lets nobody wait for a host whose last connection went while it is open", () => {
    const { answer, held } = holding("DATA");
    const rig = new HostRig({
      settings: { concurrency: 2 },
      answer,
      connect: ({ number }) => (number === 0 ? "accept" : "refuse"),
    });
    rig.relay("a");
    rig.run();
    for (const name of names(5)) {
      rig.relay(name);
      rig.run();
    }
    held[0]!.cut();
    rig.run();
    assert.equal(rig.outcomes().length, 6);
    rig.checkSettled();
  });
});

describe("a host that refuses more connections", () => {
  it("gets fewer, and later more again", () => {
    const welcome = new Set<RigPeer>();
    const most = 4;
    const greeting = (peer: RigPeer) => {
      const count = [...welcome].filter(({ state }) => state !== "gone").length;
      if (count < most) {
        welcome.add(peer);
      }
      return count < most ? "220 host" : "421 too many";
    };
    const rig = new HostRig({ settings: { concurrency: 8, limits: { requests: 1_000_000, pipeline: 1 } }, greeting });
    for (const name of names(100)) {
      rig.relay(name);
    }
    rig.advance(100);
    assert.equal(rig.outcomes().filter((line) => line.includes("delivered")).length, 100);
    assert.equal(rig.open.length, 4);
    const dials = rig.peers.length;
    assert.ok(dials <= 12, `${dials} attempts`);
    for (const name of names(100, "s")) {
      rig.relay(name);
    }
    rig.advance(100);
    assert.equal(rig.peers.length, dials, "no further attempt while the limit is lowered");
    for (let second = 0; second < 60; second++) {
      for (const name of names(20, `t${second}.`)) {
        rig.relay(name);
      }
      rig.advance(1_000);
    }
    assert.ok(rig.peers.length > dials && rig.peers.length < 40, `${rig.peers.length} attempts: some, and not many`);
    assert.ok(rig.outcomes().every((line) => line.includes("delivered")));
    rig.checkSettled();
  });
});

describe("several addresses", () => {
  const addresses = ["192.0.2.1", "192.0.2.2"];
  it("are tried in turn, and the bad ones last for a while", () => {
    const rig = new HostRig({
      addresses,
      connect: ({ address }) => (address === addresses[0] ? "refuse" : "accept"),
      settings: { limits: { requests: 1 } },
    });
    for (const name of ["a", "b"]) {
      rig.relay(name);
      rig.run();
    }
    assert.deepEqual(
      rig.peers.map(({ address }) => address),
      [addresses[0], addresses[1], addresses[1]],
    );
    assert.deepEqual(rig.outcomes(), ["a: delivered on 1", "b: delivered on 2"]);
    rig.checkSettled();
  });

  it("that all fail are one failure", () => {
    const rig = new HostRig({ addresses, connect: () => "refuse" });
    rig.relay("a");
    rig.run();
    assert.deepEqual(
      [rig.outcomes(), rig.peers.length, rig.actor.stats().connectFailures],
      [["a: CONNECT_FAILED"], 2, 1],
    );
  });

  it("that a name does not have is told", () => {
    for (const found of [[], { code: "DNS_FAILED", message: "no such name" } as const]) {
      const rig = new HostRig({ addresses: found as string[] });
      rig.relay("a");
      rig.run();
      assert.deepEqual(rig.outcomes(), ["a: DNS_FAILED"]);
    }
  });
});
