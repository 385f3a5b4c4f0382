/** Races the TCP connections of one host (race.ts) on real sockets, for the pool's dialer. */
import type { TimerWheel } from "../../src/timer-wheel.js";
import type { Reach } from "./dial.js";
import { connectPlain, type PlainSocket, unanswered, unreachable } from "./plain-socket.js";
import { type AttemptOutcome, Race, type RaceWatcher } from "./race.js";

export function reach(
  { settings, addresses, withinMs }: Reach,
  wheel: TimerWheel,
  watcher: RaceWatcher<PlainSocket>,
): Race<PlainSocket> {
  const options = {
    addresses,
    withinMs,
    wheel,
    connect: (address: string, outcome: AttemptOutcome<PlainSocket>) => {
      const plain = connectPlain(settings, address);
      const { socket } = plain;
      const fail = (error: Error): void => outcome.fails(unreachable(settings, address, error));
      socket.once("error", fail);
      socket.once("connect", () => {
        socket.off("error", fail);
        outcome.stands(plain);
      });
      return () => socket.destroy();
    },
    timedOut: (address: string) => unanswered(settings, address),
  };
  const race = new Race(options, watcher);
  race.begin();
  return race;
}
