/**
 * What the pool does about a hung host (silence.ts notices it): refuses what waits, and keeps one connection waiting at its door.
 * Told by the pool and its connections of all that was heard and of all that was waited for in vain.
 */
import type { Failure } from "../../src/errors.js";
import { Timer } from "../../src/timer-wheel.js";
import type { World } from "../world.js";
import { FAILURES_TO_OPEN } from "./circuit.js";
import type { HostHealth } from "./health.js";
import type { Patience, PooledConnection } from "./pooled-connection.js";
import type { Silence } from "./silence.js";
import type { Task, TaskKind } from "./task.js";
import type { Workload } from "./workload.js";

/** What it needs of its pool. */
export interface WatchedPool {
  readonly login: Workload;
  readonly service: Workload;
  /** What most requests of this host need: whose connections find out whether it is back. */
  readonly main: Workload;
  readonly health: HostHealth;
  /** It takes requests. */
  readonly isOpen: boolean;
  /** A connection slot is free. */
  readonly hasRoom: boolean;
  open(load: Workload): void;
}

/** Failures of an attempt that are no word of the host either. */
const SILENT: ReadonlySet<string> = new Set(["CONNECT_TIMEOUT", "COMMAND_TIMEOUT"]);

/** Others need not try while the next fresh connection is on its way. */
const TOLD_FOR_LONGER_MS = 1_000;

export class HangWatch implements Patience {
  private readonly knockTimer = new Timer(() => this.knock());

  constructor(
    private readonly world: World,
    private readonly silence: Silence,
    private readonly pool: WatchedPool,
  ) {}

  limitMs(kind: TaskKind): number {
    return this.silence.limitMs(kind);
  }

  /** A connection got something to read. */
  heard(): void {
    if (this.silence.heard()) {
      this.end();
    }
  }

  /** A further connection finds out whether only one of them is stuck; a retry will need it then. */
  suspect(connection: PooledConnection): void {
    const load = this.pool[connection.purpose];
    const isDoubtful = !this.silence.isHung && this.silence.isSince(connection.heardMs);
    if (isDoubtful && load.connections.count("opening") === 0 && this.pool.isOpen && this.pool.hasRoom) {
      this.pool.open(load);
    }
  }

  lateMs({ purpose, heardMs }: PooledConnection): number {
    return purpose === "login" ? this.silence.lateMs(heardMs) : 0;
  }

  /** Nothing came in time for the tasks on a connection, since `sinceMs`. */
  unanswered(sinceMs: number, limitMs: number): void {
    if (!this.silence.isHung && this.silence.isSince(sinceMs)) {
      this.begin(silentFor(limitMs));
    }
  }

  /** A connection ended while it worked, for want of a reply. */
  timedOut(connection: PooledConnection, failure: Failure): void {
    if (this.silence.timedOut(connection.heardMs)) {
      this.begin(failure);
    }
  }

  /** The deadline of all who wait for a task has passed. */
  gaveUp(task: Task): void {
    const { login, service } = this.pool;
    const isAwaited = login.connections.working + login.opening + service.connections.working + service.opening > 0;
    if (isAwaited && this.silence.gaveUp(task.kind, task.enqueuedMs)) {
      this.begin(silentFor(this.world.clock.now() - task.enqueuedMs));
    }
  }

  /** A connection is not ready after the time that lookups may take. Relays wait for it as long as RFC 5321 says. */
  openingIsSlow(connection: PooledConnection, limitMs: number): void {
    if (this.silence.isHung || !this.pool[connection.purpose].queue.hasQuestion) {
      return;
    }
    const failure: Failure = {
      code: "CONNECT_TIMEOUT",
      message: `The host did not finish its greeting and what follows within ${Math.round(limitMs)} ms (timeouts.lookup).`,
    };
    if (this.silence.isSince(this.world.clock.now() - connection.ageMs)) {
      this.begin(failure);
    } else {
      connection.abort(failure);
    }
  }

  /** An attempt to connect failed. Where the host said something by it, it is not hung; its circuit says the rest. */
  attemptFailed(load: Workload, failure: Failure): void {
    if (this.silence.isHung && !SILENT.has(failure.code)) {
      this.silence.heard();
      load.circuit.trip();
      this.end();
    }
  }

  /** Other settings, or the end: what was known does not count any more. */
  stop(): void {
    this.silence.heard();
    this.world.wheel.clear(this.knockTimer);
  }

  private begin(failure: Failure): void {
    if (!this.pool.isOpen) {
      return;
    }
    const { login, service, health } = this.pool;
    this.silence.begin();
    for (const load of [this.pool.main, login, service]) {
      health.failed(load, failure);
    }
    for (const load of [login, service]) {
      load.fail(load.unavailable);
    }
    this.knock();
  }

  /** It is not hung any more. Only connections whose circuit is open cannot be made. */
  private end(): void {
    const { login, service, health } = this.pool;
    this.world.wheel.clear(this.knockTimer);
    for (const load of [login, service]) {
      if (load.circuitState !== "open") {
        health.reached(load.purpose);
        load.circuit.peers?.closed();
      }
    }
  }

  /** The connection at the door makes way for a fresh one: a host that was replaced meanwhile knows nothing of the old one. */
  private knock(): void {
    const { main } = this.pool;
    for (const connection of [...main.connections.all]) {
      if (connection.state === "opening") {
        connection.quit();
      }
    }
    this.silence.knock();
    this.world.wheel.set(this.knockTimer, this.silence.knockMs);
    for (const { circuit } of [this.pool.login, this.pool.service]) {
      // As one that cannot be reached.
      circuit.peers?.opened(this.silence.knockMs + TOLD_FOR_LONGER_MS, FAILURES_TO_OPEN);
    }
    if (this.pool.hasRoom) {
      this.pool.open(main);
    }
  }
}

function silentFor(ms: number): Failure {
  return {
    code: "COMMAND_TIMEOUT",
    message: `The host said nothing on any connection for ${Math.round(ms)} ms.`,
  };
}
