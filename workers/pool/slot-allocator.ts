/**
 * Who gets the host's connection slots: opens connections while the budget has room, makes room where others have more right to
 * it, and gives back what is held beyond a grant. Works for the pool, by the rules of turns.ts.
 */
import type { Clock } from "../../src/timer-wheel.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { ConnectionBudget } from "./budget.js";
import { LoginDemand } from "./login-demand.js";
import type { PooledConnection } from "./pooled-connection.js";
import { AGED_MS, connectionsWanted, LEAST_TURN_MS, mustYield, opensLoginFirst } from "./turns.js";
import type { Workload } from "./workload.js";

/** See `PoolGrants.shareSlots`. */
export type SlotsWanted = (wanted: number, held: number) => void;

/** What an allocator needs of its pool. */
export interface SlotOwner {
  /** Opens one more connection, which takes a slot. */
  open(purpose: SessionPurpose): void;
  /** Where requests may be served at one of several addresses only: makes room at those that are full. */
  makeRoomAtAddresses(): void;
}

export class SlotAllocator {
  private readonly demand: LoginDemand;
  slotsWanted: SlotsWanted | undefined;
  /** What {@link slotsWanted} was told last. */
  private toldWanted = 0;
  private toldHeld = 0;

  constructor(
    private readonly clock: Clock,
    private readonly budget: ConnectionBudget,
    private readonly login: Workload,
    private readonly service: Workload,
    private readonly owner: SlotOwner,
  ) {
    this.demand = new LoginDemand(clock);
  }

  /** A slot is free now. */
  get hasRoom(): boolean {
    return this.budget.room > 0;
  }

  /** Somebody waits for the slot of a connection that is being closed: a request here, the host as it was or is now, or whoever grants slots. */
  get isRoomWanted(): boolean {
    const { budget } = this;
    return this.due > 0 || budget.isSucceeded || (budget.room <= 0 && this.login.queued + this.service.queued > 0);
  }

  /** Connections whose slots will soon be free. */
  get closing(): number {
    return this.service.connections.count("closing") + this.login.connections.count("closing");
  }

  /** A connection is ready. */
  ready(connection: PooledConnection): void {
    if (connection.purpose === "login") {
      this.demand.opened(connection.ageMs);
    }
  }

  /** A login connection that ends with its work was used up: a password was right, or too many were wrong. */
  leaves(connection: PooledConnection): void {
    if (connection.purpose === "login" && connection.isWorking) {
      this.demand.usedUp();
    }
  }

  /** No slot is free, and others have more right to that of this connection. */
  mustYield(connection: PooledConnection): boolean {
    if (this.budget.room > 0) {
      return false;
    }
    const { closing } = this;
    if (this.due > closing) {
      return true;
    }
    const [own, rival] = connection.purpose === "login" ? [this.login, this.service] : [this.service, this.login];
    return mustYield(connection, own, rival, closing, this.clock.now());
  }

  /** No slot is free, and another client has waited too long for one: that of this connection, which had its turn, is its. */
  mustYieldToClient(connection: PooledConnection, load: Workload): boolean {
    if (this.budget.room > 0 || connection.ageMs < LEAST_TURN_MS) {
      return false;
    }
    const first = load.firstUncovered;
    return first !== undefined && first.binding !== connection.binding && this.clock.now() - first.enqueuedMs > AGED_MS;
  }

  /** Opens what is wanted and may be. `mayPrepare`: connections may be opened ahead of the next logins too. */
  openMore(mayPrepare: boolean): void {
    const { login, service, budget } = this;
    if (login.queue.length + service.queue.length === 0) {
      this.prepare(mayPrepare);
      return;
    }
    login.waitForCircuit();
    service.waitForCircuit();
    let logins = connectionsWanted(login);
    let others = connectionsWanted(service);
    while (logins + others > 0 && budget.room > 0) {
      if (logins > 0 && (others === 0 || opensLoginFirst(login, service, this.clock.now()))) {
        logins--;
        this.owner.open("login");
      } else {
        others--;
        this.owner.open("service");
      }
    }
    if (others > 0) {
      this.makeRoom(service, login, others);
    }
    if (logins > 0) {
      this.makeRoom(login, service, logins);
    }
    this.owner.makeRoomAtAddresses();
    this.prepare(mayPrepare && logins + others === 0);
  }

  private prepare(mayPrepare: boolean): void {
    if (mayPrepare && this.demand.isAny) {
      this.openSpares();
    }
  }

  /** Connections that could be opened now, those aside that get the slot of a closing one. */
  get lacking(): number {
    return Math.max(0, connectionsWanted(this.login) + connectionsWanted(this.service) - this.closing);
  }

  /** Slots that others have a right to: those of idle connections are given back at once, the others when they are free. */
  giveBackDue(): void {
    while (this.due > this.closing) {
      const idle = this.service.connections.oldestIdle() ?? this.login.connections.oldestIdle();
      if (idle === undefined) {
        return;
      }
      idle.quit();
    }
  }

  /** Tells whoever grants slots what is wanted, when that has changed. */
  tellWanted(): void {
    if (this.slotsWanted === undefined) {
      return;
    }
    const { login, service, budget } = this;
    const needed = neededBy(login) + neededBy(service);
    const [wanted, held] = [Math.min(needed, budget.bearable), budget.used];
    if (wanted !== this.toldWanted || held !== this.toldHeld) {
      this.toldWanted = wanted;
      this.toldHeld = held;
      this.slotsWanted(wanted, held);
    }
  }

  /** Fewer slots were granted than are held, or the host as it was before a reload lacks some. */
  private get due(): number {
    return Math.max(this.budget.excess, this.budget.owed);
  }

  /**
   * An idle connection of the other purpose is given up, or one of this when a retry needs a fresh one, or one of the host as it is
   * after a reload; the pool comes again when its slot is free.
   */
  private makeRoom(own: Workload, rival: Workload, wanted: number): void {
    own.connections.hurryClosing();
    rival.connections.hurryClosing();
    if (this.closing >= wanted) {
      return;
    }
    const idle = rival.connections.oldestIdle() ?? own.connections.oldestIdle();
    if (idle === undefined) {
      this.budget.askForRoom();
    } else {
      idle.quit();
    }
  }

  /** Connections ready ahead of the next logins, in slots that nobody needs now, and never more than half of them. */
  private openSpares(): void {
    const { login, demand, budget } = this;
    // Whose login is next is not known, and nobody else may have the connection.
    if (login.circuitState !== "closed" || login.bindsClients) {
      return;
    }
    const most = Math.floor(budget.most / 2);
    let missing = demand.spares + login.queued - login.connections.count("idle") - login.opening;
    for (; missing > 0 && budget.room > 0 && login.held < most; missing--) {
      this.owner.open("login");
    }
  }
}

/** Slots for what is at work and for what waits. */
function neededBy(load: Workload): number {
  return load.connections.working + load.opening + connectionsWanted(load);
}
