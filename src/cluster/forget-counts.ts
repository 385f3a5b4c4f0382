/**
 * How often each host's answers were forgotten, as Redis counts it and as this gateway was told: where the two differ, word was lost,
 * and everything that is known of the host is dropped for want of it. Serves shared-answers.ts.
 */
import type { Clock } from "../timer-wheel.js";

/** So long word of what was forgotten may be under way, before everything is forgotten for want of it. */
const WORD_LIMIT_MS = 500;

export class ForgetCounts {
  private readonly known = new Map<string, number>();
  /** Who waits for word of more. */
  private readonly lagging = new Map<string, () => void>();

  /** @param missed something of a host was forgotten, and nobody knows what */
  constructor(
    private readonly clock: Clock,
    private readonly missed: (hostId: string) => void,
  ) {}

  of(hostId: string): number {
    return this.known.get(hostId) ?? 0;
  }

  /** Redis has counted so many. Word of the last of them may be under way still; where it does not come, it was lost. */
  counted(hostId: string, count: number): void {
    const known = this.known.get(hostId);
    if (known === undefined) {
      this.known.set(hostId, count);
    } else if (count !== known && !this.lagging.has(hostId)) {
      const stop = this.clock.after(WORD_LIMIT_MS, () => {
        this.lagging.delete(hostId);
        if (this.of(hostId) < count) {
          this.known.set(hostId, count);
          this.missed(hostId);
        }
      });
      this.lagging.set(hostId, stop);
    }
  }

  /** This gateway has forgotten something, which Redis counted as the one with this number: word of it will be no news. */
  counts(hostId: string, count: number): void {
    if (count === this.of(hostId) + 1) {
      this.known.set(hostId, count);
    } else {
      this.counted(hostId, count);
    }
  }

  /**
   * Word came of what was forgotten, as the one with this number.
   *
   * @param isOwn it is this gateway's
   * @returns whether it is news; not where word of others was lost, which `missed` was told
   */
  told(hostId: string, count: number, isOwn: boolean): boolean {
    const known = this.known.get(hostId);
    if (isOwn && known !== undefined && count <= known) {
      return false;
    }
    this.known.set(hostId, Math.max(count, known ?? 0));
    if (known === undefined || count === known + 1) {
      return true;
    }
    this.missed(hostId);
    return false;
  }

  close(): void {
    for (const stop of this.lagging.values()) {
      stop();
    }
  }
}
