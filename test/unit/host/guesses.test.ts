/** `limits.guesses`: wrong passwords above it are told late, without a connection; right ones never are. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeClient } from "../../../src/messages/client.js";
import { Guesses } from "../../../workers/host/guesses.js";
import { HostRig } from "../../kit/host-rig.js";

const from = (address: string) => encodeClient({ address });
const GUESSER = from("192.0.2.1");

/** Without a cache. */
function rigOf(guesses: number): HostRig {
  return new HostRig({ settings: { concurrency: 10, limits: { errors: 1_000, requests: 1_000, guesses } } });
}

/** Wrong passwords of one user, one after the other; returns after how many milliseconds each was told. */
function guess(rig: HostRig, count: number, client = GUESSER, user = (_: number) => "victim"): number[] {
  const times: number[] = [];
  for (let number = 0; number < count; number++) {
    rig.login(`${user(number)}#${number}`, `bad${number}`, client);
    let waitedMs = 0;
    for (rig.run(); rig.told.length === 0; waitedMs += 250) {
      rig.advance(250);
    }
    assert.deepEqual(rig.outcomes(), [`${user(number)}#${number}: not found (remote)`]);
    times.push(Math.round(waitedMs / 1_000));
  }
  return times;
}

describe("wrong passwords", () => {
  it("above the limit are told after 1, 2, 4, 8 and then 15 seconds", () => {
    const rig = rigOf(10);
    assert.deepEqual(guess(rig, 15), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 15]);
    assert.equal(rig.actor.stats().guesses, 5);
    rig.checkSettled();
  });

  it("hold no connection while they are late", () => {
    const rig = rigOf(2);
    for (let number = 0; number < 30; number++) {
      rig.login(`victim#${number}`, `bad${number}`, GUESSER);
    }
    rig.run();
    const { busy, opening } = rig.actor.stats().connections;
    assert.deepEqual([busy, opening, rig.actor.stats().queued], [0, 0, 0]);
    assert.equal(rig.outcomes().length, 2);
    rig.advance(15_100);
    assert.equal(rig.outcomes().length, 28);
    rig.checkSettled();
  });

  it("of many users count for their client, and those of one user from many clients for the user", () => {
    assert.deepEqual(
      guess(rigOf(3), 5, GUESSER, (number) => `user${number}`),
      [0, 0, 0, 1, 2],
    );
    const rig = rigOf(3);
    const times = [1, 2, 3, 4, 5].map((host) => {
      rig.login(`victim#${host}`, `bad${host}`, from(`198.51.100.${host}`));
      rig.run();
      return rig.outcomes().length;
    });
    assert.deepEqual(times, [1, 1, 1, 0, 0]);
  });

  it("of users whose clients are not known do not count together", () => {
    const times = guess(rigOf(3), 9, "", (number) => `user${number}`);
    assert.deepEqual(times, new Array(9).fill(0));
  });

  it("that are the same one count once", () => {
    const rig = rigOf(2);
    for (let number = 0; number < 9; number++) {
      rig.login(`victim#${number}`, "bad", GUESSER);
      rig.run();
      assert.deepEqual(rig.outcomes(), [`victim#${number}: not found (remote)`]);
    }
  });

  it("are not told sooner to whoever asks with the same one again", () => {
    const rig = rigOf(1);
    rig.login("victim#0", "bad0", GUESSER);
    rig.login("victim#1", "bad1", GUESSER);
    rig.run();
    rig.outcomes();
    rig.login("victim#2", "bad1", GUESSER);
    rig.run();
    assert.deepEqual(rig.outcomes(), []);
    rig.advance(1_100);
    assert.deepEqual(rig.outcomes(), ["victim#1: not found (remote)", "victim#2: not found (shared)"]);
    rig.checkSettled();
  });

  it("are answered at once again when a minute has passed without them", () => {
    const rig = rigOf(2);
    assert.deepEqual(guess(rig, 4), [0, 0, 1, 2]);
    rig.advance(60_000);
    assert.deepEqual(guess(rig, 2), [0, 0]);
  });

  it("never are late where the limit is 0", () => {
    assert.deepEqual(guess(rigOf(0), 12), new Array(12).fill(0));
  });
});

describe("right passwords", () => {
  it("of a guessed user are told at once, from the guesser's client and from others", () => {
    const rig = rigOf(1);
    guess(rig, 6);
    rig.login("victim", "good", from("192.0.2.2"));
    rig.run();
    assert.deepEqual(rig.outcomes(), ["victim: found (remote)"]);
    rig.login("neighbour", "good", GUESSER);
    rig.run();
    assert.deepEqual(rig.outcomes(), ["neighbour: found (remote)"]);
  });
});

describe("late answers", () => {
  it("are in time for their requests", () => {
    const rig = rigOf(1);
    guess(rig, 5);
    rig.login("victim", "bad", GUESSER, rig.nowMs + 4_000);
    rig.advance(1_900);
    assert.deepEqual(rig.told, []);
    rig.advance(200);
    assert.equal(rig.outcomes().length, 1);
  });

  it("are told at once when the host is closed or has other settings", async () => {
    const closed = rigOf(1);
    guess(closed, 3);
    closed.login("victim", "bad", GUESSER);
    closed.run();
    const done = closed.actor.close(1_000);
    closed.run();
    assert.deepEqual(closed.outcomes(), ["victim: not found (remote)"]);
    closed.advance(2_000);
    await done;
    const changed = rigOf(1);
    guess(changed, 3);
    changed.login("victim", "bad", GUESSER);
    changed.run();
    changed.actor.reconfigure(changed.settings);
    assert.deepEqual(changed.outcomes(), ["victim: not found (remote)"]);
  });

  it("that were given up leave nothing behind", () => {
    const rig = rigOf(1);
    guess(rig, 3);
    const slot = rig.login("victim", "bad", GUESSER);
    rig.run();
    rig.actor.cancel(slot, "ABORTED");
    assert.deepEqual(rig.outcomes(), ["victim: ABORTED"]);
    rig.advance(15_000);
    assert.equal(rig.actor.stats().inFlight, 0);
    rig.checkSettled();
  });

  it("are a thousand at most: the oldest is told then", () => {
    const rig = rigOf(1);
    for (let number = 0; number < 1_200; number++) {
      rig.login(`user${number}`, "bad", GUESSER);
    }
    rig.run();
    assert.equal(rig.outcomes().length, 200);
    rig.advance(16_000);
    rig.checkSettled();
  });

  it("are an event once a minute, without the secret", () => {
    const rig = rigOf(1);
    guess(rig, 8);
    const events = () => rig.records.filter(({ event }) => event === "guessing").map(({ fields }) => fields);
    assert.deepEqual(events(), [{ by: "client", user: "victim", client: "192.0.2.1", late: 1 }]);
    rig.advance(1_000);
    guess(rig, 3, GUESSER, () => "other");
    assert.equal(events().length, 2);
    assert.deepEqual(events()[1], { by: "client", user: "other", client: "192.0.2.1", late: 7 });
    assert.ok(!JSON.stringify(rig.records).includes("bad"));
  });
});

describe("the memory of guessers", () => {
  it("holds ten thousand of a hundred thousand guessed users at most, and nobody after two minutes", () => {
    const guesses = new Guesses();
    let most = 0;
    for (let user = 0; user < 100_000; user++) {
      assert.equal(guesses.count(`user${user}`, "secret", 10, user / 100), 0);
      most = Math.max(most, guesses.size);
    }
    assert.equal(most, 10_000);
    guesses.count("late", "secret", 10, 130_000);
    assert.equal(guesses.size, 1);
  });

  it("keeps the one who guesses on, whoever is guessed meanwhile", () => {
    const guesses = new Guesses();
    const over: number[] = [];
    for (let number = 0; number < 20; number++) {
      over.push(guesses.count("guesser", `secret${number}`, 10, number));
      for (let user = 0; user < 4_000; user++) {
        guesses.count(`user${number}-${user}`, "secret", 10, number);
      }
    }
    assert.deepEqual(over.slice(9, 13), [0, 1, 2, 3]);
  });
});
