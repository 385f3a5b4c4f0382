/** Addresses tried side by side (RFC 8305), under a clock that a test moves: who starts when, who wins, and what becomes of the others. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Failure } from "../../../src/errors.js";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { type AttemptOutcome, Race } from "../../../workers/wire/race.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const [A, B, C] = ["2001:db8::1", "192.0.2.1", "2001:db8::2"] as const;
const REFUSED: Failure = { code: "CONNECT_FAILED", message: "refused" };
const TICK_MS = 10;

class Track {
  readonly clock = new VirtualClock();
  /** What happened, in order. */
  readonly events: string[] = [];
  readonly outcomes = new Map<string, AttemptOutcome<string>>();
  readonly race: Race<string>;

  constructor(addresses: readonly string[], withinMs = 30_000) {
    this.race = new Race<string>(
      {
        addresses,
        withinMs,
        wheel: new TimerWheel(this.clock, TICK_MS),
        connect: (address, outcome) => {
          this.events.push(`try ${address}`);
          this.outcomes.set(address, outcome);
          return () => this.events.push(`end ${address}`);
        },
        timedOut: (address) => ({ code: "CONNECT_TIMEOUT", message: address }),
      },
      {
        failed: (address) => this.events.push(`failed ${address}`),
        won: (address, connection, overtaken) => this.events.push(`won ${address} ${connection} (${overtaken})`),
        lost: ({ code, message }) => this.events.push(`lost ${code} ${message}`),
      },
    );
    this.race.begin();
  }

  /** What happened since this was called last. */
  take(): string[] {
    return this.events.splice(0);
  }
}

describe("a race of addresses", () => {
  test("gives each address a head start of 250 ms, and keeps the first connection that stands", () => {
    const track = new Track([A, B, C]);
    assert.deepEqual(track.take(), [`try ${A}`]);
    track.clock.advance(249);
    assert.deepEqual(track.take(), []);
    track.clock.advance(1 + 2 * TICK_MS);
    assert.deepEqual(track.take(), [`try ${B}`]);
    track.outcomes.get(B)!.stands("socket");
    assert.deepEqual(track.take(), [`end ${A}`, `won ${B} socket (${A})`]);
    track.clock.advance(60_000);
    assert.deepEqual(track.take(), [], "the third one is not tried any more");
    assert.equal(track.clock.pending, 0, "and no timer is left");
  });

  test("takes an address that answers within its head start, alone", () => {
    const track = new Track([A, B]);
    track.outcomes.get(A)!.stands("socket");
    track.clock.advance(60_000);
    assert.deepEqual(track.take(), [`try ${A}`, `won ${A} socket ()`]);
  });

  test("lets the first one win after all where it stands before those that came behind it", () => {
    const track = new Track([A, B]);
    track.clock.advance(300);
    track.outcomes.get(A)!.stands("socket");
    assert.deepEqual(track.take(), [`try ${A}`, `try ${B}`, `end ${B}`, `won ${A} socket ()`]);
    track.outcomes.get(B)!.stands("too late");
    track.outcomes.get(B)!.fails(REFUSED);
    assert.deepEqual(track.take(), []);
  });

  test("does not wait for the rest of a head start behind a failure", () => {
    const track = new Track([A, B, C]);
    track.outcomes.get(A)!.fails(REFUSED);
    assert.deepEqual(track.take(), [`try ${A}`, `failed ${A}`, `try ${B}`]);
    track.clock.advance(300);
    track.outcomes.get(C)!.stands("socket");
    assert.deepEqual(track.take(), [`try ${C}`, `end ${B}`, `won ${C} socket (${B})`]);
  });

  test("is lost when the last one has failed, with what that one said", () => {
    const track = new Track([A, B]);
    track.clock.advance(300);
    track.outcomes.get(B)!.fails({ ...REFUSED, message: "first" });
    assert.deepEqual(track.take(), [`try ${A}`, `try ${B}`, `failed ${B}`]);
    track.outcomes.get(A)!.fails({ ...REFUSED, message: "second" });
    assert.deepEqual(track.take(), [`failed ${A}`, "lost CONNECT_FAILED second"]);
    track.clock.advance(60_000);
    assert.deepEqual([track.take(), track.clock.pending], [[], 0]);
  });

  test("is lost when its time is over, and nothing is left on its way", () => {
    const track = new Track([A, B], 1_000);
    track.clock.advance(1_000 + 2 * TICK_MS);
    assert.deepEqual(track.take(), [`try ${A}`, `try ${B}`, `end ${A}`, `end ${B}`, `lost CONNECT_TIMEOUT ${B}`]);
  });

  test("tries all of them, however short its time", () => {
    const track = new Track([A, B, C], 150);
    track.clock.advance(130);
    assert.deepEqual(track.take(), [`try ${A}`, `try ${B}`, `try ${C}`]);
  });

  test("ends without a word when it is called off", () => {
    const track = new Track([A, B]);
    track.clock.advance(300);
    track.race.cancel();
    track.outcomes.get(A)!.stands("too late");
    track.clock.advance(60_000);
    assert.deepEqual(track.take(), [`try ${A}`, `try ${B}`, `end ${A}`, `end ${B}`]);
  });
});
