/** One direction between two simulated threads: messages in their order, a little late. */
import type { Random } from "./random.js";
import type { VirtualTime } from "./virtual-time.js";

export class Port {
  private readonly messages: (() => void)[] = [];
  private lastDueMs = 0;
  private isClosed = false;

  constructor(
    private readonly time: VirtualTime,
    private readonly random: Random,
    private readonly mostDelayMs: number,
  ) {}

  post(message: () => void): void {
    if (this.isClosed) {
      return;
    }
    this.messages.push(message);
    this.lastDueMs = Math.max(this.lastDueMs, this.time.nowMs + this.random.next() * this.mostDelayMs);
    this.time.after(this.lastDueMs - this.time.nowMs, () => this.messages.shift()?.());
  }

  /** The other thread is gone. What it had posted may be received all the same. */
  close(isReceived: boolean): void {
    const messages = this.messages.splice(0);
    if (isReceived) {
      for (const message of messages) {
        message();
      }
    }
    this.isClosed = true;
  }
}
