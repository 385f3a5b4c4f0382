/**
 * The commands that wait for Redis' reply, and one timer for the time limit of them all: a timer for each would cost as much as the way
 * of an answer through the rest of the gateway. Serves redis.ts.
 */

/** A command that was sent. */
export interface PendingCommand {
  /** Since when whoever sent it has waited for Redis. */
  readonly sinceMs: number;
  readonly reject: (error: Error) => void;
}

export class PendingCommands {
  private readonly waiting = new Set<PendingCommand>();
  /** Due no later than the oldest command is. Keeps the process alive while there is one. */
  private timer: NodeJS.Timeout | undefined;
  private dueMs = 0;

  /** @param late told when a command has waited for longer than `limitMs` */
  constructor(
    private readonly limitMs: number,
    private readonly late: () => void,
  ) {}

  /**
   * @param reject called when the command is given up
   * @param waitedMs so much of its time is over
   */
  add(reject: (error: Error) => void, waitedMs = 0): PendingCommand {
    const nowMs = performance.now();
    const command = { sinceMs: nowMs - waitedMs, reject };
    if (this.timer === undefined || command.sinceMs + this.limitMs < this.dueMs) {
      this.lookAgain(command.sinceMs, nowMs);
    } else if (this.waiting.size === 0) {
      this.timer.ref();
    }
    this.waiting.add(command);
    return command;
  }

  /** The reply has come. */
  settled(command: PendingCommand): void {
    if (this.waiting.delete(command) && this.waiting.size === 0) {
      this.timer?.unref();
    }
  }

  /** No reply will come. */
  giveUp(error: Error): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const given = [...this.waiting];
    this.waiting.clear();
    for (const { reject } of given) {
      reject(error);
    }
  }

  /** When what has waited since then is due. */
  private lookAgain(sinceMs: number, nowMs: number): void {
    clearTimeout(this.timer);
    this.dueMs = sinceMs + this.limitMs;
    this.timer = setTimeout(this.look, Math.ceil(this.dueMs - nowMs));
  }

  private oldest(): PendingCommand | undefined {
    let oldest: PendingCommand | undefined;
    for (const command of this.waiting) {
      if (oldest === undefined || command.sinceMs < oldest.sinceMs) {
        oldest = command;
      }
    }
    return oldest;
  }

  private readonly look = (): void => {
    this.timer = undefined;
    const oldest = this.oldest();
    if (oldest === undefined) {
      return;
    }
    const nowMs = performance.now();
    if (oldest.sinceMs + this.limitMs > nowMs) {
      this.lookAgain(oldest.sinceMs, nowMs);
      return;
    }
    // Where this thread was busy, the reply may lie in the socket: it is read before an immediate runs.
    setImmediate(() => {
      if (this.waiting.has(oldest)) {
        this.late();
      } else {
        // Also where the timer was started meanwhile, for one that was sent: others are due before that.
        clearTimeout(this.timer);
        this.look();
      }
    });
  };
}
