/**
 * Logins take turns, so that one guesser shuts nobody out: wrong passwords hold their connections for seconds, and all come from the
 * gateway's address. Turns go round between clients, then between a client's users, those whose password was right lately first; and
 * no user and no client has more than so many connections at work, whether others wait or not: a connection that a slow wrong
 * password holds is not free when the next user comes.
 *
 * Stands in the request queue of logins (request-queue.ts), which asks for {@link LoginTurns.head}.
 */
import { NO_CLIENT, networkOfClient } from "../../src/messages/client.js";
import type { Clock } from "../../src/timer-wheel.js";
import { ClientIndex, type ClientRank } from "./client-queue.js";
import { Generations } from "./generations.js";
import { Tally } from "./tally.js";
import type { PoolLogin, Task } from "./task.js";
import { NO_BINDING, TaskQueue } from "./task-queue.js";

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

export class LoginTurns implements ClientRank {
  length = 0;
  /** Kept where connections belong to their clients. */
  private index: ClientIndex<PoolLogin> | undefined;
  /** Who waits, by client's network and user; whoever was served goes to the end. */
  private readonly clients = new Map<string, Map<string, UserQueue>>();
  private readonly usersAtWork = new Tally();
  private readonly clientsAtWork = new Tally();
  /** Users whose password was right lately. */
  private readonly right = new Generations<true>(RIGHT_FOR_MS, MOST_REMEMBERED);

  constructor(
    private readonly clock: Clock,
    private readonly shares: () => LoginShares,
  ) {}

  push(task: Task): void {
    const login = task as PoolLogin;
    const network = networkOfClient(login.client);
    const { username } = login.credentials;
    let users = this.clients.get(network);
    if (users === undefined) {
      users = new Map();
      this.clients.set(network, users);
    }
    let queue = users.get(username);
    if (queue === undefined) {
      queue = new UserQueue(username, network, this.left);
      users.set(username, queue);
    }
    queue.push(login);
    this.length++;
    this.index?.add(login);
  }

  /** Whether connections belong to their clients from now on. */
  bindClients(isBound: boolean): void {
    this.index = isBound ? new ClientIndex() : undefined;
    for (const users of this.clients.values()) {
      for (const { head } of users.values()) {
        for (let login = head; login !== undefined; login = login.next as PoolLogin | undefined) {
          login.binding = isBound ? login.client : NO_BINDING;
          this.index?.add(login);
        }
      }
    }
  }

  /** Whose turn it is; undefined where nobody waits who may have one more connection. */
  get head(): PoolLogin | undefined {
    const { perUser, perClient } = this.shares();
    for (const [network, users] of this.clients) {
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
    for (const users of this.clients.values()) {
      for (const queue of users.values()) {
        return queue.shift();
      }
    }
    return undefined;
  }

  /** How many could be begun now, if there were connections. */
  get ready(): number {
    const { perUser, perClient, most } = this.shares();
    let ready = 0;
    for (const [network, users] of this.clients) {
      let room = this.clientRoom(network, perClient);
      for (const { username, length } of users.values()) {
        if (room <= 0 || ready >= most) {
          break;
        }
        const count = Math.max(0, Math.min(length, perUser - this.usersAtWork.of(username), room));
        ready += count;
        room -= count;
      }
      if (ready >= most) {
        return most;
      }
    }
    return ready;
  }

  /** It has a connection: those who wait beside it go before its user's and its client's next one. */
  began(login: PoolLogin): void {
    const network = networkOfClient(login.client);
    const { username } = login.credentials;
    this.usersAtWork.add(username);
    this.clientsAtWork.add(network);
    const users = this.clients.get(network);
    const queue = users?.get(username);
    if (users !== undefined) {
      moveToEnd(this.clients, network, users);
    }
    if (users !== undefined && queue !== undefined) {
      moveToEnd(users, username, queue);
    }
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
    for (const [network, users] of this.clients) {
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

  private readonly left = ({ username, network, length }: UserQueue, login: PoolLogin): void => {
    this.length--;
    this.index?.delete(login);
    const users = this.clients.get(network);
    if (length > 0 || users === undefined) {
      return;
    }
    users.delete(username);
    if (users.size === 0) {
      this.clients.delete(network);
    }
  };
}

/** One user's logins through one client. */
class UserQueue extends TaskQueue<PoolLogin> {
  constructor(
    readonly username: string,
    readonly network: string,
    private readonly left: (queue: UserQueue, login: PoolLogin) => void,
  ) {
    super();
  }

  override remove(task: PoolLogin): boolean {
    const wasHere = super.remove(task);
    if (wasHere) {
      this.left(this, task);
    }
    return wasHere;
  }
}

function moveToEnd<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
}
