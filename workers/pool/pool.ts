/**
 * One host's connections and the queues before them. Receives tasks from the actor, hands them to connections as these have room,
 * and never has more connections than its budget allows (budget.ts), those that open or close included.
 *
 * Order: AUTH on connections of its own; RCPT, VRFY and EXPN before refreshes before relays; but whoever has waited
 * longer than a second goes first, so nobody starves (turns.ts, request-queue.ts).
 */
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { ConnectionSight } from "../../src/messages/operating.js";
import { isLoginOnly } from "../../src/messages/protocols.js";
import type { TokenGrant } from "../../src/messages/tokens.js";
import type { RateStats } from "../../src/stats.js";
import type { WireTap } from "../wire/wire-tap.js";
import type { World } from "../world.js";
import { BY_CLIENT } from "./bindings.js";
import { ConnectionBudget } from "./budget.js";
import type { CircuitState } from "./circuit.js";
import { Dispatcher } from "./dispatcher.js";
import { PoolGrants } from "./grants.js";
import { HangWatch, type WatchedPool } from "./hang-watch.js";
import { HostHealth } from "./health.js";
import { type LoginShares, LoginTurns } from "./login-turns.js";
import { Opener, type PoolOwner } from "./opener.js";
import { Pace } from "./pace.js";
import { PoolLife } from "./pool-life.js";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.js";
import { withdraw } from "./request-queue.js";
import { Silence } from "./silence.js";
import { SlotAllocator } from "./slot-allocator.js";
import type { PoolRelay, Task, TaskKind } from "./task.js";
import { Tenants } from "./tenants.js";
import { ToldHealth } from "./told-health.js";
import { Workload } from "./workload.js";

export class Pool implements ConnectionOwner, WatchedPool {
  private readonly budget: ConnectionBudget;
  readonly service: Workload;
  readonly login: Workload;
  readonly health: HostHealth;
  private readonly silence: Silence;
  private readonly turns: LoginTurns;
  private readonly tenants: Tenants;
  readonly hang: HangWatch;
  private readonly pace: Pace;
  private readonly dispatcher: Dispatcher;
  private readonly slots: SlotAllocator;
  readonly opener: Opener;
  /** What is shared with others, and granted by whoever does the sharing. */
  readonly grants: PoolGrants;
  /** What gateways tell each other of the host. */
  readonly told: ToldHealth;
  /** Where all connections look whether an operator listens. */
  readonly tap: WireTap = { listener: undefined };
  private readonly life: PoolLife;

  /** @param predecessor see {@link ConnectionBudget} */
  constructor(
    world: World,
    private settings: HostSettings,
    readonly hostname: string | undefined,
    owner: PoolOwner,
    readonly log: HostLog,
    predecessor: Pool | undefined,
  ) {
    this.budget = new ConnectionBudget(
      world.clock,
      settings.concurrency,
      predecessor?.budget,
      () => this.roomMade(),
      () => this.slots.lacking,
    );
    this.silence = new Silence(world.clock, () => this.settings);
    this.pace = new Pace(world.clock, () => this.pump(), predecessor?.pace);
    this.pace.follow(settings.limits.rate);
    this.tenants = new Tenants(
      world,
      () => this.settings.tenants,
      () => this.pump(),
    );
    this.service = new Workload(world, "service", this.silence, this.pace, () => this.pump(), this.tenants);
    this.turns = new LoginTurns(world.clock, () => this.loginShares, this.tenants);
    this.login = new Workload(world, "login", this.silence, this.pace, () => this.pump(), this.tenants, this.turns);
    this.health = new HostHealth(world, log, this.silence);
    this.hang = new HangWatch(world, this.silence, this);
    this.opener = new Opener(world, settings, this, this.budget, owner);
    this.slots = new SlotAllocator(world.clock, this.budget, this.login, this.service, {
      open: (purpose) => this.opener.open(purpose),
      makeRoomAtAddresses: () => this.opener.makeRoomAtAddresses(),
    });
    this.dispatcher = new Dispatcher(world.clock, this.slots, this.pace);
    this.grants = new PoolGrants(this.budget, this.slots, this.pace, [this.login, this.service], () => this.pump());
    this.life = new PoolLife(world.wheel, this.budget, this.hang, this.pace, this.login, this.service, () => {
      this.opener.stop();
      this.tenants.stop();
    });
    this.told = new ToldHealth(world.clock, this, this.budget, () => this.pump());
    this.bindClients();
  }

  get queued(): number {
    return this.login.queue.length + this.service.queue.length;
  }

  /** Connections by what they do now. */
  get connections(): { opening: number; idle: number; busy: number; closing: number } {
    const [login, service] = [this.login.connections, this.service.connections];
    return {
      opening: login.count("opening") + service.count("opening"),
      idle: login.count("idle") + service.count("idle"),
      busy: login.working + service.working,
      closing: this.slots.closing,
    };
  }

  /** Most requests of this host are refused at once. */
  get isRefusing(): boolean {
    return this.main.isRefusing;
  }

  get circuitState(): Exclude<CircuitState, "awaiting"> {
    const { circuitState } = this.main;
    return circuitState === "awaiting" ? "half-open" : circuitState;
  }

  /** What `stats()` says of the rate; `undefined` where none is set. */
  get rate(): RateStats | undefined {
    return this.pace.stats(this.queued);
  }

  /** What `stats()` says of the host's health. */
  get condition(): ReturnType<HostHealth["condition"]> {
    return this.health.condition(this.main, Math.min(this.login.oldestMs, this.service.oldestMs));
  }

  /** What most requests need: an IMAP host has users' logins and nothing else. */
  get main(): Workload {
    return isLoginOnly(this.settings.protocol) ? this.login : this.service;
  }

  submit(task: Task): void {
    if (!this.life.isOver) {
      this.health.asked(this.loadOf(task).isRefusing);
    }
    if (this.admits(task)) {
      this.loadOf(task).queue.push(task);
      // One that goes on was on a connection, which is about to say that it progressed or ended: only then is it seen who has room.
      if (task.kind !== "relay" || !task.isContinued) {
        this.pump();
      }
    }
  }

  /** For its one retry: before all others, on a connection that never served. */
  resubmit(task: Task): void {
    if (this.admits(task)) {
      this.loadOf(task).queue.retries.push(task);
      this.pump();
    }
  }

  /** Whether a task may wait; one that may not has been told so. */
  private admits(task: Task): boolean {
    const load = this.loadOf(task);
    if (!this.life.isOver && !load.isRefusing) {
      load.bind(task);
      return true;
    }
    // The words are made for who is refused only.
    task.drop(this.life.isOver ? this.life.endedWith : load.unavailable);
    return false;
  }

  /**
   * A question that somebody with more right to the answer waits for now, too: it goes where that one's would. One that waits for its
   * retry goes first already, and must go to a fresh connection.
   */
  promote(task: Task, tag: string): void {
    if (!this.loadOf(task).queue.isRetry(task) && withdraw(task)) {
      task.tag = tag;
      this.submit(task);
    }
  }

  /** Takes a task that nobody waits for out of its queue; false: it is at work already. */
  withdraw(task: Task): boolean {
    return withdraw(task);
  }

  /** A task was on a connection for so long. */
  worked(kind: TaskKind, ms: number): void {
    this.silence.took(kind, ms);
    this.health.took(kind, ms);
  }

  /** The host said that a user's password is right: that user goes before others of the same client for a while. */
  passwordWasRight(username: string): void {
    this.turns.wasRight(username);
  }

  /** The deadline of all who wait for a task has passed. */
  gaveUp(task: Task): void {
    // Nobody answers while nothing is sent.
    if (!this.isPaused && !this.pace.holdsBack(task)) {
      this.hang.gaveUp(task);
    }
  }

  /** Settings for connections opened from now on; the others finish what they have and close. */
  reconfigure(settings: HostSettings): void {
    this.settings = settings;
    this.tenants.forget();
    this.pace.follow(settings.limits.rate);
    this.startAnew();
    this.pump();
  }

  /** Forgets what was learnt of the host, and dials it anew. */
  reconnect(): void {
    this.startAnew();
    this.pump();
  }

  /** From now on requests wait; connections finish what they have and QUIT. */
  pause(): void {
    this.life.pause();
  }

  resume(): void {
    if (this.life.resume()) {
      this.pump();
    }
  }

  get isPaused(): boolean {
    return this.life.state === "paused";
  }

  /** All connections, for an operator. */
  sights(): ConnectionSight[] {
    return this.life.connections.map((connection) => connection.sight());
  }

  /** An access token for connections that wait for one, or why there is none. */
  giveToken(grant: TokenGrant): void {
    this.opener.giveToken(grant);
  }

  private startAnew(): void {
    this.opener.restart(this.settings);
    this.budget.restart(this.settings.concurrency);
    this.bindClients();
    this.hang.stop();
    this.health.forget();
    this.life.retireAll();
  }

  /** Serves what it has, for at most `drainMs`, then settles the rest with `failure`. Resolves when no connection is left. */
  close(drainMs: number, failure: Failure): Promise<void> {
    return this.life.close(drainMs, failure);
  }

  // --- what connections tell -----------------------------------------------------------------------------------

  ready(connection: PooledConnection): void {
    const load = this[connection.purpose];
    load.circuit.connected();
    this.hang.heard();
    this.health.reached(connection.purpose);
    this.health.took("connect", connection.ageMs);
    this.slots.ready(connection);
    load.connections.move(connection, "busy");
    this.opener.stands(connection);
    this.progressed(connection);
    if (connection.state === "idle") {
      connection.waitForWork();
    }
  }

  progressed(connection: PooledConnection): void {
    connection.heard();
    this.hang.heard();
    if (connection.isWorking && connection.isFree) {
      this.dispatcher.release(connection, this[connection.purpose]);
    } else if (connection.state === "full" && connection.hasRoom) {
      this[connection.purpose].connections.move(connection, "busy");
    }
    if (this.queued > 0) {
      this.pump();
    }
    this.settleDown();
  }

  closing(connection: PooledConnection): void {
    this.slots.leaves(connection);
    this[connection.purpose].connections.move(connection, "closing");
  }

  ended(connection: PooledConnection, failure: Failure): void {
    const { isWorking } = connection;
    const wasOpening = connection.state === "opening";
    this.slots.leaves(connection);
    this[connection.purpose].connections.move(connection, "closed");
    this.budget.giveBack();
    if (wasOpening) {
      this.opener.failed(connection, failure);
    } else if (isWorking && failure.code === "COMMAND_TIMEOUT") {
      this.opener.timedOut(connection, failure);
      this.hang.timedOut(connection, failure);
    }
    this.opener.ended(connection);
    this.budget.shareRoom();
    this.told.leaveTurns();
  }

  nextRelay(connection: PooledConnection): PoolRelay | undefined {
    return this.isPaused ? undefined : this.dispatcher.nextRelay(connection, this.service);
  }

  get isRoomWanted(): boolean {
    return this.slots.isRoomWanted;
  }

  private roomMade(): void {
    this.slots.giveBackDue();
    this.pump();
    this.settleDown();
  }

  private settleDown(): void {
    this.life.settleDown();
    this.slots.tellWanted();
  }

  /** The one place that decides who is served next, and by which connection. */
  private pump(): void {
    if (!this.isPaused) {
      if (this.budget.isGrantOver) {
        // Nothing is handed to connections that rest until the end is noticed.
        this.slots.giveBackDue();
      }
      this.dispatcher.serve(this.login, this.service);
      this.slots.openMore(this.isOpen);
    }
    this.slots.tellWanted();
  }

  // --- opening -------------------------------------------------------------------------------------------------

  get isOpen(): boolean {
    return this.life.state === "open";
  }

  get hasRoom(): boolean {
    return this.slots.hasRoom;
  }

  open(load: Workload): void {
    this.opener.open(load.purpose);
  }

  private bindClients(): void {
    const { lending, sticky } = this.opener;
    this.login.startAnew(lending === "own" ? BY_CLIENT : undefined);
    this.service.startAnew(lending === "own" ? BY_CLIENT : sticky);
  }

  /** At most half of the connections for one user and for one client, where the settings say nothing else. */
  private get loginShares(): LoginShares {
    const { most } = this.budget;
    const { perUser, perClient } = this.settings.limits;
    const half = Math.max(1, Math.floor(most / 2));
    return { perUser: Math.min(perUser ?? half, half), perClient: Math.min(perClient ?? half, half), most };
  }

  private loadOf(task: Task): Workload {
    return task.kind === "auth" ? this.login : this.service;
  }
}
