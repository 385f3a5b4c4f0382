/**
 * Opens a pool's connections, and draws the conclusions from those that never stood: fewer connections to a host that refuses one
 * more, no more attempts for now to one that cannot be reached. Works for the pool.
 */
import type { EndpointSettings, HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import { NO_CLIENT } from "../../src/messages/client.js";
import type { DialOutcome } from "../../src/messages/dial-outcome.js";
import type { TokenGrant } from "../../src/messages/tokens.js";
import type { AddressStats } from "../../src/stats.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { WireTap } from "../wire/wire-tap.js";
import type { World } from "../world.js";
import type { ConnectionBudget } from "./budget.js";
import { Dialer, mayConcernClient } from "./dialer.js";
import { type Endpoint, RANK } from "./endpoint.js";
import { Endpoints } from "./endpoints.js";
import type { HangWatch } from "./hang-watch.js";
import type { HostHealth } from "./health.js";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.js";
import { createConnection } from "./protocols.js";
import type { ServiceOwner } from "./service-watch.js";
import { Stickiness, type StickyPool } from "./stickiness.js";
import { NO_BINDING } from "./task-queue.js";
import { concernsOthers } from "./told-health.js";
import { TRIAL_MS, type TrialOwner, Trials } from "./trials.js";
import type { Workload } from "./workload.js";

/** Failures to log in with the gateway's own account. */
const ACCOUNT_FAILURES: ReadonlySet<string> = new Set(["AUTH_FAILED", "MISSING_AUTH"]);

export interface PoolOwner {
  /** A connection is ready, or failed before it was. */
  dialled(outcome: Omit<DialOutcome, "hostId">): void;
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
  /** It takes requests. */
  readonly isOpen: boolean;
}

export class Opener implements ServiceOwner, StickyPool, TrialOwner {
  /** Connections that were begun, and those of them that never stood. */
  opened = 0;
  failures = 0;
  private dialer: Dialer;
  /** Where the host has several addresses, which are dialled in place of `dialer`. */
  private endpoints: Endpoints | undefined;
  /** Where each recipient has one of them. */
  sticky: Stickiness | undefined;
  /** To which of them each connection leads. */
  private readonly places = new Map<PooledConnection, Endpoint>();
  private readonly trials: Trials;

  constructor(
    private readonly world: World,
    private settings: HostSettings,
    private readonly pool: OpeningPool,
    private readonly budget: ConnectionBudget,
    private readonly owner: PoolOwner,
  ) {
    this.trials = new Trials(world.wheel, this);
    this.dialer = this.makeDialer(settings);
    this.findEndpoints();
  }

  /** How connections tell the host of clients. */
  get lending(): Dialer["lending"] {
    return this.dialer.lending;
  }

  /** Other settings, or an operator's order: what was learnt of the host says nothing of the next. */
  restart(settings: HostSettings): void {
    this.settings = settings;
    this.dialer = this.makeDialer(settings);
    this.findEndpoints();
  }

  /** For connections that wait for an access token. */
  giveToken(grant: TokenGrant): void {
    this.dialer.tokens?.given(grant);
    this.endpoints?.giveToken(grant);
  }

  /** What `stats()` says of a host's several addresses. */
  get addresses(): AddressStats[] | undefined {
    return this.endpoints?.stats();
  }

  /** One more connection, which takes a slot. */
  open(purpose: SessionPurpose): void {
    const { endpoints, budget } = this;
    if (endpoints === undefined) {
      this.openAt(undefined, purpose);
      return;
    }
    if (endpoints.mustWait()) {
      return;
    }
    const hasTwo = budget.spare > 1;
    const back = endpoints.mayBeBack((endpoint) => this.isTried(endpoint));
    if (back !== undefined) {
      this.tryAt(back, purpose);
    }
    // Nobody is to wait for what comes of that. But one that is its client's own is for nobody else: there is no second one for a request.
    const isSticky = this.isSticky(purpose);
    if (back === undefined || (hasTwo && (isSticky || !this.pool[purpose].bindsClients))) {
      this.openAt(isSticky ? this.ownOf(this.pool[purpose], endpoints) : endpoints.choose(), purpose);
    }
  }

  private isSticky(purpose: SessionPurpose): boolean {
    return this.sticky !== undefined && purpose === "service";
  }

  /** Where whoever comes first belongs. */
  private ownOf(load: Workload, endpoints: Endpoints): Endpoint | undefined {
    const isRight = (endpoint: Endpoint | undefined): boolean =>
      endpoint !== undefined && endpoint.rank === endpoints.best && endpoint.room > 0;
    const own = endpoints.find(load.firstUncovered?.binding ?? NO_BINDING);
    if (isRight(own)) {
      return own;
    }
    // Time has passed, and another one is to be tried.
    this.sticky?.rebind();
    const other = endpoints.find(load.firstUncovered?.binding ?? NO_BINDING);
    return isRight(other) ? other : endpoints.choose();
  }

  /** One that was down and may be back. */
  private tryAt(endpoint: Endpoint, purpose: SessionPurpose): void {
    this.trials.begin(this.openAt(endpoint, purpose), endpoint);
  }

  isInTheWay({ purpose }: PooledConnection): boolean {
    const isAlone = this.budget.spare <= 0 || this.lending === "own";
    return isAlone && this.pool[purpose].queue.length > 0 && (this.endpoints?.best ?? RANK.down) < RANK.probation;
  }

  giveUp(connection: PooledConnection, endpoint: Endpoint): void {
    const message = `${endpoint.place} said nothing within ${TRIAL_MS / 1000} s; it is left alone again.`;
    const failure: Failure = { code: "CONNECT_TIMEOUT", message };
    this.tellFailed(connection, failure);
    endpoint.failed(failure);
    connection.quit();
  }

  private openAt(endpoint: Endpoint | undefined, purpose: SessionPurpose): PooledConnection {
    this.opened++;
    const { pool, opened } = this;
    const load = pool[purpose];
    const client = this.lending === "own" ? (load.firstUncovered?.client ?? NO_CLIENT) : NO_CLIENT;
    const dialer = endpoint?.dialer ?? this.dialer;
    const connection = createConnection(this.settings.protocol, pool, dialer, purpose, opened, client);
    connection.binding = this.isSticky(purpose) ? (endpoint?.place ?? NO_BINDING) : client;
    if (endpoint !== undefined) {
      endpoint.take();
      this.places.set(connection, endpoint);
    }
    this.budget.take();
    load.connections.add(connection);
    connection.open();
    return connection;
  }

  stands(connection: PooledConnection): void {
    const endpoint = this.places.get(connection);
    if (endpoint?.connected() === true) {
      this.leave(({ tier }) => tier > endpoint.tier);
      this.sticky?.rebind();
    }
    const { number, ageMs: durationMs } = connection;
    this.owner.dialled({ connection: number, durationMs, failure: undefined, tls: connection.sight().tls });
  }

  /** It ended before it stood. */
  failed(connection: PooledConnection, failure: Failure): void {
    const load = this.pool[connection.purpose];
    const standing = this.tellFailed(connection, failure);
    if (connection.boundTo !== NO_CLIENT && mayConcernClient(failure)) {
      // What the host has against one client is no reason to keep the others from it.
      load.circuit.pass();
      load.queue.failOf(connection.boundTo, failure);
      return;
    }
    const endpoint = this.places.get(connection);
    const standingThere = endpoint === undefined ? standing : this.countAt(endpoint, isStanding);
    if (standingThere > 0 && failure.code === "HOST_UNAVAILABLE") {
      // The host refuses more of us while it serves others: fewer connections, not no service.
      (endpoint ?? this.budget).crowded(standingThere + 1, this.world.clock.now() - connection.ageMs);
      return;
    }
    if (!this.isForOthers(connection, failure)) {
      this.attemptFailed(load, failure);
    }
  }

  /** @returns how many connections stand all the same */
  private tellFailed({ number, ageMs: durationMs }: PooledConnection, failure: Failure): number {
    this.owner.dialled({ connection: number, durationMs, failure, tls: null });
    return this.logFailed(number, failure);
  }

  /** @returns how many connections stand all the same */
  private logFailed(connection: number, { code, message, cause, reply }: Failure): number {
    const { login, service, log } = this.pool;
    this.failures++;
    const standing = service.connections.standing + login.connections.standing;
    log.write("warn", "connect-failed", message, { code, connection, standing, cause, reply });
    return standing;
  }

  private attemptFailed(load: Workload, failure: Failure): void {
    const { hang, health } = this.pool;
    hang.attemptFailed(load, failure);
    load.circuit.failed(concernsOthers(failure));
    health.failed(load, failure);
    if (load.held === 0) {
      load.fail(failure);
    }
  }

  /** Its socket is gone. */
  ended(connection: PooledConnection): void {
    this.places.get(connection)?.giveBack();
    this.places.delete(connection);
  }

  /** It ended while it worked, for want of a reply: what else leads there is not used again. */
  timedOut(connection: PooledConnection, failure: Failure): void {
    const endpoint = this.places.get(connection);
    if (endpoint !== undefined) {
      endpoint.failed(failure);
      this.sticky?.rebind();
      this.leave((each) => each === endpoint);
    }
  }

  /** One of several addresses cannot be reached, and the next connection goes to another one. */
  private isForOthers(connection: PooledConnection, failure: Failure): boolean {
    const endpoint = this.places.get(connection);
    // Our own account is wrong at all of them.
    if (endpoint === undefined || this.endpoints === undefined || ACCOUNT_FAILURES.has(failure.code)) {
      return false;
    }
    endpoint.failed(failure);
    this.sticky?.rebind();
    return this.endpoints.best < RANK.down;
  }

  /** Connections to some of the addresses take no more work. */
  private leave(isLeft: (endpoint: Endpoint) => boolean): void {
    for (const [connection, endpoint] of [...this.places]) {
      if (isLeft(endpoint)) {
        connection.retire();
        if (connection.state === "idle") {
          connection.quit();
        }
      }
    }
  }

  // --- where SRV records name the addresses ---------------------------------------------------------------------

  located(endpoints: readonly EndpointSettings[]): void {
    this.endpoints?.locate(endpoints);
    this.sticky?.rebind();
    this.leave((each) => this.endpoints?.has(each) === false);
    this.budget.shareRoom();
  }

  unlocated(failure: Failure): void {
    const { login, service } = this.pool;
    this.endpoints?.locate([]);
    this.leave(() => true);
    this.logFailed(++this.opened, failure);
    for (const load of [login, service]) {
      if (load.queue.length > 0) {
        this.attemptFailed(load, failure);
      }
    }
    this.budget.shareRoom();
  }

  get isInUse(): boolean {
    return this.places.size > 0;
  }

  /** Nothing will be opened any more. */
  stop(): void {
    this.endpoints?.stop();
    this.sticky?.stop();
    this.trials.stop();
  }

  // --- where recipients have addresses of their own ---------------------------------------------------------------

  get candidates(): readonly Endpoint[] {
    return this.endpoints?.candidates ?? [];
  }

  get able(): ReadonlySet<Endpoint> {
    const able = new Set(this.budget.spare > 0 ? this.candidates.filter(({ room }) => room > 0) : []);
    for (const [connection, endpoint] of this.places) {
      if (connection.state === "idle" && connection.purpose === "service") {
        able.add(endpoint);
      }
    }
    return able;
  }

  get isWaitedFor(): boolean {
    return this.pool.service.queue.length > 0;
  }

  rebind(): void {
    this.pool.service.rebind();
  }

  /** One that was down is tried although nobody waits for it: its recipients are served by others meanwhile, and shall come back. */
  serve(): void {
    const back = this.endpoints?.mayBeBack((endpoint) => this.isTried(endpoint));
    if (back !== undefined && this.pool.isOpen && this.budget.spare > 0) {
      this.tryAt(back, "service");
    }
    this.budget.shareRoom();
  }

  /** Login connections that rest give way where they fill the one address that others may be served at. Logins may go to any. */
  makeRoomAtAddresses(): void {
    if (this.sticky === undefined) {
      return;
    }
    const { queue } = this.pool.service;
    for (const [connection, endpoint] of this.places) {
      const isResting = connection.purpose === "login" && connection.state === "idle";
      if (isResting && endpoint.room <= 0 && queue.countOf(endpoint.place) > this.countAt(endpoint, isComing)) {
        connection.quit();
      }
    }
  }

  private isTried(endpoint: Endpoint): boolean {
    return this.countAt(endpoint, ({ state }) => state === "opening") > 0;
  }

  private countAt(endpoint: Endpoint, isCounted: (connection: PooledConnection) => boolean): number {
    let count = 0;
    for (const [connection, place] of this.places) {
      count += place === endpoint && isCounted(connection) ? 1 : 0;
    }
    return count;
  }

  private makeDialer(settings: HostSettings): Dialer {
    const { world, pool, owner } = this;
    return new Dialer(world, settings, pool.log, pool.tap, (refused) => owner.tokenWanted(refused));
  }

  private findEndpoints(): void {
    const { world, settings, pool } = this;
    const former = this.endpoints;
    this.sticky?.stop();
    this.sticky = settings.sticky === undefined ? undefined : new Stickiness(world, this);
    if (settings.endpoints === undefined && settings.service === undefined) {
      former?.stop();
      this.endpoints = undefined;
    } else {
      this.endpoints = new Endpoints(world, settings, pool.log, (at) => this.makeDialer(at), former, this);
    }
    this.budget.endpoints = this.endpoints;
  }
}

/** It will soon serve others than logins, or its slot will. */
function isComing({ state, purpose }: PooledConnection): boolean {
  return state === "closing" || (state === "opening" && purpose === "service");
}

function isStanding({ state }: PooledConnection): boolean {
  return state === "idle" || state === "busy" || state === "full";
}
