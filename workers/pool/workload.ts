/**
 * All that a pool has for one purpose: the requests that wait, the connections that serve them, and the circuit that says whether
 * more may be opened. Logins and everything else are apart: a wrong `remote.<id>.auth` must not stop users' logins.
 */
import type { Failure } from "../../src/errors.js";
import { Timer } from "../../src/timer-wheel.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { World } from "../world.js";
import type { Binder } from "./bindings.js";
import { Circuit, type CircuitState } from "./circuit.js";
import { ConnectionTable } from "./connection-table.js";
import type { LoginTurns } from "./login-turns.js";
import type { Pace } from "./pace.js";
import { RequestQueue } from "./request-queue.js";
import type { Silence } from "./silence.js";
import type { PoolLogin, Task } from "./task.js";
import { NO_BINDING } from "./task-queue.js";
import type { Tenants } from "./tenants.js";
import type { Claim } from "./turns.js";

export class Workload implements Claim {
  readonly queue: RequestQueue;
  readonly connections: ConnectionTable;
  readonly circuit: Circuit;
  /** Each connection serves some requests only. */
  private binder: Binder | undefined;
  /** No connection may be opened for now, whatever the circuit says. */
  refusal: Failure | undefined;
  /** Nothing may begin for now: no part of a shared rate is to be had. */
  rateRefusal: Failure | undefined;
  /** Fires when an open circuit may be tried. */
  readonly wakeUp: Timer;

  constructor(
    private readonly world: World,
    readonly purpose: SessionPurpose,
    private readonly silence: Silence,
    private readonly pace: Pace,
    pump: () => void,
    tenants: Tenants,
    /** Of the logins, which take turns; undefined for everything else. */
    private readonly turns?: LoginTurns,
  ) {
    this.queue = new RequestQueue(tenants, turns);
    this.connections = new ConnectionTable((login) => turns?.ended(login));
    this.circuit = new Circuit(world.clock, world.random);
    this.wakeUp = new Timer(pump);
  }

  get isLogin(): boolean {
    return this.purpose === "login";
  }

  /** Requests that wait and may have a connection. */
  get queued(): number {
    return this.pace.isOff ? this.waiting : Math.min(this.waiting, this.pace.room);
  }

  private get waiting(): number {
    const { length } = this.queue;
    if (this.turns === undefined || this.turns.length === 0) {
      return length;
    }
    return length - this.turns.length + this.turns.ready;
  }

  get retries(): number {
    return this.queue.retries.length;
  }

  get oldestMs(): number {
    return this.queue.oldestMs;
  }

  /** Connections on their way, as far as they are for somebody who waits: one that is a client's is for nobody else. */
  get opening(): number {
    const { binder, connections } = this;
    return binder === undefined
      ? connections.count("opening")
      : this.queue.countAwaited(binder.covered(connections.openingFor));
  }

  get bindsClients(): boolean {
    return this.binder !== undefined;
  }

  /** It comes into the queue now. */
  bind(task: Task): void {
    task.binding = this.binder?.bindingOf(task) ?? NO_BINDING;
  }

  /** What binds requests has changed. */
  rebind(): void {
    if (this.binder !== undefined) {
      this.queue.rebind(this.binder);
    }
  }

  /** Who is to have the next connection that is opened, where it will be its client's own. */
  get firstUncovered(): Task | undefined {
    const { openingFor } = this.connections;
    return this.queue.firstUncovered(this.binder?.covered(openingFor) ?? openingFor, this.world.clock.now());
  }

  get held(): number {
    return this.connections.held;
  }

  get circuitState(): CircuitState {
    return this.silence.isHung ? "open" : this.circuit.state;
  }

  /**
   * Requests are refused at once: the host says nothing to anybody; or no connection stands and none may be opened, since the host
   * could not be reached lately or for a refusal.
   */
  get isRefusing(): boolean {
    const mayOpen = this.refusal === undefined && this.circuit.state !== "open";
    return this.silence.isHung || this.rateRefusal !== undefined || (!mayOpen && this.connections.standing === 0);
  }

  /** Until it is tried again. */
  get retryInMs(): number {
    return this.silence.isHung ? this.silence.waitMs : this.circuit.waitMs;
  }

  loginBegan(login: PoolLogin): void {
    this.turns?.began(login);
  }

  /**
   * What is known of the former host says nothing of the next.
   *
   * @param binder whose connections to that one are, where they do not serve everybody
   */
  startAnew(binder: Binder | undefined): void {
    this.binder = binder;
    this.queue.bindClients(binder);
    this.circuit.restart();
  }

  /** Settles everyone who waits. */
  fail(failure: Failure): void {
    for (let task = this.queue.shift(); task !== undefined; task = this.queue.shift()) {
      task.drop(failure);
    }
  }

  /** Nothing may be opened now: those who wait are told, or served by what stands, and the circuit is tried in time. */
  waitForCircuit(): void {
    const { circuitState } = this;
    if (this.queue.length === 0) {
      return;
    }
    if (circuitState === "awaiting") {
      this.circuit.wish();
    }
    const isOpen = circuitState === "open";
    if (!isOpen && this.refusal === undefined) {
      return;
    }
    if (this.silence.isHung || this.held === 0) {
      this.fail(this.unavailable);
    } else if (isOpen) {
      this.world.wheel.set(this.wakeUp, this.circuit.waitMs);
    }
  }

  /** What is told while no connection may be opened. */
  get unavailable(): Failure {
    const refusal = this.refusal ?? this.rateRefusal;
    if (refusal !== undefined && !this.silence.isHung) {
      return refusal;
    }
    const seconds = Math.ceil(this.retryInMs / 1000);
    const whose = this.circuit.isTold
      ? "could not be reached by another gateway lately"
      : "could not be reached lately";
    const why = this.silence.isHung ? "takes connections and says nothing" : whose;
    return {
      code: "HOST_UNAVAILABLE",
      message: `The host ${why}; it is tried again in ${seconds} s. Nothing was sent.`,
    };
  }
}
