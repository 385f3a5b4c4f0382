/**
 * Attempts at addresses that may be back while others serve (endpoints.ts): one that says nothing is given up when somebody waits for its
 * slot, since nobody is to wait for the whole `timeout` of a host that is up elsewhere. Works for opener.ts.
 */
import { Timer, type TimerWheel } from "../../src/timer-wheel.js";
import type { Endpoint } from "./endpoint.js";
import type { PooledConnection } from "./pooled-connection.js";

/** Whoever waits for such an attempt waits for so long: enough for a handshake with TLS and an account, far away. */
export const TRIAL_MS = 2_000;

/** Whose attempts they are. */
export interface TrialOwner {
  /** Somebody waits who could have a connection to another address in its place. */
  isInTheWay(connection: PooledConnection): boolean;
  giveUp(connection: PooledConnection, endpoint: Endpoint): void;
}

export class Trials {
  private readonly timer = new Timer(() => this.look());
  private readonly connections = new Map<PooledConnection, Endpoint>();

  constructor(
    private readonly wheel: TimerWheel,
    private readonly owner: TrialOwner,
  ) {}

  /** It begins to open. */
  begin(connection: PooledConnection, endpoint: Endpoint): void {
    this.connections.set(connection, endpoint);
    if (this.connections.size === 1) {
      this.wheel.set(this.timer, TRIAL_MS);
    }
  }

  stop(): void {
    this.wheel.clear(this.timer);
  }

  private look(): void {
    for (const [connection, endpoint] of [...this.connections]) {
      if (connection.state !== "opening") {
        this.connections.delete(connection);
      } else if (connection.ageMs >= TRIAL_MS && this.owner.isInTheWay(connection)) {
        this.connections.delete(connection);
        this.owner.giveUp(connection, endpoint);
      }
    }
    if (this.connections.size > 0) {
      this.wheel.set(this.timer, TRIAL_MS / 2);
    }
  }
}
