/** One side of a pool: who waits for connections of one purpose, and whether these may be opened. A wrong `remote.<id>.auth` must not stop users' logins. */
import type { Failure } from "../../src/errors.js";
import { Timer } from "../../src/timer-wheel.js";
import type { World } from "../world.js";
import { Circuit } from "./circuit.js";
import { RequestQueue } from "./request-queue.js";

/** For what waits when the settings' protocol changes. */
export const NOT_FOR_IMAP: Failure = {
  code: "NOT_SUPPORTED",
  message: "The remote host became an IMAP host; nothing was sent.",
};

export class Side {
  readonly line = new RequestQueue();
  circuit: Circuit;
  /** Fires when an open circuit may be tried. */
  readonly wakeUp: Timer;

  constructor(
    private readonly world: World,
    pump: () => void,
  ) {
    this.circuit = new Circuit(world.clock, world.random);
    this.wakeUp = new Timer(pump);
  }

  /** What is known of the former host says nothing of the next. */
  forget(): void {
    this.circuit = new Circuit(this.world.clock, this.world.random);
  }

  /** Settles everyone who waits. */
  fail(failure: Failure): void {
    for (let task = this.line.shift(); task !== undefined; task = this.line.shift()) {
      task.drop(failure);
    }
  }

  /** What is told while the circuit is open. */
  get unavailable(): Failure {
    const seconds = Math.ceil(this.circuit.waitMs / 1000);
    return {
      code: "HOST_UNAVAILABLE",
      message: `The host could not be reached lately; it is tried again in ${seconds} s. Nothing was sent.`,
    };
  }
}
