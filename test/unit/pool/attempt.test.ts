/** One connection on its way over several addresses: what is tried, in which order, and what the next connection makes of it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Failure } from "../../../src/errors.js";
import { TimerWheel } from "../../../src/timer-wheel.js";
import { AddressBook } from "../../../workers/pool/address-book.js";
import { Attempt } from "../../../workers/pool/attempt.js";
import type { Dial, Reach } from "../../../workers/wire/dial.js";
import type { PlainSocket } from "../../../workers/wire/plain-socket.js";
import type { RaceWatcher } from "../../../workers/wire/race.js";
import type { Session, Wire } from "../../../workers/wire/session.js";
import type { World } from "../../../workers/world.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";
import { VirtualClock } from "../kit/virtual-clock.js";

const [A, B, C] = ["2001:db8::1", "192.0.2.1", "2001:db8::2"] as const;
const REFUSED: Failure = { code: "CONNECT_FAILED", message: "refused" };
const UNAVAILABLE: Failure = { code: "HOST_UNAVAILABLE", message: "554" };
const SOCKET = {} as PlainSocket;

class Way {
  readonly clock = new VirtualClock();
  readonly dials: Dial[] = [];
  readonly races: { reach: Reach; watcher: RaceWatcher<PlainSocket>; isCancelled: boolean }[] = [];
  readonly failures: string[] = [];
  private readonly settings = smtpSettings({ address: "host.example", timeoutMs: 60_000 });
  private readonly world: World;
  readonly book: AddressBook;

  constructor(addresses: readonly string[] | Failure, canRace = true) {
    this.world = {
      clock: this.clock,
      wheel: new TimerWheel(this.clock),
      resolve: (_name, done) => done(addresses),
      findService: () => assert.fail("an attempt has its address"),
      dial: (dial, open) => {
        this.dials.push(dial);
        return open({} as Wire);
      },
      ...(canRace && {
        reach: (reach, watcher) => {
          const race = { reach, watcher, isCancelled: false };
          this.races.push(race);
          return {
            cancel: () => {
              race.isCancelled = true;
            },
          };
        },
      }),
      date: () => 0,
      random: () => 0,
      randomBytes: (count) => new Uint8Array(count),
    };
    this.book = new AddressBook(this.world, "host.example");
  }

  begin(): Attempt<Session> {
    const shared = {} as Pick<Dial, "tls">;
    const open = () => ({}) as Session;
    const attempt = new Attempt(this.world, this.settings, this.book, shared, open, ({ code }) =>
      this.failures.push(code),
    );
    attempt.begin();
    return attempt;
  }

  get lastRace() {
    return this.races.at(-1)!;
  }

  get dialled(): string[] {
    return this.dials.map(({ address, plain }) => `${address}${plain === undefined ? "" : " raced"}`);
  }
}

describe("an attempt to connect", () => {
  test("dials a host with one address as it is, without a race", () => {
    const way = new Way([A]);
    way.begin();
    assert.deepEqual([way.dialled, way.races.length], [[A], 0]);
  });

  test("races the addresses with the families in turns, and dials on the connection that won", () => {
    const way = new Way([A, C, B]);
    const attempt = way.begin();
    const { reach, watcher } = way.lastRace;
    assert.deepEqual(reach.addresses, [A, B, C]);
    assert.equal(attempt.session, undefined);
    way.clock.advance(500);
    watcher.won(B, SOCKET, [A]);
    assert.deepEqual(way.dialled, [`${B} raced`]);
    assert.notEqual(attempt.session, undefined);
  });

  test("remembers for the host who won: who was overtaken goes last for ten minutes", () => {
    const way = new Way([A, B]);
    const attempt = way.begin();
    way.lastRace.watcher.won(B, SOCKET, [A]);
    attempt.succeeded();
    for (const [afterMs, expected] of [
      [0, [B, A]],
      [590_000, [B, A]],
      [11_000, [A, B]],
    ] as const) {
      way.clock.advance(afterMs);
      way.begin();
      assert.deepEqual(way.lastRace.reach.addresses, expected);
    }
  });

  test("forgets that an address was overtaken when a connection to it stands", () => {
    const way = new Way([A, B]);
    way.begin();
    way.lastRace.watcher.won(B, SOCKET, [A]);
    const second = way.begin();
    way.lastRace.watcher.won(A, SOCKET, [B]);
    second.succeeded();
    way.begin();
    assert.deepEqual(way.lastRace.reach.addresses, [A, B]);
  });

  test("goes on with the addresses that are left when the winner says no, but for those that failed", () => {
    const way = new Way([A, B, C, "192.0.2.9"]);
    const attempt = way.begin();
    way.lastRace.watcher.failed(A);
    way.lastRace.watcher.won(B, SOCKET, []);
    assert.equal(attempt.sessionFailed(UNAVAILABLE), true);
    assert.equal(attempt.session, undefined);
    assert.deepEqual(way.lastRace.reach.addresses, [C, "192.0.2.9"]);
    way.lastRace.watcher.failed("192.0.2.9");
    way.lastRace.watcher.won(C, SOCKET, []);
    assert.equal(attempt.sessionFailed(UNAVAILABLE), false);
    assert.deepEqual(way.failures, [], "the session has told its own end");
  });

  test("gives the winner no more than its share of the time, while others are left", () => {
    const way = new Way([A, B]);
    way.begin();
    way.clock.advance(10_000);
    way.lastRace.watcher.won(A, SOCKET, []);
    assert.equal(way.dials[0]!.withinMs, 25_000);
  });

  test("fails with the race, and knows all of its addresses as dead for a while", () => {
    const way = new Way([A, B]);
    way.begin();
    way.lastRace.watcher.failed(B);
    way.lastRace.watcher.lost(REFUSED);
    assert.deepEqual(way.failures, ["CONNECT_FAILED"]);
    way.begin();
    assert.deepEqual(way.lastRace.reach.addresses, [A, B], "both are avoided, which changes no order");
  });

  test("calls the race off when it is given up", () => {
    const way = new Way([A, B]);
    const attempt = way.begin();
    attempt.abandon(UNAVAILABLE);
    attempt.abandon(UNAVAILABLE);
    assert.deepEqual([way.lastRace.isCancelled, way.failures], [true, ["HOST_UNAVAILABLE"]]);
  });

  test("tries one address after the other in a world that cannot race", () => {
    const way = new Way([A, B], false);
    const attempt = way.begin();
    assert.equal(attempt.sessionFailed(REFUSED), true);
    assert.deepEqual(way.dialled, [A, B]);
    assert.equal(attempt.sessionFailed(REFUSED), false);
  });

  test("fails once where the name has no address, and is not told of it again when its time is over", () => {
    const way = new Way({ code: "DNS_FAILED", message: "no" });
    way.begin();
    way.clock.advance(120_000);
    assert.deepEqual(way.failures, ["DNS_FAILED"]);
    assert.equal(way.clock.pending, 0);
  });
});
