/** The connections of one purpose by what they do now. The pool asks here who may serve; {@link ConnectionTable.move} is the only transition. */
import type { ConnectionState, PooledConnection } from "./pooled-connection.js";
import { Tally } from "./tally.js";
import type { PoolLogin, Task } from "./task.js";

export class ConnectionTable {
  /** All that hold a connection slot. */
  readonly all = new Set<PooledConnection>();
  /** Idle longest first: the last one is lent again, the first ones may go. */
  private readonly idle: PooledConnection[] = [];
  private readonly counts: Record<ConnectionState, number> = {
    opening: 0,
    idle: 0,
    busy: 0,
    full: 0,
    closing: 0,
    closed: 0,
  };
  private joined: PooledConnection | undefined;
  /** For whom those on their way are, where connections belong to their clients. */
  readonly openingFor = new Tally();

  /** @param loginEnded called when a connection is done with the login that it was given */
  constructor(private readonly loginEnded: (login: PoolLogin) => void) {}

  /** Takes one in that begins to open. */
  add(connection: PooledConnection): void {
    this.all.add(connection);
    this.counts[connection.state]++;
    this.openingFor.add(connection.binding);
  }

  move(connection: PooledConnection, state: ConnectionState): void {
    const { state: former } = connection;
    if (former === state) {
      return;
    }
    if (former === "idle") {
      this.leaveIdle(connection);
    } else if (former === "opening") {
      this.openingFor.remove(connection.binding);
    }
    if (connection.login !== undefined && state !== "busy" && state !== "full") {
      this.loginEnded(connection.login);
      connection.login = undefined;
    }
    this.counts[former]--;
    this.counts[state]++;
    connection.state = state;
    if (state === "idle") {
      this.idle.push(connection);
    } else if (state === "closed") {
      this.all.delete(connection);
    }
  }

  count(state: ConnectionState): number {
    return this.counts[state];
  }

  /** Those at work. */
  get working(): number {
    const { busy, full } = this.counts;
    return busy + full;
  }

  /** Those that stand. */
  get standing(): number {
    return this.counts.idle + this.working;
  }

  /** Those that stand or will. */
  get held(): number {
    return this.counts.opening + this.standing;
  }

  /** The one that has been idle for the shortest time and may serve this client; one that serves it already goes first. */
  newestIdle({ client, binding }: Task): PooledConnection | undefined {
    let newest: PooledConnection | undefined;
    for (let at = this.idle.length - 1; at >= 0; at--) {
      const connection = this.idle[at]!;
      if (connection.binding !== binding) {
        continue;
      }
      if (connection.canJoin(client)) {
        return connection;
      }
      if (newest === undefined && connection.canServe(client)) {
        newest = connection;
      }
    }
    return newest;
  }

  /** Those that are idle now, longest first. */
  idleOnes(): readonly PooledConnection[] {
    return this.idle.slice();
  }

  oldestIdle(): PooledConnection | undefined {
    return this.idle[0];
  }

  /** Lets none of them wait for the host's goodbye any more. */
  hurryClosing(): void {
    if (this.counts.closing === 0) {
      return;
    }
    for (const connection of this.all) {
      if (connection.state === "closing") {
        connection.hurry();
      }
    }
  }

  /** One that has only just opened. The host may have ended it while its socket is still there. */
  freshIdle(task: Task): PooledConnection | undefined {
    return this.idle.find((connection) => connection.past === "fresh" && connection.hasRoomFor(task));
  }

  /** A busy one that takes one more task of this kind: the one that took the last, often. */
  busyWithRoom(task: Task): PooledConnection | undefined {
    if (this.joined !== undefined && canJoin(this.joined, task)) {
      return this.joined;
    }
    this.joined = undefined;
    if (this.counts.busy === 0) {
      return undefined;
    }
    for (const connection of this.all) {
      if (canJoin(connection, task)) {
        this.joined = connection;
        break;
      }
    }
    return this.joined;
  }

  private leaveIdle(connection: PooledConnection): void {
    const { idle } = this;
    if (idle.at(-1) === connection) {
      idle.pop();
    } else {
      idle.splice(idle.indexOf(connection), 1);
    }
  }
}

function canJoin(connection: PooledConnection, task: Task): boolean {
  return connection.state === "busy" && connection.canJoin(task.client) && connection.hasRoomFor(task);
}
