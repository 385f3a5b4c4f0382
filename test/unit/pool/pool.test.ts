/** The rules of a host's pool: how many connections, who is served by which and when, what is tried again, and how it ends. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { friendly, HostRig, type RigOptions, type RigPeer } from "../../kit/host-rig.js";

/** A server that holds back its replies to some commands until the test gives them. */
function holding(...verbs: string[]) {
  const held: RigPeer[] = [];
  const answer: RigOptions["answer"] = (line, peer) => {
    if (!verbs.some((verb) => line.startsWith(verb))) {
      return friendly(line, peer);
    }
    held.push(peer);
    return undefined;
  };
  return { answer, held };
}

const names = (count: number, start = "r") => Array.from({ length: count }, (_, at) => `${start}${at}`);

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
