/** One of several addresses of a host: dials it, and knows whether another attempt is worth while. Made and chosen by endpoints.ts. */
import type { EndpointSettings, HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { AddressStats, LastFailure } from "../../src/stats.js";
import type { World } from "../world.js";
import { Circuit } from "./circuit.js";
import type { Dialer } from "./dialer.js";
import { settingsAt } from "./endpoint-settings.js";
import { hashOf } from "./place-hash.js";
import { WorkingLimit } from "./working-limit.js";

/** Where there are others, one failed attempt is enough to leave an address alone for a while. */
const FAILURES_TO_OPEN = 1;

/** Best first. Connections are opened to the best that there are; `probation` is one whose time to be left alone is over. */
export const RANK = { probation: 100, down: 101 } as const;
/** One that is up: its tier. Priorities of SRV records are such tiers, and backups the second one. */
export type Rank = number;

const STATES = { closed: "up", "half-open": "recovering", awaiting: "recovering", open: "down" } as const;

/** What outlives a reload: connections that were opened before count too. */
export class EndpointTally {
  held = 0;
  opened = 0;
  failures = 0;
}

/** An address among others: with its port. */
export function placeOf({ address, port }: EndpointSettings): string {
  return `${address} ${port}`;
}

export class Endpoint {
  readonly dialer: Dialer;
  /** It among others, and the same as a number that stays what it is. */
  readonly place: string;
  readonly seed: number;
  /** Where it stands in the round of its rank. */
  turn = 0;
  private readonly circuit: Circuit;
  private readonly limit: WorkingLimit;
  private lastFailure: LastFailure | undefined;
  private isDown = false;

  constructor(
    private readonly world: World,
    private readonly log: HostLog,
    makeDialer: (settings: HostSettings) => Dialer,
    host: HostSettings,
    public settings: EndpointSettings,
    readonly tally: EndpointTally,
  ) {
    this.place = placeOf(settings);
    this.seed = hashOf(this.place);
    this.dialer = makeDialer(settingsAt(host, settings));
    this.circuit = new Circuit(world.clock, world.random, FAILURES_TO_OPEN);
    this.limit = new WorkingLimit(world.clock, host.concurrencyPerAddress ?? host.concurrency);
  }

  get rank(): Rank {
    const { state } = this.circuit;
    if (state === "closed") {
      return this.tier;
    }
    return state === "half-open" ? RANK.probation : RANK.down;
  }

  get tier(): number {
    return this.settings.tier ?? Number(this.settings.backup);
  }

  /** Until it is worth another attempt. */
  get waitMs(): number {
    return this.circuit.waitMs;
  }

  /** Most connections that it bears, and how many more it may have now. */
  get bearable(): number {
    return this.limit.connections;
  }

  get room(): number {
    return Math.max(0, this.limit.connections - this.tally.held);
  }

  /** Its connections for its weight. */
  get load(): number {
    return this.tally.held / this.settings.weight;
  }

  /** A connection to it begins to open. */
  take(): void {
    this.tally.held++;
    this.tally.opened++;
  }

  giveBack(): void {
    this.tally.held--;
  }

  /** See {@link WorkingLimit.crowded}. */
  crowded(standing: number, sinceMs: number): void {
    this.limit.crowded(standing, sinceMs);
  }

  /** A connection to it stands. True: it was down until now. */
  connected(): boolean {
    this.circuit.connected();
    const wasDown = this.isDown;
    this.isDown = false;
    if (wasDown) {
      this.log.write("info", "address-up", `${this.words} is back.`, this.fields);
    }
    return wasDown;
  }

  /** A connection to it could not be made, or got no reply. */
  failed(failure: Failure): void {
    const { code, message, reply } = failure;
    const now = Math.round(this.world.date());
    const former = this.lastFailure?.code === code ? this.lastFailure : undefined;
    const since = former?.since ?? now;
    const said = reply === undefined ? {} : { reply };
    this.lastFailure = { code, message, ...said, at: now, since, count: (former?.count ?? 0) + 1 };
    this.tally.failures++;
    this.circuit.failed();
    if (!this.isDown) {
      this.isDown = true;
      const fields = { ...this.fields, code, reply, retryInMs: Math.round(this.waitMs) };
      this.log.write("warn", "address-down", `${this.words} is left alone for a while: ${message}`, fields);
    }
  }

  stats(): AddressStats {
    const { address, port, backup } = this.settings;
    const { held, opened, failures } = this.tally;
    const state = STATES[this.circuit.state];
    const failure = this.isDown && this.lastFailure !== undefined ? { lastFailure: this.lastFailure } : {};
    return { address, port, backup, state, connections: held, opened, connectFailures: failures, ...failure };
  }

  private get fields(): { address: string; port: number } {
    const { address, port } = this.settings;
    return { address, port };
  }

  private get words(): string {
    const { address, port, socketPath } = this.settings;
    return socketPath === undefined ? `The address ${address}, port ${port},` : `The address ${address}`;
  }
}
