/**
 * Opens a pool's connections, and draws the conclusions from those that never stood: fewer connections to a host that refuses one
 * more, no more attempts for now to one that cannot be reached. Works for the pool.
 */
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import { NO_CLIENT } from "../../src/messages/client.js";
import type { TokenGrant } from "../../src/messages/tokens.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { WireTap } from "../wire/wire-tap.js";
import type { World } from "../world.js";
import type { ConnectionBudget } from "./budget.js";
import { Dialer, mayConcernClient } from "./dialer.js";
import type { HangWatch } from "./hang-watch.js";
import type { HostHealth } from "./health.js";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.js";
import { createConnection } from "./protocols.js";
import type { Workload } from "./workload.js";

export interface PoolOwner {
  /** A connection is ready, or failed before it was. */
  dialled(connection: number, durationMs: number, failure: Failure | undefined, tls: string | null): void;
  /** A connection needs an access token, another one than that with the number `refused`. */
  tokenWanted(refused: number): void;
}

/** What an opener needs of its pool. */
export interface OpeningPool extends ConnectionOwner {
  readonly login: Workload;
  readonly service: Workload;
  readonly hang: HangWatch;
  readonly health: HostHealth;
  readonly tap: WireTap;
}

export class Opener {
  opened = 0;
  failures = 0;
  private dialer: Dialer;

  constructor(
    private readonly world: World,
    private settings: HostSettings,
    private readonly pool: OpeningPool,
    private readonly budget: ConnectionBudget,
    private readonly owner: PoolOwner,
  ) {
    this.dialer = this.makeDialer();
  }

  /** How connections tell the host of clients. */
  get lending(): Dialer["lending"] {
    return this.dialer.lending;
  }

  /** Other settings, or an operator's order: what was learnt of the host says nothing of the next. */
  restart(settings: HostSettings): void {
    this.settings = settings;
    this.dialer = this.makeDialer();
  }

  /** For connections that wait for an access token. */
  giveToken(grant: TokenGrant): void {
    this.dialer.tokens?.given(grant);
  }

  private makeDialer(): Dialer {
    const { world, settings, pool, owner } = this;
    return new Dialer(world, settings, pool.log, pool.tap, (refused) => owner.tokenWanted(refused));
  }

  /** One more connection, which takes a slot. */
  open(purpose: SessionPurpose): void {
    this.opened++;
    const { pool, dialer, opened } = this;
    const load = pool[purpose];
    const client = load.bindsClients ? (load.firstUncovered?.client ?? NO_CLIENT) : NO_CLIENT;
    const connection = createConnection(this.settings.protocol, pool, dialer, purpose, opened, client);
    this.budget.take();
    load.connections.add(connection);
    connection.open();
  }

  stands(connection: PooledConnection): void {
    this.owner.dialled(connection.number, connection.ageMs, undefined, connection.sight().tls);
  }

  /** It ended before it stood. */
  failed(connection: PooledConnection, failure: Failure): void {
    const { login, service, hang, health, log } = this.pool;
    const load = this.pool[connection.purpose];
    this.failures++;
    this.owner.dialled(connection.number, connection.ageMs, failure, null);
    const standing = service.connections.standing + login.connections.standing;
    const { code, cause, reply } = failure;
    const fields = { code, connection: connection.number, standing, cause, reply };
    log.write("warn", "connect-failed", failure.message, fields);
    if (connection.boundTo !== NO_CLIENT && mayConcernClient(failure)) {
      // What the host has against one client is no reason to keep the others from it.
      load.queue.failOf(connection.boundTo, failure);
      return;
    }
    if (standing > 0 && failure.code === "HOST_UNAVAILABLE") {
      // The host refuses more of us while it serves others: fewer connections, not no service.
      this.budget.crowded(standing + 1, this.world.clock.now() - connection.ageMs);
      return;
    }
    hang.attemptFailed(load, failure);
    load.circuit.failed();
    health.failed(load, failure);
    if (load.held === 0) {
      load.fail(failure);
    }
  }
}
