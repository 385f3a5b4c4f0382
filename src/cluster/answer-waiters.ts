/** Who waits for word of a question that somebody else asks the host. Works for shared-answers.ts. */
import type { Clock } from "../timer-wheel.js";

/** One who waits, from the question to Redis on. Most are answered at once, and need no promise. */
export class Waiter {
  private isHeard = false;
  private goOn: (() => void) | undefined;

  constructor(
    private readonly waiters: AnswerWaiters,
    private readonly where: string,
  ) {}

  /** Waits no longer. */
  leave(): void {
    this.waiters.left(this.where, this);
  }

  /** Resolves with the word, or when the time is over. */
  async within(ms: number): Promise<void> {
    if (!this.isHeard) {
      await new Promise<void>((resolve) => {
        const stop = this.waiters.clock.after(ms, resolve);
        this.goOn = () => {
          stop();
          resolve();
        };
      });
    }
    this.leave();
  }

  hear(): void {
    this.isHeard = true;
    this.goOn?.();
  }
}

export class AnswerWaiters {
  private readonly byPlace = new Map<string, Waiter[]>();

  constructor(readonly clock: Clock) {}

  /** What is told from now on is heard. */
  join(where: string): Waiter {
    const waiter = new Waiter(this, where);
    const others = this.byPlace.get(where);
    if (others === undefined) {
      this.byPlace.set(where, [waiter]);
    } else {
      others.push(waiter);
    }
    return waiter;
  }

  left(where: string, waiter: Waiter): void {
    const all = this.byPlace.get(where);
    const at = all?.indexOf(waiter) ?? -1;
    if (at === -1) {
      return;
    }
    all!.splice(at, 1);
    if (all!.length === 0) {
      this.byPlace.delete(where);
    }
  }

  wake(where: string): void {
    for (const waiter of this.byPlace.get(where) ?? []) {
      waiter.hear();
    }
  }

  wakeAll(): void {
    for (const where of this.byPlace.keys()) {
      this.wake(where);
    }
  }
}
