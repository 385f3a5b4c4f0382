/** A hung host takes connections and says nothing: it is found out, refused at once, and served again with the first octet. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HostRig, type RigOptions } from "../../kit/host-rig.js";
import { friendly } from "../../kit/rig-peer.js";

const LOOKUP_MS = 10_000;

/** A host that can be stopped: it takes what is sent, and connections, and answers when it goes on. */
function stoppable(options: RigOptions = {}) {
  let isStopped = false;
  const owed: (() => void)[] = [];
  const rig = new HostRig({
    ...options,
    answer: (line, peer) => {
      const reply = (options.answer ?? friendly)(line, peer);
      if (!isStopped || reply === undefined) {
        return reply;
      }
      owed.push(() => peer.say(reply));
      return undefined;
    },
    greeting: (peer) => {
      if (!isStopped) {
        return "220 host";
      }
      owed.push(() => peer.say("220 host"));
      return undefined;
    },
  });
  return {
    rig,
    stop: () => {
      isStopped = true;
    },
    go: () => {
      isStopped = false;
      for (const say of owed.splice(0)) {
        say();
      }
      rig.run();
    },
  };
}

const records = (rig: HostRig, event: string) => rig.records.filter((record) => record.event === event);

describe("a host that stops", () => {
  it("is down once a lookup had no word for as long as it may, and refuses the next ones at once", () => {
    const { rig, stop } = stoppable({ settings: { concurrency: 4 } });
    rig.rcpt("before");
    rig.run();
    stop();
    rig.rcpt("asked");
    rig.advance(LOOKUP_MS - 100);
    assert.deepEqual([rig.outcomes(), rig.actor.stats().state], [["before: found (remote)"], "up"]);
    rig.advance(200);
    assert.deepEqual(rig.outcomes(), ["asked: HOST_UNAVAILABLE"], "its retry would wait for nothing");
    rig.rcpt("next");
    rig.relay("message");
    rig.login("user");
    assert.deepEqual(rig.outcomes(), ["next: HOST_UNAVAILABLE", "message: HOST_UNAVAILABLE", "user: HOST_UNAVAILABLE"]);
    const { state, lastFailure, retryAt } = rig.actor.stats();
    assert.equal(state, "down");
    assert.equal(lastFailure?.code, "COMMAND_TIMEOUT");
    assert.ok(retryAt !== undefined && retryAt > 1_700_000_000_000 + rig.nowMs);
    assert.equal(records(rig, "host-down").length, 1);
    rig.checkSettled();
  });

  it("serves again with its first octet, and says once how long it was away", () => {
    const { rig, stop, go } = stoppable({ settings: { concurrency: 4 } });
    rig.rcpt("before");
    rig.run();
    stop();
    rig.rcpt("asked");
    rig.advance(LOOKUP_MS + 100);
    for (let second = 0; second < 120; second++) {
      rig.rcpt(`turned away ${second}`);
      rig.advance(1_000);
    }
    rig.outcomes();
    go();
    rig.rcpt("after");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["after: found (remote)"]);
    assert.equal(rig.actor.stats().state, "up");
    assert.equal(rig.actor.stats().lastFailure, undefined);
    const [up, ...others] = records(rig, "host-up");
    assert.deepEqual(others, []);
    assert.deepEqual(up!.fields, { afterMs: 120_050, refused: 120, waited: 0 });
    assert.equal(records(rig, "host-down").length, 1);
    rig.checkSettled();
  });

  it("has one connection waiting at its door, and fresh ones more and more seldom", () => {
    const { rig, stop } = stoppable({ settings: { concurrency: 4, limits: { idleMs: 5_000 } } });
    stop();
    rig.rcpt("asked");
    rig.advance(LOOKUP_MS + 100);
    const dialledAt: number[] = [];
    let dials = rig.peers.length;
    for (let second = 0; second < 300; second++) {
      rig.advance(1_000);
      assert.equal(rig.open.length, 1, `one waits in second ${second}`);
      if (rig.peers.length > dials) {
        dials = rig.peers.length;
        dialledAt.push(second);
      }
    }
    const gaps = dialledAt.slice(1).map((second, at) => Math.round((second - dialledAt[at]!) / 10) * 10);
    assert.deepEqual(gaps, [20, 40, 60, 60, 60]);
    rig.checkSettled();
  });

  it("is found out by callers who give up, one after the other, after longer than it usually takes", () => {
    const { rig, stop } = stoppable({ settings: { concurrency: 4 } });
    rig.rcpt("before");
    rig.run();
    stop();
    for (const name of ["a", "b", "c"]) {
      const slot = rig.rcpt(name);
      rig.advance(name === "c" ? 2_100 : 2_000);
      assert.equal(rig.actor.stats().state, "up", "two are not enough");
      rig.actor.cancel(slot, "DEADLINE_EXCEEDED");
    }
    assert.equal(rig.actor.stats().state, "down");
  });

  it("is not found out by callers who give up sooner than it answers", () => {
    const { rig, stop } = stoppable({ settings: { concurrency: 4 } });
    rig.rcpt("before");
    rig.run();
    stop();
    for (let count = 0; count < 20; count++) {
      const slot = rig.rcpt(`hasty ${count}`);
      rig.advance(300);
      rig.actor.cancel(slot, "DEADLINE_EXCEEDED");
    }
    assert.equal(rig.actor.stats().state, "up");
  });

  it("was replaced by one that refuses connections: it stays down, and the circuit takes over", () => {
    let isGone = false;
    const { rig, stop } = stoppable({
      settings: { concurrency: 4 },
      connect: () => (isGone ? "refuse" : "accept"),
    });
    stop();
    rig.rcpt("asked");
    rig.advance(LOOKUP_MS + 100);
    isGone = true;
    rig.advance(21_000);
    const { state, lastFailure } = rig.actor.stats();
    assert.notEqual(state, "up");
    assert.equal(lastFailure?.code, "CONNECT_FAILED");
    assert.equal(records(rig, "host-down").length, 1);
    rig.checkSettled();
  });

  it("is told to be back, and to be down again, where it refused connections meanwhile and nobody logs in", () => {
    let isGone = false;
    const { rig, stop, go } = stoppable({
      settings: { concurrency: 4 },
      connect: () => (isGone ? "refuse" : "accept"),
    });
    for (const times of [1, 2]) {
      stop();
      rig.rcpt(`asked#${times}`);
      rig.advance(LOOKUP_MS + 100);
      isGone = true;
      rig.advance(21_000);
      isGone = false;
      go();
      rig.rcpt(`back#${times}`);
      rig.advance(1_000);
      assert.deepEqual([rig.actor.stats().state, rig.actor.stats().lastFailure], ["up", undefined]);
      assert.deepEqual([records(rig, "host-down").length, records(rig, "host-up").length], [times, times]);
    }
    rig.checkSettled();
  });
});

describe("a host that is slow to one and speaks to others", () => {
  it("is not hung, though nobody else asked for anything: a further connection has found out", () => {
    const rig = new HostRig({
      settings: { concurrency: 2 },
      answer: (line, peer) => (line.startsWith("AUTH") ? undefined : friendly(line, peer)),
    });
    rig.login("stuck");
    rig.advance(LOOKUP_MS + 100);
    rig.relay("m");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["m: delivered on 3"]);
    rig.advance(20_000);
    assert.deepEqual(rig.outcomes(), ["stuck: COMMAND_TIMEOUT"]);
    assert.deepEqual(records(rig, "host-down"), []);
    rig.checkSettled();
  });

  it("is not hung: the lookup without an answer has its second try, and fails alone", () => {
    const rig = new HostRig({
      settings: { concurrency: 4, limits: { pipeline: 1 } },
      answer: (line, peer) => (line.startsWith("VRFY stuck") ? undefined : friendly(line, peer)),
    });
    rig.vrfy("a");
    rig.run();
    rig.vrfy("stuck");
    for (let second = 0; second < 25; second++) {
      rig.vrfy(`other ${second}`);
      rig.advance(1_000);
    }
    const outcomes = rig.outcomes();
    assert.ok(outcomes.includes("stuck: COMMAND_TIMEOUT"));
    assert.equal(outcomes.filter((line) => line.includes("found")).length, 26);
    assert.equal(rig.actor.stats().state, "up");
    assert.deepEqual(records(rig, "host-down"), []);
    rig.checkSettled();
  });

  it("may greet as late as RFC 5321 allows, while only messages wait", () => {
    const rig = new HostRig({ settings: { concurrency: 1 }, greeting: () => undefined });
    rig.relay("m");
    rig.advance(45_000);
    rig.peers[0]!.say("220 at last");
    rig.run();
    assert.deepEqual(rig.outcomes(), ["m: delivered on 1"]);
    assert.deepEqual(records(rig, "host-down"), []);
    rig.checkSettled();
  });

  it("may delay the first answer to a login for as long as Dovecot does at most", () => {
    const rig = new HostRig({
      settings: { concurrency: 2 },
      answer: (line, peer) => {
        if (!line.startsWith("AUTH")) {
          return friendly(line, peer);
        }
        rig.clock.after(17_000, () => peer.say("235 yes"));
        return undefined;
      },
    });
    rig.login("behind a guesser");
    rig.advance(18_000);
    assert.deepEqual(rig.outcomes(), ["behind a guesser: found (remote)"]);
    assert.deepEqual(records(rig, "host-down"), []);
    rig.checkSettled();
  });

  it("may delay its answers to wrong passwords, a little longer each time", () => {
    const delays = [2_000, 4_000, 8_000, 15_000, 17_000, 17_000];
    let attempt = 0;
    const rig = new HostRig({
      settings: { concurrency: 2 },
      answer: (line, peer) => {
        if (!line.startsWith("AUTH")) {
          return friendly(line, peer);
        }
        rig.clock.after(delays[attempt++]!, () => peer.say("535 no"));
        return undefined;
      },
    });
    for (const [at] of delays.entries()) {
      rig.login(`guessed#${at}`, `bad${at}`);
      rig.advance(20_000);
    }
    assert.ok(rig.outcomes().every((line) => line.endsWith("not found (remote)")));
    assert.deepEqual(records(rig, "host-down"), []);
    rig.checkSettled();
  });
});

describe("a host whose answers take longer and longer", () => {
  it("is told of once, and again when it was quick meanwhile", () => {
    let delayMs = 4_000;
    const rig = new HostRig({
      settings: { concurrency: 1, limits: { pipeline: 1, requests: 1_000, lifetimeMs: 10_000_000 } },
      answer: (line, peer) => {
        if (!line.startsWith("VRFY") || delayMs === 0) {
          return friendly(line, peer);
        }
        rig.clock.after(delayMs, () => peer.say("250 <x>"));
        return undefined;
      },
    });
    const ask = (count: number) => {
      for (let turn = 0; turn < count; turn++) {
        rig.vrfy(`v${turn}`);
        rig.advance(5_000);
      }
    };
    ask(30);
    assert.deepEqual(
      records(rig, "host-slow").map(({ fields }) => fields.kind),
      ["vrfy"],
    );
    delayMs = 0;
    ask(60);
    delayMs = 4_000;
    ask(30);
    assert.equal(records(rig, "host-slow").length, 2);
    rig.checkSettled();
  });
});
