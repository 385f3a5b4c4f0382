/** Those who wait until a worker is up. Serves supervisor.ts. */
import { type Failure, RelaypostError } from "../errors.js";
import type { Clock } from "../timer-wheel.js";

export class UpWaiters {
  private readonly waiting = new Set<{ up: () => void; failed: (error: RelaypostError) => void }>();

  get isEmpty(): boolean {
    return this.waiting.size === 0;
  }

  /** Resolves with the next {@link up}, rejects with the next {@link failed}. */
  wait(): Promise<void> {
    return new Promise((resolve, reject) => this.waiting.add({ up: resolve, failed: reject }));
  }

  /** The same for at most so long, and it never rejects. */
  async waitAtMost(ms: number, clock: Clock): Promise<void> {
    let cancel = (): void => {};
    const late = new Promise<void>((resolve) => {
      cancel = clock.after(ms, resolve);
    });
    await Promise.race([this.wait().catch(() => {}), late]);
    cancel();
  }

  up(): void {
    for (const { up } of this.waiting) {
      up();
    }
    this.waiting.clear();
  }

  failed(failure: Failure): void {
    for (const { failed } of this.waiting) {
      failed(RelaypostError.from(failure));
    }
    this.waiting.clear();
  }
}
