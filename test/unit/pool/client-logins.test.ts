/** Logins on connections that belong to one client: they take the same turns, and a guesser at a slow host shuts nobody out. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient } from "../../../src/messages/client.js";
import { HostRig } from "../../kit/host-rig.js";
import { friendly, type RigPeer } from "../../kit/rig-peer.js";
import { refusingLate } from "../kit/pool-peers.js";

const from = (address: string, port = 1025) => encodeClient({ address, port });

/** Whom the header of a connection names. */
function clientOf({ preface }: RigPeer): string {
  const octets = Buffer.from(preface ?? []);
  return octets[12] === 0x20 ? "" : from(octets.subarray(16, 20).join("."), octets.readUInt16BE(24));
}

function userOf(line: string): string {
  return Buffer.from(line.split(" ")[2]!, "base64").toString().split("\0")[1]!;
}

/** Wrong passwords are answered after five seconds. Fails where a login is tried on a connection of another client. */
function slowHost(concurrency: number, clients: Map<string, string>): HostRig {
  const refuseLate = refusingLate(() => rig);
  const rig = new HostRig({
    settings: { concurrency, client: "proxy-v2", limits: { errors: 3, requests: 1_000 } },
    answer: (line, peer) => {
      if (line.startsWith("AUTH")) {
        assert.equal(clientOf(peer), clients.get(userOf(line)), line);
      }
      return refuseLate(line, peer);
    },
  });
  return rig;
}

/** Its first connections wait until a test accepts them. */
function slowToConnect(concurrency: number): HostRig {
  return new HostRig({
    settings: { concurrency, client: "proxy-v2", limits: { errors: 3, requests: 1_000 } },
    connect: ({ number }) => (number < concurrency ? "hold" : "accept"),
  });
}

describe("logins on connections of their clients", () => {
  it("are tried on such a connection only, and half of them are left to others than a guesser", () => {
    const clients = new Map([["victim", from("192.0.2.1")]]);
    const rig = slowHost(10, clients);
    for (let guess = 0; guess < 60; guess++) {
      clients.set(`victim${guess}`, from("192.0.2.1", 2_000 + guess));
      rig.login(`victim${guess}`, "bad", from("192.0.2.1", 2_000 + guess));
    }
    rig.advance(1_000);
    assert.equal(rig.actor.stats().connections.busy, 5);
    for (let user = 0; user < 40; user++) {
      const client = from(`198.51.100.${user}`);
      clients.set(`user${user}`, client);
      rig.login(`user${user}`, "good", client);
      rig.advance(100);
      const others = rig.outcomes().filter((line) => line.startsWith("user"));
      assert.deepEqual(others, [`user${user}: found (remote)`]);
    }
    rig.advance(120_000);
    rig.checkSettled();
  });

  it("take turns between clients where one connection is all there is", () => {
    const order: string[] = [];
    const rig = new HostRig({
      settings: { concurrency: 1, client: "proxy-v2", limits: { errors: 1_000, requests: 1_000 } },
      answer: (line, peer) => {
        if (line.startsWith("AUTH")) {
          order.push(userOf(line));
          rig.nowMs += 1_500;
        }
        return friendly(line, peer);
      },
    });
    rig.login("first", "bad", from("192.0.2.9"));
    for (const user of ["a1", "a2", "a3"]) {
      rig.login(user, "bad", from("192.0.2.1"));
    }
    rig.login("b1", "bad", from("192.0.2.2"));
    rig.login("b2", "bad", from("192.0.2.2"));
    rig.advance(60_000);
    assert.deepEqual(order, ["first", "a1", "b1", "a2", "b2", "a3"]);
    rig.checkSettled();
  });

  it("open connections for the client with the fewest on their way", () => {
    const rig = slowToConnect(4);
    rig.login("a1", "good", from("192.0.2.1"));
    rig.login("a2", "good", from("192.0.2.1"));
    rig.login("b1", "good", from("192.0.2.2"));
    rig.login("c1", "good", from("192.0.2.3"));
    rig.run();
    const addresses = rig.peers.map(clientOf).map((client) => client.split("\n")[0]);
    assert.deepEqual(addresses, ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    rig.login("a3", "good", from("192.0.2.1"));
    for (const peer of rig.open) {
      peer.accept();
    }
    rig.advance(60_000);
    assert.equal(rig.outcomes().filter((line) => line.endsWith("found (remote)")).length, 5);
    rig.checkSettled();
  });

  it("of a client whose every login is given up leave nothing behind", () => {
    const rig = slowToConnect(2);
    const slots = [1, 2, 3].map((number) => rig.login(`a${number}`, "good", from("192.0.2.1")));
    for (const slot of slots) {
      rig.actor.cancel(slot, "ABORTED");
    }
    rig.login("b", "good", from("192.0.2.2"));
    rig.run();
    for (const peer of rig.open) {
      peer.accept();
    }
    rig.advance(1_000);
    assert.equal(rig.outcomes().at(-1), "b: found (remote)");
    rig.checkSettled();
    assert.equal(rig.actor.stats().queued, 0);
  });

  it("that wait when the settings bind their connections are found by their clients, and the other way round", () => {
    const rig = new HostRig({ settings: { concurrency: 1 }, connect: () => "hold" });
    rig.login("a", "good", from("192.0.2.1"));
    rig.login("b", "good", from("192.0.2.2"));
    rig.run();
    rig.actor.reconfigure({ ...rig.settings, client: "proxy-v2" });
    rig.run();
    rig.open.at(-1)!.accept();
    rig.run();
    assert.equal(clientOf(rig.peers.at(-1)!), from("192.0.2.2"));
    rig.actor.reconfigure({ ...rig.settings, client: "none" });
    rig.run();
    rig.open.at(-1)!.accept();
    rig.advance(1_000);
    assert.deepEqual(rig.outcomes(), ["a: found (remote)", "b: found (remote)"]);
    rig.checkSettled();
  });
});
