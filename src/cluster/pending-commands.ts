/**
 * The commands that wait for Redis' reply, and one timer for the time limit of them all: a timer for each would cost as much as the way
 * of an answer through the rest of the gateway. Serves redis.ts.
 */

/** A command that was sent. */
export interface PendingCommand {
  readonly sentMs: number;
  readonly reject: (error: Error) => void;
}

export class PendingCommands {
  /** The oldest first. */
  private readonly waiting = new Set<PendingCommand>();
  /** Due no later than the oldest command is. Keeps the process alive while there is one. */
  private timer: NodeJS.Timeout | undefined;

  /** @param late told when a command has waited for longer than `limitMs` */
  constructor(
    private readonly limitMs: number,
    private readonly late: () => void,
  ) {}

  /** @param reject called when the command is given up */
  add(reject: (error: Error) => void): PendingCommand {
    const command = { sentMs: performance.now(), reject };
    if (this.timer === undefined) {
      this.timer = setTimeout(this.look, this.limitMs);
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

  private readonly look = (): void => {
    this.timer = undefined;
    const [oldest] = this.waiting;
    if (oldest === undefined) {
      return;
    }
    const leftMs = oldest.sentMs + this.limitMs - performance.now();
    if (leftMs > 0) {
      this.timer = setTimeout(this.look, Math.ceil(leftMs));
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
