/**
 * A run of refusals that are about the gateway and not about the address (5.7.x, 554, 521). After `limits.refusals` of them the host
 * counts as blocking the gateway: what it says of recipients then is no verdict on them. Where gateways tell each other, one refusal is
 * enough for a while once another one is blocked; a recipient that is accepted here ends that here. Serves lookups.ts.
 */
import type { HostLog } from "../../src/messages/host-log.js";
import type { Clock } from "../../src/timer-wheel.js";

/** Others are told again that often while it lasts. */
const TELL_EVERY_MS = 20_000;

export class PolicyRefusals {
  /** Tells other gateways that the host blocks this one, and that it does not any more. */
  tell: ((isOver: boolean) => void) | undefined;
  /** On recipients of their own: one that is asked about again and again is one refusal. */
  private readonly keys = new Set<string>();
  private tellAgainMs = Number.NEGATIVE_INFINITY;
  /** Another gateway counts as blocked until then. */
  private toldUntilMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly log: HostLog,
  ) {}

  /**
   * One more of them.
   *
   * @param most `limits.refusals`
   * @returns whether the host counted as blocking the gateway before
   */
  count(key: string, most: number): boolean {
    if (this.keys.size >= most) {
      this.tellOthers();
      return true;
    }
    this.keys.add(key);
    if (this.keys.size >= most) {
      const message = "The host refuses one recipient after the other for reasons that speak of us.";
      this.log.write("warn", "host-blocked", message, {});
      this.tellOthers();
    }
    return this.isTold;
  }

  /** A verdict on an address ends the run; once the host counts as blocking the gateway, only an accepted one does. */
  verdictGiven(isFound: boolean, most: number): void {
    if (isFound) {
      this.toldUntilMs = Number.NEGATIVE_INFINITY;
    }
    if (this.keys.size > 0 && (isFound || this.keys.size < most)) {
      const wasBlocked = this.keys.size >= most;
      this.clear();
      if (wasBlocked) {
        this.tell?.(true);
      }
    }
  }

  /** Another gateway is refused so until then; in the past: not any more. */
  told(untilMs: number): void {
    const wasTold = this.isTold;
    this.toldUntilMs = untilMs;
    if (this.isTold && !wasTold) {
      const message =
        "The host refuses one recipient after the other of another gateway, for reasons that speak of us.";
      this.log.write("warn", "host-blocked", message, { told: true });
    }
  }

  clear(): void {
    this.keys.clear();
    this.tellAgainMs = Number.NEGATIVE_INFINITY;
    this.toldUntilMs = Number.NEGATIVE_INFINITY;
  }

  private get isTold(): boolean {
    return this.clock.now() < this.toldUntilMs;
  }

  private tellOthers(): void {
    if (this.tell !== undefined && this.clock.now() >= this.tellAgainMs) {
      this.tellAgainMs = this.clock.now() + TELL_EVERY_MS;
      this.tell(false);
    }
  }
}
