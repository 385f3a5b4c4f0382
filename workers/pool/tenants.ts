/**
 * What the settings say of tenants (`[tenant."name"]`): weights, and how often each may begin a request. One for each pool, asked by its
 * fair queues (fair-queue.ts).
 */
import type { TenantSettings } from "../../src/config/settings.js";
import { Timer } from "../../src/timer-wheel.js";
import type { World } from "../world.js";
import { RateLimit } from "./rate-limit.js";

/** By name. */
export type TenantTable = Readonly<Record<string, TenantSettings>>;

export class Tenants {
  /** Of tenants that have a rate; nobody else can make it grow. */
  private readonly rates = new Map<string, RateLimit>();
  private readonly wakeUp: Timer;

  /** @param pump called when somebody who was held back may begin */
  constructor(
    private readonly world: World,
    private readonly table: () => TenantTable | undefined,
    pump: () => void,
  ) {
    this.wakeUp = new Timer(pump);
  }

  weightOf(name: string): number {
    return this.settingsOf(name)?.weight ?? 1;
  }

  mayBegin(name: string): boolean {
    return this.roomOf(name) >= 1;
  }

  /** How many of its requests may begin now. */
  roomOf(name: string): number {
    return this.rateOf(name)?.room(this.now) ?? Number.POSITIVE_INFINITY;
  }

  began(name: string): void {
    this.rateOf(name)?.take(this.now);
  }

  /** All of these wait for their rate: their queue is looked at again when the first may begin, and so are the others of the host then. */
  holdBack(names: Iterable<string>): void {
    const nowMs = this.now;
    let waitMs = Number.POSITIVE_INFINITY;
    for (const name of names) {
      waitMs = Math.min(waitMs, this.rateOf(name)?.waitMs(nowMs) ?? 0);
    }
    // Whoever waits in another queue may have less time to wait.
    if (nowMs + waitMs < this.wakeUp.dueMs) {
      this.world.wheel.set(this.wakeUp, Math.max(1, waitMs));
    }
  }

  /** The settings have changed. */
  forget(): void {
    this.rates.clear();
  }

  stop(): void {
    this.world.wheel.clear(this.wakeUp);
  }

  /** Looked at only for who has a rate: it is asked several times for each request whether it may begin. */
  private get now(): number {
    return this.world.clock.now();
  }

  private rateOf(name: string): RateLimit | undefined {
    const settings = this.settingsOf(name)?.rate;
    if (settings === undefined) {
      return undefined;
    }
    let rate = this.rates.get(name);
    if (rate === undefined) {
      rate = new RateLimit(settings);
      this.rates.set(name, rate);
    }
    return rate;
  }

  private settingsOf(name: string): TenantSettings | undefined {
    const table = this.table();
    return table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
  }
}
