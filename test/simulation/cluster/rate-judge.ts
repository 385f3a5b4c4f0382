/** What the host saw of a shared rate, in a simulated cluster: never more in any time than the rate and the bursts allow. Serves cluster-run.ts. */
import type { RateSettings } from "../../../src/config/settings.js";
import { RATE_PARTS } from "../../../src/messages/places.js";

export class RateJudge {
  /** Parts beyond the whole that the bound allows, while gateways are cut off. */
  private extra = 0;
  /** The most of them since the bucket was empty: they have bursts of their own. */
  private mostExtra = 0;
  /**
   * Requests less what the rate allowed since: with no more of them than `B + g`, no time of `t` seconds has seen more than
   * `R × t + B + g`.
   */
  private level = 0;
  private lastMs = 0;
  /** Gateways that began anything since the bucket was empty. */
  private readonly seen = new Set<string>();
  /** How close it came to what is allowed. */
  most = 0;

  constructor(private readonly rate: RateSettings) {}

  /** The bound from now on. */
  allow(extra: number, nowMs: number): void {
    this.drain(nowMs);
    this.extra = extra;
    this.mostExtra = Math.max(this.mostExtra, extra);
  }

  /** A request came. @returns what is wrong with that */
  came(gateway: string, nowMs: number): string | undefined {
    this.drain(nowMs);
    this.seen.add(gateway);
    this.level++;
    const { level, rate, seen, mostExtra } = this;
    const allowed = rate.burst * (1 + mostExtra / RATE_PARTS) + seen.size;
    this.most = Math.max(this.most, level / allowed);
    if (level <= allowed + 1e-6) {
      return undefined;
    }
    return `${level.toFixed(2)} requests beyond the rate, with a burst of ${rate.burst}, ${seen.size} gateways and ${mostExtra} parts more`;
  }

  private drain(nowMs: number): void {
    const { rate, extra } = this;
    this.level -= ((nowMs - this.lastMs) / rate.intervalMs) * (1 + extra / RATE_PARTS);
    this.lastMs = nowMs;
    if (this.level <= 0) {
      this.level = 0;
      this.mostExtra = extra;
      this.seen.clear();
    }
  }
}
