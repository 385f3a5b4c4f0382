/**
 * Logins take turns, so that one guesser shuts nobody out: wrong passwords hold their connections for seconds, and all come from the
 * gateway's address. Turns go round between tenants, as often as their weights say, then between a tenant's clients, then between a
 * client's users, those whose password was right lately first; and no user and no client has more than so many connections at work,
 * whether others wait or not: a connection that a slow wrong password holds is not free when the next user comes.
 *
 * Stands in the request queue of logins (request-queue.ts), which asks for {@link LoginTurns.head}.
 */
import { NO_CLIENT, networkOfClient } from "../../src/messages/client.js";
import { tenantOf } from "../../src/messages/tenant.js";
import type { Clock } from "../../src/timer-wheel.js";
import { ClientIndex, type ClientRank } from "./client-queue.js";
import { Generations } from "./generations.js";
import { Tally } from "./tally.js";
import type { PoolLogin, Task } from "./task.js";
import { NO_BINDING } from "./task-queue.js";
import { moveToEnd, TenantLogins, UserQueue } from "./tenant-logins.js";
import type { Tenants } from "./tenants.js";

/** How many connections may be at work at once. */
export interface LoginShares {
  readonly perUser: number;
  readonly perClient: number;
  /** All together. */
  readonly most: number;
}

/** A right password is remembered for so long at least, and of so many users. */
const RIGHT_FOR_MS = 10 * 60_000;
const MOST_REMEMBERED = 10_000;
/** The tenant of logins that name none. */
const NOBODY = "";

export class LoginTurns implements ClientRank {
  length = 0;
  /** Kept where connections belong to their clients. */
  private index: ClientIndex<PoolLogin> | undefined;
  /** Who waits, by tenant; whoever has had a turn goes to the end. Where connections belong to their clients, all are one tenant's. */
  private readonly waiting = new Map<string, TenantLogins>();
  private readonly usersAtWork = new Tally();
  private readonly clientsAtWork = new Tally();
  /** Users whose password was right lately. */
  private readonly right = new Generations<true>(RIGHT_FOR_MS, MOST_REMEMBERED);

  constructor(
    private readonly clock: Clock,
    private readonly shares: () => LoginShares,
    private readonly tenants: Tenants,
  ) {}

  push(task: Task): void {
    const login = task as PoolLogin;
    const name = this.tenantOf(login);
    let tenant = this.waiting.get(name);
    if (tenant === undefined) {
      tenant = new TenantLogins(name, this.left);
      this.waiting.set(name, tenant);
    }
    tenant.push(login, networkOfClient(login.client));
    this.length++;
    this.index?.add(login);
  }

  /** Whether connections belong to their clients from now on. */
  bindClients(isBound: boolean): void {
    const logins: PoolLogin[] = [];
    for (let login = this.shift(); login !== undefined; login = this.shift()) {
      logins.push(login);
    }
    this.index = isBound ? new ClientIndex() : undefined;
    for (const login of logins) {
      login.binding = isBound ? login.client : NO_BINDING;
      this.push(login);
    }
  }

  /** Whose turn it is; undefined where nobody waits who may have one more connection. */
  get head(): PoolLogin | undefined {
    const shares = this.shares();
    let heldBack: string[] | undefined;
    for (const tenant of this.waiting.values()) {
      if (this.tenants.mayBegin(tenant.name)) {
        const login = this.headOf(tenant, shares);
        if (login !== undefined) {
          return login;
        }
      } else {
        heldBack ??= [];
        heldBack.push(tenant.name);
      }
    }
    if (heldBack !== undefined) {
      this.tenants.holdBack(heldBack);
    }
    return undefined;
  }

  private headOf({ clients }: TenantLogins, { perUser, perClient }: LoginShares): PoolLogin | undefined {
    for (const [network, users] of clients) {
      if (this.clientRoom(network, perClient) <= 0) {
        continue;
      }
      const queue = this.turnOf(users, perUser);
      if (queue !== undefined) {
        return queue.head;
      }
    }
    return undefined;
  }

  /** Takes anyone out. */
  shift(): PoolLogin | undefined {
    for (const [, users] of this.ofClients()) {
      for (const queue of users.values()) {
        return queue.shift();
      }
    }
    return undefined;
  }

  /** One that waits here goes to a connection now: its tenant has had one more of its turn. */
  take(task: Task): void {
    if (!(task.queue instanceof UserQueue) || this.index !== undefined) {
      return;
    }
    const { tenant } = task.queue;
    this.tenants.began(tenant.name);
    tenant.begun++;
    if (tenant.begun >= this.tenants.weightOf(tenant.name)) {
      tenant.begun = 0;
      moveToEnd(this.waiting, tenant.name, tenant);
    }
  }

  /** Every client's users, by its network. */
  private *ofClients(): Generator<[network: string, users: Map<string, UserQueue>]> {
    for (const { clients } of this.waiting.values()) {
      yield* clients;
    }
  }

  /** How many could be begun now, if there were connections. */
  get ready(): number {
    const shares = this.shares();
    let ready = 0;
    for (const { name, clients } of this.waiting.values()) {
      const most = Math.min(shares.most - ready, this.tenants.roomOf(name));
      ready += most <= 0 ? 0 : this.readyOf(clients, shares, most);
      if (ready >= shares.most) {
        break;
      }
    }
    return ready;
  }

  /** How many of one tenant's. */
  private readyOf(clients: TenantLogins["clients"], { perUser, perClient }: LoginShares, most: number): number {
    let ready = 0;
    for (const [network, users] of clients) {
      let room = Math.min(this.clientRoom(network, perClient), most - ready);
      for (const { username, length } of users.values()) {
        if (room <= 0) {
          break;
        }
        const count = Math.max(0, Math.min(length, perUser - this.usersAtWork.of(username), room));
        ready += count;
        room -= count;
      }
      if (ready >= most) {
        break;
      }
    }
    return ready;
  }

  /** It has a connection: those who wait beside it go before its user's and its client's next one, and it counts for both. */
  began(login: PoolLogin): void {
    const network = networkOfClient(login.client);
    const { username } = login.credentials;
    this.usersAtWork.add(username);
    this.clientsAtWork.add(network);
    this.waiting.get(this.tenantOf(login))?.began(network, username);
  }

  /** Its connection is free again, or closes. */
  ended(login: PoolLogin): void {
    this.usersAtWork.remove(login.credentials.username);
    this.clientsAtWork.remove(networkOfClient(login.client));
  }

  /** The host said that a user's password is right. */
  wasRight(username: string): void {
    this.right.set(username, true, this.clock.now());
  }

  firstOf(client: string): PoolLogin | undefined {
    const { perUser, perClient } = this.shares();
    if (this.clientRoom(networkOfClient(client), perClient) <= 0) {
      return undefined;
    }
    for (const login of this.index?.of(client) ?? []) {
      if (this.usersAtWork.of(login.credentials.username) < perUser) {
        return login;
      }
    }
    return undefined;
  }

  countOf(client: string): number {
    return this.index?.countOf(client) ?? 0;
  }

  allOf(client: string): PoolLogin[] {
    return [...(this.index?.of(client) ?? [])];
  }

  /** Of the network for which the fewest are on their way; the turns decide between equals. */
  firstUncovered(opening: Tally): PoolLogin | undefined {
    const { perUser, perClient } = this.shares();
    let first: PoolLogin | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const [network, users] of this.ofClients()) {
      const room = this.clientRoom(network, perClient);
      const [login, covered] = room <= 0 ? [] : this.uncoveredOf(users, opening, perUser);
      if (login !== undefined && covered! < Math.min(room, fewest)) {
        [first, fewest] = [login, covered!];
      }
      if (fewest === 0) {
        break;
      }
    }
    return first;
  }

  /** Who of a network goes first of those for whom no connection is on its way, and for how many one is. */
  private uncoveredOf(
    users: ReadonlyMap<string, UserQueue>,
    opening: Tally,
    perUser: number,
  ): [PoolLogin | undefined, number] {
    let first: PoolLogin | undefined;
    let covered = 0;
    const nowMs = this.clock.now();
    for (const queue of users.values()) {
      let room = perUser - this.usersAtWork.of(queue.username);
      let login = room <= 0 ? undefined : queue.head;
      for (
        ;
        login !== undefined && room > 0 && opening.remove(login.binding);
        login = login.next as PoolLogin | undefined
      ) {
        covered++;
        room--;
      }
      if (login === undefined || room <= 0) {
        continue;
      }
      if (this.right.get(queue.username, nowMs) === true) {
        return [login, covered];
      }
      first ??= login;
    }
    return [first, covered];
  }

  private turnOf(users: ReadonlyMap<string, UserQueue>, perUser: number): UserQueue | undefined {
    let first: UserQueue | undefined;
    const nowMs = this.clock.now();
    for (const queue of users.values()) {
      if (this.usersAtWork.of(queue.username) >= perUser) {
        continue;
      }
      if (this.right.get(queue.username, nowMs) === true) {
        return queue;
      }
      first ??= queue;
    }
    return first;
  }

  /** Clients that are not known are many, and only their users can be told apart. */
  private clientRoom(network: string, perClient: number): number {
    return network === NO_CLIENT ? Number.POSITIVE_INFINITY : perClient - this.clientsAtWork.of(network);
  }

  private tenantOf(login: PoolLogin): string {
    return this.index === undefined ? tenantOf(login.tag) : NOBODY;
  }

  private readonly left = (tenant: TenantLogins, login: PoolLogin): void => {
    this.length--;
    this.index?.delete(login);
    if (tenant.clients.size === 0) {
      this.waiting.delete(tenant.name);
    }
  };
}
