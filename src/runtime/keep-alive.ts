/**
 * Keeps the process alive while requests are in hand, where the threads do not: by the worker's port, and between two workers,
 * when there is none, by a timer. Serves mailbox.ts.
 */
import type { MessagePort } from "node:worker_threads";

/** As long as a timer may wait. */
const LONG_MS = 0x7fffffff;

export class KeepAlive {
  private timer: NodeJS.Timeout | undefined;

  /** @param isNeeded whether nothing else keeps the process alive */
  constructor(private readonly isNeeded: boolean) {}

  /** Called when either may have changed. */
  keep(isBusy: boolean, port: MessagePort | undefined): void {
    if (!this.isNeeded) {
      return;
    }
    clearInterval(this.timer);
    this.timer = undefined;
    if (!isBusy) {
      port?.unref();
    } else if (port === undefined) {
      this.timer = setInterval(() => {}, LONG_MS);
    } else {
      port.ref();
    }
  }
}
