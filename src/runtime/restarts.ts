/**
 * When a crashed worker is started again (restart intensity). After few crashes: soon. After too many: at growing intervals, and its
 * hosts are failed until it runs again. Used by supervisor.ts.
 */
import type { Clock } from "../timer-wheel.js";

const FIRST_DELAY_MS = 50;
const MOST_DELAY_MS = 5_000;
const FIRST_RETRY_MS = 10_000;
const MOST_RETRY_MS = 10 * 60_000;
/** How long a lost thread is waited for: one that is stuck outside of JavaScript may never end. */
const END_LIMIT_MS = 10_000;

/** What follows a loss. */
export interface RestartDecision {
  readonly delayMs: number;
  /** Lost more often than `restarts` times in the window. */
  readonly isFailed: boolean;
}

export class RestartPolicy {
  private losses: number[] = [];
  private retries = 0;

  /**
   * @param restarts how many crashes within `windowMs` are followed by a restart at once
   * @param random from 0 up to 1: delays are between half and all of their nominal length, so that workers do not restart in step
   */
  constructor(
    private readonly restarts: number,
    private readonly windowMs: number,
    private readonly random: () => number,
  ) {}

  lost(nowMs: number): RestartDecision {
    this.losses = this.losses.filter((lossMs) => nowMs - lossMs < this.windowMs);
    if (this.losses.length === 0) {
      this.retries = 0;
    }
    this.losses.push(nowMs);
    const count = this.losses.length;
    const isFailed = count > this.restarts;
    const nominalMs = isFailed
      ? Math.min(FIRST_RETRY_MS * 2 ** this.retries++, MOST_RETRY_MS)
      : Math.min(FIRST_DELAY_MS * 2 ** (count - 1), MOST_DELAY_MS);
    return { delayMs: nominalMs * (0.5 + this.random() / 2), isFailed };
  }
}

/** Calls back when a lost thread has ended, or is waited for no longer. The result cancels it. */
export function whenEnded(exited: Promise<void>, clock: Clock, relaunch: () => void): () => void {
  let isDue = true;
  const cancel = (): void => {
    isDue = false;
    cancelTimer();
  };
  const ended = (): void => {
    if (isDue) {
      cancel();
      relaunch();
    }
  };
  const cancelTimer = clock.after(END_LIMIT_MS, ended);
  void exited.then(ended);
  return cancel;
}
