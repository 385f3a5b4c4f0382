/** Who waits for word of a question that somebody else asks the host. Works for shared-answers.ts. */
import type { Clock } from "../timer-wheel.js";

/** One who waits. */
export interface Waiter {
  /** Waits no longer. */
  leave(): void;
  /** Resolves with the word, or when the time is over. */
  within(ms: number): Promise<void>;
}

export class AnswerWaiters {
  private readonly byField = new Map<string, Set<() => void>>();

  constructor(private readonly clock: Clock) {}

  /** What is told from now on is heard. */
  join(field: string): Waiter {
    let heard: () => void = () => {};
    const word = new Promise<void>((resolve) => {
      heard = resolve;
    });
    let set = this.byField.get(field);
    if (set === undefined) {
      set = new Set();
      this.byField.set(field, set);
    }
    set.add(heard);
    const leave = (): void => {
      set.delete(heard);
      if (set.size === 0 && this.byField.get(field) === set) {
        this.byField.delete(field);
      }
    };
    const within = async (ms: number): Promise<void> => {
      const stop = this.clock.after(ms, heard);
      await word;
      stop();
      leave();
    };
    return { leave, within };
  }

  wake(field: string): void {
    for (const heard of this.byField.get(field) ?? []) {
      heard();
    }
  }

  wakeAll(): void {
    for (const field of [...this.byField.keys()]) {
      this.wake(field);
    }
  }
}
