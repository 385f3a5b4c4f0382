/** Which connection serves which task: hands out what waits, and takes connections back that have nothing to do. Works for the pool. */
import type { Clock } from "../../src/timer-wheel.js";
import type { PooledConnection } from "./pooled-connection.js";
import { withdraw } from "./request-queue.js";
import type { SlotAllocator } from "./slot-allocator.js";
import type { PoolRelay, Task } from "./task.js";
import type { Workload } from "./workload.js";

export class Dispatcher {
  constructor(
    private readonly clock: Clock,
    private readonly slots: SlotAllocator,
  ) {}

  /** A message whose envelope may follow at once on this connection, if one waits and nobody else has more right to it. */
  nextRelay(connection: PooledConnection, { queue, connections }: Workload): PoolRelay | undefined {
    const task = queue.length === 0 ? undefined : queue.next(this.clock.now());
    if (task?.kind === "relay" && connection.canJoin(task.client) && !this.slots.mustYield(connection)) {
      withdraw(task);
      task.start(connection.number);
      return task;
    }
    // There is room behind the terminator for whoever comes next.
    if (connection.state === "full") {
      connections.move(connection, "busy");
    }
    return undefined;
  }

  /** Hands out what waits, as far as connections have room. */
  serve(load: Workload): void {
    const { queue, connections } = load;
    const nowMs = this.clock.now();
    for (let task = queue.nextRetry(nowMs); task !== undefined; task = queue.nextRetry(nowMs)) {
      const connection = connections.freshIdle(task);
      if (connection === undefined) {
        break;
      }
      this.hand(task, connection, load);
    }
    for (let task = queue.next(nowMs); task !== undefined; task = queue.next(nowMs)) {
      const connection = this.connectionFor(task, load);
      if (connection === undefined) {
        break;
      }
      this.hand(task, connection, load);
    }
    if (load.bindsClients && queue.length > 0) {
      this.serveClients(load, nowMs);
    }
  }

  /** Who is next may wait for a connection of its client's own: it does not keep those of other clients from theirs. */
  private serveClients(load: Workload, nowMs: number): void {
    for (const idle of load.connections.idleOnes()) {
      const task = load.queue.nextOf(idle.boundTo, !idle.wasUsed, nowMs);
      if (task !== undefined && !this.slots.mustYieldToClient(idle, load) && idle.hasRoomFor(task)) {
        this.hand(task, idle, load);
      }
    }
  }

  private hand(task: Task, connection: PooledConnection, load: Workload): void {
    withdraw(task);
    const { connections } = load;
    if (connection.state === "idle") {
      connections.move(connection, "busy");
    }
    if (task.kind === "login") {
      connection.login = task;
      load.loginBegan(task);
    }
    task.start(connection.number);
    connection.wasUsed = true;
    const hasRoom = connection.take(task);
    if (!connection.isWorking) {
      return;
    }
    if (connection.isFree) {
      // A task that nothing could be sent for is settled already, and no reply will come that frees the connection.
      this.release(connection, load);
    } else {
      connections.move(connection, hasRoom ? "busy" : "full");
    }
  }

  private connectionFor(task: Task, load: Workload): PooledConnection | undefined {
    const { connections } = load;
    const { kind, client } = task;
    for (let idle = connections.newestIdle(client); idle !== undefined; idle = connections.newestIdle(client)) {
      if (!idle.isDone && idle.hasRoomFor(task)) {
        return idle;
      }
      idle.quit();
    }
    // Behind a terminator only when no connection may be opened instead.
    if (kind === "rcpt" || (kind === "relay" && !this.slots.hasRoom && load.opening === 0)) {
      const connection = connections.busyWithRoom(task);
      return connection === undefined || this.slots.mustYield(connection) ? undefined : connection;
    }
    return undefined;
  }

  /** Nothing is at work on it any more. */
  release(connection: PooledConnection, load: Workload): void {
    if (connection.isDone || this.slots.mustYield(connection)) {
      connection.quit();
      return;
    }
    load.connections.move(connection, "idle");
    connection.rest();
  }
}
