/** One tenant's logins that wait, by client and user: whoever was served goes to the end. Serves login-turns.ts. */
import type { PoolLogin } from "./task.js";
import { TaskQueue } from "./task-queue.js";

export class TenantLogins {
  /** Those that have begun in its turn. */
  begun = 0;
  /** By client's network and user; nobody who has nothing waiting is in it. */
  readonly clients = new Map<string, Map<string, UserQueue>>();

  constructor(
    readonly name: string,
    private readonly left: (tenant: TenantLogins, login: PoolLogin) => void,
  ) {}

  push(login: PoolLogin, network: string): void {
    const { username } = login.credentials;
    let users = this.clients.get(network);
    if (users === undefined) {
      users = new Map();
      this.clients.set(network, users);
    }
    let queue = users.get(username);
    if (queue === undefined) {
      queue = new UserQueue(username, network, this);
      users.set(username, queue);
    }
    queue.push(login);
  }

  /** One of them has a connection: those who wait beside it go before its user's and its client's next one. */
  began(network: string, username: string): void {
    const users = this.clients.get(network);
    const queue = users?.get(username);
    if (users !== undefined) {
      moveToEnd(this.clients, network, users);
    }
    if (users !== undefined && queue !== undefined) {
      moveToEnd(users, username, queue);
    }
  }

  /** One has left, served or not. */
  leave({ username, network, length }: UserQueue, login: PoolLogin): void {
    const users = this.clients.get(network);
    if (length === 0 && users !== undefined) {
      users.delete(username);
      if (users.size === 0) {
        this.clients.delete(network);
      }
    }
    this.left(this, login);
  }
}

/** One user's logins through one client. */
export class UserQueue extends TaskQueue<PoolLogin> {
  constructor(
    readonly username: string,
    readonly network: string,
    readonly tenant: TenantLogins,
  ) {
    super();
  }

  override remove(task: PoolLogin): boolean {
    const wasHere = super.remove(task);
    if (wasHere) {
      this.tenant.leave(this, task);
    }
    return wasHere;
  }
}

export function moveToEnd<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
}
