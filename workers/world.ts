/**
 * Everything outside a host actor that has a clock, a socket or a random number. One real world per thread;
 * a simulation hands in its own, and then a whole actor runs under a virtual clock from a seed.
 */
import { randomBytes } from "node:crypto";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { ServiceSettings } from "../src/config/settings.js";
import type { Failure } from "../src/errors.js";
import { type Clock, systemClock, TimerWheel } from "../src/timer-wheel.js";
import { Connection } from "./wire/connection.js";
import type { Dial, Reach } from "./wire/dial.js";
import { askForService } from "./wire/dns/dns-client.js";
import type { SrvAnswer } from "./wire/dns/srv-message.js";
import type { PlainSocket } from "./wire/plain-socket.js";
import type { Race, RaceWatcher } from "./wire/race.js";
import { reach } from "./wire/reach.js";
import type { Session, Wire } from "./wire/session.js";

export interface World {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** The addresses of a name, in the resolver's order; an IP address and a unix socket (`unix:`) are their own. Calls back once, never before it returns. */
  resolve(name: string, done: (result: readonly string[] | Failure) => void): void;
  /**
   * What SRV records name, and for how long. Calls back once, never before it returns, and about `withinMs` later at the latest.
   */
  findService(service: ServiceSettings, withinMs: number, done: (result: SrvAnswer | Failure) => void): void;
  /** Starts to connect; the session that `open` makes hears of the outcome, never before this returns. */
  dial<S extends Session>(dial: Dial, open: (wire: Wire) => S): S;
  /**
   * Connects to several addresses side by side (RFC 8305); what comes of it is told, and never before this returns. The winner's
   * connection goes to {@link dial}. Missing: addresses are tried one after the other.
   */
  reach?(reach: Reach, watcher: RaceWatcher<PlainSocket>): Pick<Race<PlainSocket>, "cancel">;
  /** Milliseconds since the epoch, for what people read. */
  date(): number;
  /** From 0 up to 1, for jitter. */
  random(): number;
  randomBytes(count: number): Uint8Array;
}

let turnMs = 0;
let isTurnTimed = false;
const endTurn = (): void => {
  isTurnTimed = false;
};

/** Reads the time once for all that one event brings about: a batch of requests or of replies asks for it hundreds of times. */
const turnClock: Clock = {
  now() {
    if (isTurnTimed) {
      return turnMs;
    }
    turnMs = systemClock.now();
    isTurnTimed = true;
    process.nextTick(endTurn);
    return turnMs;
  },
  leadMs: systemClock.leadMs!,
  after: systemClock.after,
};

/** The real thing. */
export function systemWorld(): World {
  const wheel = new TimerWheel(turnClock);
  return {
    clock: turnClock,
    wheel,
    resolve: resolveName,
    findService: ({ name, servers }, withinMs, done) =>
      void askForService(name, servers, withinMs).then(done, (error: Error) =>
        done({ code: "DNS_FAILED", message: `The service ${name} could not be resolved: ${error.message}.` }),
      ),
    dial: (dial, open) => Connection.open(dial, wheel, open),
    reach: (options, watcher) => reach(options, wheel, watcher),
    date: Date.now,
    random: Math.random,
    randomBytes: (count) => randomBytes(count),
  };
}

function resolveName(name: string, done: (result: readonly string[] | Failure) => void): void {
  if (isIP(name) !== 0 || name.startsWith("unix:")) {
    process.nextTick(done, [name]);
    return;
  }
  lookup(name, { all: true, verbatim: true }).then(
    (found) => done(found.map((entry) => entry.address)),
    (error: NodeJS.ErrnoException) =>
      done({
        code: "DNS_FAILED",
        message: `The name ${name} could not be resolved: ${error.code ?? error.message}.`,
        cause: error.message,
      }),
  );
}
