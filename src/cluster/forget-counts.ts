/**
 * How often answers of each host of this gateway were forgotten, as Redis counts it and as this gateway was told: where the two differ,
 * word was lost, and everything that is known of the host is dropped for want of it. Serves shared-answers.ts.
 */
import type { Clock } from "../timer-wheel.js";

/** So long word of what was forgotten may be under way, before everything is forgotten for want of it. */
const WORD_LIMIT_MS = 500;

export class ForgetCounts {
  /** A host of which nothing was counted yet has no number. */
  private readonly known = new Map<string, number | undefined>();
  /** Who waits for word of more. */
  private readonly lagging = new Map<string, () => void>();

  /** @param missed something of a host was forgotten, and nobody knows what */
  constructor(
    private readonly clock: Clock,
    private readonly missed: (hostId: string) => void,
  ) {}

  /** The gateway has this host. */
  add(hostId: string): void {
    if (!this.known.has(hostId)) {
      this.known.set(hostId, undefined);
    }
  }

  /** It has it no more, and nothing that is known of it: what is counted from here on says nothing to it. */
  remove(hostId: string): void {
    this.known.delete(hostId);
    this.lagging.get(hostId)?.();
    this.lagging.delete(hostId);
  }

  of(hostId: string): number {
    return this.known.get(hostId) ?? 0;
  }

  /** Redis has counted so many. Word of the last of them may be under way still; where it does not come, it was lost. */
  counted(hostId: string, count: number): void {
    if (!this.known.has(hostId)) {
      return;
    }
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
    if (this.known.has(hostId) && count === this.of(hostId) + 1) {
      this.known.set(hostId, count);
    } else {
      this.counted(hostId, count);
    }
  }

  /**
   * Word came of what was forgotten, as the one with this number.
   *
   * @param isOwn it is this gateway's
   * @returns whether it is news; not where word of others was lost, which `missed` was told, nor of a host that is not here
   */
  told(hostId: string, count: number, isOwn: boolean): boolean {
    if (!this.known.has(hostId)) {
      return false;
    }
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

  /** Nothing is counted from here on. */
  close(): void {
    for (const hostId of [...this.known.keys()]) {
      this.remove(hostId);
    }
  }
}
