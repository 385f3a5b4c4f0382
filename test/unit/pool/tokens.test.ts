/** Connections of an account that logs in by access tokens: which of them wait for one, which token they use, and when they ask for another. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Failure } from "../../../src/errors.js";
import { HostRig, type RigOptions } from "../../kit/host-rig.js";
import { friendly } from "../../kit/rig-peer.js";

const FAILED: Failure = { code: "TOKEN_FAILED", message: "no token today" };

/** A host that takes this token and no other. */
function rig(token: string, more: RigOptions = {}): HostRig {
  return new HostRig({
    ...more,
    settings: { auth: { username: "gw", by: "token" }, ...more.settings },
    answer: (line, peer) => {
      if (line.startsWith("EHLO")) {
        return "250-host\r\n250-PIPELINING\r\n250 AUTH XOAUTH2";
      }
      const said = line.startsWith("AUTH XOAUTH2 ") ? Buffer.from(line.slice(13), "base64").toString() : undefined;
      return said === undefined ? friendly(line, peer) : said.includes(`Bearer ${token}\x01`) ? "235 ok" : "535 no";
    },
  });
}

function token(serial: number, text: string, leftMs = 3_600_000, renewInMs = 3_000_000) {
  return { serial, token: text, leftMs, renewInMs };
}

describe("a connection that logs in by an access token", () => {
  it("is not dialled before the token is there, which all wait for", () => {
    const host = rig("good", { settings: { concurrency: 3 } });
    for (const name of ["a", "b", "c"]) {
      host.relay(name);
    }
    host.run();
    assert.deepEqual(host.tokenWishes, [0]);
    assert.equal(host.peers.length, 0);
    assert.equal(host.actor.stats().connections.opening, 3);
    host.actor.giveToken({ refused: 0, outcome: token(1, "good") });
    host.run();
    assert.deepEqual(
      host
        .outcomes()
        .map((line) => line.slice(0, 12))
        .sort(),
      ["a: delivered", "b: delivered", "c: delivered"],
    );
    assert.deepEqual(host.tokenWishes, [0]);
    host.checkSettled();
  });

  it("fails of what the token server said, and the circuit opens by that as by any failure", () => {
    const host = rig("good");
    for (const name of ["a", "b", "c"]) {
      host.relay(name);
      host.actor.giveToken({ refused: 0, outcome: FAILED });
      host.run();
    }
    assert.deepEqual(host.outcomes(), ["a: TOKEN_FAILED", "b: TOKEN_FAILED", "c: TOKEN_FAILED"]);
    assert.equal(host.peers.length, 0);
    assert.equal(host.actor.stats().circuit, "open");
    host.checkSettled();
  });

  it("tries another token where the host refuses one, and nobody is told", () => {
    const host = rig("new");
    host.relay("a");
    host.actor.giveToken({ refused: 0, outcome: token(1, "old") });
    host.run();
    assert.deepEqual(host.tokenWishes, [0, 1]);
    assert.deepEqual(host.outcomes(), []);
    host.actor.giveToken({ refused: 1, outcome: token(2, "new") });
    host.run();
    assert.deepEqual(host.outcomes(), ["a: delivered on 1"]);
    assert.ok(host.logged.includes("token-refused"));
    host.checkSettled();
  });

  it("fails where the host refuses the other one too, or there is no other", () => {
    for (const second of [token(2, "also old"), token(1, "old")]) {
      const host = rig("new");
      host.relay("a");
      host.actor.giveToken({ refused: 0, outcome: token(1, "old") });
      host.run();
      host.actor.giveToken({ refused: 1, outcome: second });
      host.run();
      assert.deepEqual(host.outcomes(), ["a: AUTH_FAILED"]);
      assert.deepEqual(host.tokenWishes, [0, 1]);
      assert.equal(host.peers.length, second.serial);
      host.checkSettled();
    }
  });

  it("uses the token to its end, and asks for the next one while it still may", () => {
    const host = rig("good", { settings: { limits: { requests: 1 } } });
    host.relay("a");
    host.actor.giveToken({ refused: 0, outcome: token(1, "good", 10_000, 5_000) });
    host.run();
    host.advance(4_999);
    host.relay("b");
    host.run();
    assert.deepEqual(host.tokenWishes, [0]);
    host.advance(1);
    host.relay("c");
    host.relay("d");
    host.run();
    assert.deepEqual(host.tokenWishes, [0, 0]);
    assert.equal(host.outcomes().length, 4);
    host.advance(5_000);
    host.relay("e");
    host.run();
    assert.deepEqual(host.outcomes(), []);
    assert.deepEqual(host.tokenWishes, [0, 0, 0]);
    host.actor.giveToken({ refused: 0, outcome: token(2, "good") });
    host.run();
    assert.match(host.outcomes()[0]!, /^e: delivered/);
    host.checkSettled();
  });

  it("asks for the next one again where it has not come, before the token at hand ends", () => {
    const host = rig("good", { settings: { limits: { requests: 1 } } });
    host.relay("a");
    host.actor.giveToken({ refused: 0, outcome: token(1, "good", 600_000, 60_000) });
    host.run();
    host.advance(60_000);
    for (const name of ["b", "c"]) {
      host.relay(name);
      host.run();
      // The token server has none now: what there is holds on.
      host.actor.giveToken({ refused: 0, outcome: token(1, "good", 540_000, 0) });
    }
    assert.deepEqual(host.tokenWishes, [0, 0]);
    host.advance(30_000);
    host.relay("d");
    host.run();
    assert.deepEqual(host.tokenWishes, [0, 0, 0]);
    assert.equal(host.outcomes().length, 4);
    host.checkSettled();
  });

  it("is given up while it waits, and a token that comes later concerns nobody", () => {
    const host = rig("good");
    host.relay("a");
    host.run();
    void host.actor.close(0);
    host.run();
    assert.deepEqual(host.outcomes(), ["a: MAILBOX_CLOSED"]);
    host.actor.giveToken({ refused: 0, outcome: token(1, "good") });
    host.run();
    assert.equal(host.peers.length, 0);
    host.checkSettled();
  });

  it("does not make the host look hung while it waits", () => {
    const host = rig("good", { settings: { concurrency: 1 } });
    host.rcpt("a");
    host.run();
    host.advance(11_000);
    assert.deepEqual(host.outcomes(), []);
    host.actor.giveToken({ refused: 0, outcome: token(1, "good") });
    host.run();
    assert.deepEqual(host.outcomes(), ["a: found (remote)"]);
    host.checkSettled();
  });

  it("needs none for users' passwords", () => {
    const host = rig("good", { settings: { allowPlaintextAuth: true } });
    host.login("ann");
    host.run();
    assert.deepEqual(host.tokenWishes, []);
    assert.equal(host.peers.length, 1);
  });
});
