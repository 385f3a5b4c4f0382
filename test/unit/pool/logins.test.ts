/** Logins on a pool: connections ready ahead of demand (RFC 4954: a success uses one up), and never at the cost of anybody else. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LoginDemand } from "../../../workers/pool/login-demand.js";
import { HostRig } from "../../kit/host-rig.js";
import { friendly, type RigPeer } from "../../kit/rig-peer.js";

const isUsed = ({ lines }: RigPeer) => lines.some((line) => !line.startsWith("EHLO"));
const ready = (rig: HostRig) => rig.open.filter((peer) => !isUsed(peer)).length;

describe("connections ready for logins", () => {
  it("are not opened before the first login, and one stands ready after one that was right", () => {
    const rig = new HostRig({ settings: { concurrency: 4 } });
    rig.relay("m");
    rig.run();
    assert.equal(rig.peers.length, 1);
    rig.login("a");
    rig.run();
    assert.equal(ready(rig), 1);
    const dials = rig.peers.length;
    rig.login("b");
    rig.run();
    assert.equal(
      rig.peers[dials - 1]!.lines.filter((line) => line.startsWith("AUTH")).length,
      1,
      "the one that was ready served it",
    );
    rig.checkSettled();
  });

  it("take at most half of the places, and none where there is one", () => {
    for (const [concurrency, most] of [
      [1, 0],
      [4, 2],
      [10, 5],
    ] as const) {
      const rig = new HostRig({ settings: { concurrency } });
      for (let count = 0; count < 500; count++) {
        rig.login(`u${count}`);
      }
      rig.run();
      assert.ok(ready(rig) <= most, `${ready(rig)} of ${concurrency}`);
      rig.checkSettled();
    }
  });

  it("end when the logins stay away", () => {
    const rig = new HostRig({ settings: { concurrency: 4, limits: { idleMs: 5_000 } } });
    for (let count = 0; count < 20; count++) {
      rig.login(`u${count}`);
    }
    rig.advance(60_000);
    assert.equal(rig.open.length, 0);
    rig.relay("m");
    rig.advance(1_000);
    assert.equal(rig.open.length, 1, "nothing is opened ahead of logins that were long ago");
    rig.checkSettled();
  });

  it("make room for whoever needs their places", () => {
    const rig = new HostRig({
      settings: { concurrency: 4 },
      answer: (line, peer) => (line === "DATA" ? undefined : friendly(line, peer)),
    });
    rig.login("a");
    rig.run();
    assert.equal(ready(rig), 1);
    for (let count = 0; count < 10; count++) {
      rig.relay(`m${count}`);
    }
    rig.run();
    assert.equal(rig.peers.filter(({ lines, state }) => lines.includes("DATA") && state === "open").length, 4);
  });

  it("are not opened for wrong passwords, which leave their connection as it was", () => {
    const rig = new HostRig({ settings: { concurrency: 4 } });
    rig.login("a", "bad");
    rig.run();
    assert.equal(rig.peers.length, 1);
    rig.checkSettled();
  });

  it("serve wrong passwords until limits.errors", () => {
    const rig = new HostRig({ settings: { concurrency: 1, limits: { errors: 3 } } });
    for (let count = 0; count < 7; count++) {
      rig.login(`u${count}`, "bad");
    }
    rig.run();
    assert.deepEqual(
      rig.peers.map(({ lines }) => lines.filter((line) => line.startsWith("AUTH")).length),
      [3, 3, 1],
    );
    assert.ok(rig.outcomes().every((line) => line.includes("not found")));
    rig.checkSettled();
  });

  it("never carry a message or a probe, and a service connection never a login", () => {
    const rig = new HostRig({ settings: { concurrency: 2 } });
    for (let count = 0; count < 30; count++) {
      rig.login(`u${count}`, count % 2 === 0 ? "good" : "bad");
      rig.relay(`m${count}`);
      rig.rcpt(`r${count}`);
      rig.advance(300);
    }
    for (const { lines } of rig.peers) {
      const verbs = new Set(lines.map((line) => line.slice(0, 4)));
      assert.ok(!(verbs.has("AUTH") && (verbs.has("MAIL") || verbs.has("RCPT"))), [...verbs].join(" "));
    }
    rig.checkSettled();
  });
});

describe("the demand for logins", () => {
  it("follows their rate and how long a connection takes, and is forgotten", () => {
    let nowMs = 0;
    const demand = new LoginDemand({ now: () => nowMs, after: () => () => {} });
    assert.equal(demand.spares, 0);
    demand.opened(100);
    demand.usedUp();
    assert.equal(demand.spares, 1);
    for (; nowMs < 60_000; nowMs += 10) {
      demand.usedUp();
    }
    assert.ok(demand.spares >= 9 && demand.spares <= 11, `${demand.spares}: 100 a second, each 100 ms in opening`);
    nowMs += 30_000;
    assert.equal(demand.spares, 1);
    nowMs += 60_000;
    assert.equal(demand.spares, 0);
  });
});

describe("a login whose credentials may have been shown", () => {
  /** Takes its mechanism without an initial response, so that the first command shows nothing. */
  const asking = (line: string, peer: RigPeer) => {
    if (line.startsWith("EHLO")) {
      return "250-host\r\n250 AUTH CRAM-MD5";
    }
    return line.startsWith("AUTH") ? undefined : friendly(line, peer);
  };

  it("is known by its phase, and so is one that joined it; one that waits for a connection has shown nothing", () => {
    const rig = new HostRig({ settings: { concurrency: 1 }, answer: asking });
    rig.login("a");
    rig.login("b");
    assert.deepEqual([...rig.begun], []);
    rig.run();
    assert.deepEqual([...rig.begun], ["a"]);
    rig.login("a#again");
    assert.deepEqual([...rig.begun], ["a", "a#again"]);
  });

  it("has shown nothing any more where its connection was dead before it could", () => {
    const connect = ({ number }: RigPeer) => (number === 0 ? "accept" : "hold");
    const rig = new HostRig({ settings: { concurrency: 1 }, answer: asking, connect });
    rig.login("wrong", "bad");
    rig.run();
    rig.peers[0]!.say("535 no");
    rig.run();
    rig.login("a");
    rig.run();
    assert.ok(rig.begun.has("a"));
    rig.peers[0]!.cut();
    rig.run();
    assert.ok(!rig.begun.has("a"));
    rig.peers[1]!.accept();
    rig.run();
    assert.ok(rig.begun.has("a"), "it is tried once more");
  });
});
