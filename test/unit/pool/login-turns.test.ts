/** Logins take turns: a guesser shuts nobody out. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient } from "../../../src/messages/client.js";
import { HostRig } from "../../kit/host-rig.js";
import { friendly } from "../../kit/rig-peer.js";
import { refusingLate } from "../kit/pool-peers.js";

const from = (address: string) => encodeClient({ address });

/** Wrong passwords are answered after five seconds, right ones at once; who guesses is `guesser`. */
function slowToRefuse(concurrency: number, limits: Record<string, number> = {}) {
  const rig: HostRig = new HostRig({
    settings: { concurrency, limits: { errors: 1_000, requests: 1_000, ...limits } },
    answer: refusingLate(() => rig),
  });
  return rig;
}

const inUse = (rig: HostRig) => rig.actor.stats().connections.busy;

describe("a storm of wrong passwords", () => {
  it("of one user leaves half of the connections to the others, who are served at once", () => {
    const rig = slowToRefuse(10);
    for (let guess = 0; guess < 60; guess++) {
      rig.login(`guesser#${guess}`, `bad${guess}`);
    }
    rig.advance(1_000);
    assert.equal(inUse(rig), 5, "whether others wait or not");
    for (let user = 0; user < 40; user++) {
      rig.login(`user${user}`);
      rig.advance(100);
      assert.deepEqual(
        rig.outcomes().filter((line) => line.startsWith("user")),
        [`user${user}: found (remote)`],
      );
    }
    rig.advance(120_000);
    rig.checkSettled();
  });

  it("of many users from one client leaves half to other clients", () => {
    const rig = slowToRefuse(10);
    for (let user = 0; user < 60; user++) {
      rig.login(`victim${user}`, "bad", from("192.0.2.1"));
    }
    rig.advance(1_000);
    assert.equal(inUse(rig), 5);
    rig.login("user", "good", from("192.0.2.2"));
    rig.advance(100);
    assert.deepEqual(rig.outcomes(), ["user: found (remote)"]);
    rig.login("neighbour", "good", from("192.0.2.1"));
    rig.advance(100);
    assert.deepEqual(rig.outcomes(), [], "its own client has all that it may have");
    rig.advance(120_000);
    rig.checkSettled();
  });

  it("counts an IPv6 network as one client", () => {
    const rig = slowToRefuse(4);
    for (let host = 1; host <= 8; host++) {
      rig.login(`victim${host}`, "bad", from(`2001:db8::${host}`));
    }
    rig.advance(1_000);
    assert.equal(inUse(rig), 2);
  });

  it("leaves one connection at least, and has no more than the settings say", () => {
    const single = slowToRefuse(1);
    single.login("guesser", "bad");
    single.advance(1_000);
    assert.equal(inUse(single), 1);
    const few = slowToRefuse(10, { perUser: 2 });
    for (let guess = 0; guess < 9; guess++) {
      few.login(`guesser#${guess}`, `bad${guess}`);
    }
    few.advance(1_000);
    assert.equal(inUse(few), 2);
  });
});

describe("logins that wait", () => {
  it("are served by turns between clients and between their users", () => {
    const order: string[] = [];
    const rig = new HostRig({
      settings: { concurrency: 1, limits: { errors: 1_000, requests: 1_000 } },
      answer: (line, peer) => {
        if (line.startsWith("AUTH")) {
          order.push(Buffer.from(line.split(" ")[2]!, "base64").toString().split("\0")[1]!);
        }
        return friendly(line, peer);
      },
    });
    rig.login("first", "bad", from("192.0.2.9"));
    for (let guess = 0; guess < 3; guess++) {
      rig.login(`a1#${guess}`, `bad${guess}`, from("192.0.2.1"));
    }
    rig.login("a2", "bad", from("192.0.2.1"));
    rig.login("b1", "bad", from("192.0.2.2"));
    rig.login("b2", "bad", from("192.0.2.2"));
    rig.run();
    assert.deepEqual(order, ["first", "a1", "b1", "a2", "b2", "a1", "a1"]);
    rig.checkSettled();
  });

  it("of users whose password was right lately go before others of their client", () => {
    const order: string[] = [];
    const rig = new HostRig({
      settings: { concurrency: 1, limits: { errors: 1_000, requests: 1_000 } },
      answer: (line, peer) => {
        if (line.startsWith("AUTH")) {
          order.push(Buffer.from(line.split(" ")[2]!, "base64").toString().split("\0")[1]!);
        }
        return friendly(line, peer);
      },
    });
    rig.login("known");
    rig.run();
    for (const name of ["x", "y", "known", "z"]) {
      rig.login(name, "bad");
    }
    rig.run();
    assert.equal(order[1], "known");
    rig.checkSettled();
  });

  it("and are given up leave no trace", () => {
    const rig = slowToRefuse(2);
    rig.login("guesser#0", "bad0");
    rig.advance(1_000);
    const slot = rig.login("guesser#1", "bad1", from("192.0.2.1"));
    assert.equal(rig.actor.stats().queued, 1);
    rig.actor.cancel(slot, "ABORTED");
    assert.equal(rig.actor.stats().queued, 0);
    rig.advance(10_000);
    rig.checkSettled();
  });
});
