/**
 * A run of refusals that are about the gateway and not about the address (5.7.x, 554, 521). After `limits.refusals` of them the host
 * counts as blocking the gateway: what it says of recipients then is no verdict on them. Serves actor.ts.
 */
import type { HostLog } from "../../src/messages/host-log.js";

export class PolicyRefusals {
  /** On recipients of their own: one that is asked about again and again is one refusal. */
  private readonly keys = new Set<string>();

  constructor(private readonly log: HostLog) {}

  /**
   * One more of them.
   *
   * @param most `limits.refusals`
   * @returns whether the host counted as blocking the gateway before
   */
  count(key: string, most: number): boolean {
    if (this.keys.size >= most) {
      return true;
    }
    this.keys.add(key);
    if (this.keys.size >= most) {
      const message = "The host refuses one recipient after the other for reasons that speak of us.";
      this.log.write("warn", "host-blocked", message);
    }
    return false;
  }

  /** A verdict on an address ends the run; once the host counts as blocking the gateway, only an accepted one does. */
  verdictGiven(isFound: boolean, most: number): void {
    if (this.keys.size > 0 && (isFound || this.keys.size < most)) {
      this.keys.clear();
    }
  }

  clear(): void {
    this.keys.clear();
  }
}
