/** Which connection serves which task: hands out what waits, and takes connections back that have nothing to do. Works for the pool. */
import type { Clock } from "../../src/timer-wheel.js";
import type { Pace } from "./pace.js";
import type { PooledConnection } from "./pooled-connection.js";
import type { SlotAllocator } from "./slot-allocator.js";
import type { PoolRelay, Task } from "./task.js";
import { mayDial, opensLoginFirst } from "./turns.js";
import type { Workload } from "./workload.js";

export class Dispatcher {
  constructor(
    private readonly clock: Clock,
    private readonly slots: SlotAllocator,
    private readonly pace: Pace,
  ) {}

  /** A message whose envelope may follow at once on this connection, if one waits and nobody else has more right to it. */
  nextRelay(connection: PooledConnection, load: Workload): PoolRelay | undefined {
    const { queue, connections } = load;
    const mayBegin = queue.length > 0 && (this.pace.isOff || this.pace.room > 0);
    const first = mayBegin ? queue.next(this.clock.now()) : undefined;
    const task = first?.binding === connection.binding ? first : this.nextBound(connection, load, mayBegin);
    if (task?.kind === "relay" && connection.canJoin(task.client) && !this.slots.mustYield(connection)) {
      queue.take(task);
      this.pace.begin(task);
      task.start(connection.number);
      return task;
    }
    // There is room behind the terminator for whoever comes next.
    if (connection.state === "full") {
      connections.move(connection, "busy");
    }
    return undefined;
  }

  /** Whoever goes first is for another connection: who comes first of those for this one, unless it is time to give it up. */
  private nextBound(connection: PooledConnection, load: Workload, mayBegin: boolean): Task | undefined {
    const isItsTurn = mayBegin && load.bindsClients && !this.slots.mustYieldToClient(connection, load);
    return isItsTurn ? load.queue.nextOf(connection.binding, false, this.clock.now()) : undefined;
  }

  /** Hands out what waits, as far as connections have room and the rate allows. */
  serve(login: Workload, service: Workload): void {
    const nowMs = this.clock.now();
    if (!this.pace.isOff) {
      this.serveInPace(login, service, nowMs);
      return;
    }
    for (const load of [login, service]) {
      while (this.serveOne(load, nowMs)) {}
    }
  }

  /** One by one, whoever has more right to go: with the rate, logins could leave nothing to the others. */
  private serveInPace(login: Workload, service: Workload, nowMs: number): void {
    while (login.queue.length + service.queue.length > 0) {
      if (this.pace.room <= 0) {
        this.pace.holdBack();
        return;
      }
      const isLoginFirst = login.queue.length > 0 && opensLoginFirst(login, service, nowMs);
      const [first, second] = isLoginFirst ? [login, service] : [service, login];
      if (this.serveOne(first, nowMs)) {
        continue;
      }
      // Whoever goes first and waits for a connection finds the rate used up by the other purpose otherwise, for ever.
      const isReserved = this.pace.room === 1 && this.isConnectionComing(first, second);
      if (isReserved || !this.serveOne(second, nowMs)) {
        return;
      }
    }
  }

  private isConnectionComing(load: Workload, rival: Workload): boolean {
    if (load.queue.length === 0 || load.refusal !== undefined || !mayDial(load.circuitState)) {
      return false;
    }
    const { slots } = this;
    return load.opening > 0 || slots.hasRoom || slots.closing > 0 || rival.connections.count("idle") > 0;
  }

  private serveOne(load: Workload, nowMs: number): boolean {
    const { queue, connections } = load;
    if (queue.length === 0) {
      return false;
    }
    const retry = queue.nextRetry(nowMs);
    const fresh = retry === undefined ? undefined : connections.freshIdle(retry);
    if (retry !== undefined && fresh !== undefined) {
      this.hand(retry, fresh, load);
      return true;
    }
    const task = queue.next(nowMs);
    const connection = task === undefined ? undefined : this.connectionFor(task, load);
    if (task !== undefined && connection !== undefined) {
      this.hand(task, connection, load);
      return true;
    }
    return load.bindsClients && this.serveClient(load, nowMs);
  }

  /** Who is next may wait for a connection of its client's own: it does not keep those of other clients from theirs. */
  private serveClient(load: Workload, nowMs: number): boolean {
    for (const idle of load.connections.idleOnes()) {
      const task = load.queue.nextOf(idle.binding, idle.past === "fresh", nowMs);
      if (task !== undefined && !this.slots.mustYieldToClient(idle, load) && idle.hasRoomFor(task)) {
        this.hand(task, idle, load);
        return true;
      }
    }
    return false;
  }

  private hand(task: Task, connection: PooledConnection, load: Workload): void {
    load.queue.take(task);
    const { connections } = load;
    if (connection.state === "idle") {
      connections.move(connection, "busy");
    }
    if (task.kind === "auth") {
      connection.login = task;
      load.loginBegan(task);
    }
    this.pace.begin(task);
    task.start(connection.number);
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
    const { kind } = task;
    for (let idle = connections.newestIdle(task); idle !== undefined; idle = connections.newestIdle(task)) {
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
