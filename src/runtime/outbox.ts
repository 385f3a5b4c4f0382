/** Requests that gather for a worker: at the end of the event loop's turn they go to it as one batch. Serves mailbox.ts, which writes them. */
import type { MessagePort } from "node:worker_threads";
import type { Batch } from "../messages/batch.js";
import { RequestWriter } from "../messages/requests.js";

/** A turn that fills so many numbers posts before it ends. */
const FULL_BATCH = 1 << 16;

export class Outbox {
  readonly writer = new RequestWriter();
  /** Where batches go; while there is none, requests go on gathering. */
  port: MessagePort | undefined;
  /** Counts the batches of all workers: what carries the present number was not posted yet. */
  batch = 0;
  /** Batches posted to this worker. */
  posted = 0;
  /** Called with each batch: the worker owes something now. */
  onPost: () => void = () => {};
  /** Called when requests have gathered that no worker takes. */
  onGathered: () => void = () => {};
  private isArmed = false;

  /** @param posting called before each batch goes */
  constructor(private readonly posting: () => void) {}

  /** Something was written: it goes when the turn ends. */
  arm(): void {
    if (this.writer.size >= FULL_BATCH && this.port !== undefined) {
      this.flush();
    }
    if (this.isArmed) {
      return;
    }
    this.isArmed = true;
    setImmediate(this.flush);
  }

  /** What has gathered concerns nobody any more. */
  clear(): void {
    this.writer.clear();
    this.batch++;
  }

  /** Posts what has gathered. */
  readonly flush = (): void => {
    this.isArmed = false;
    if (this.writer.isEmpty) {
      return;
    }
    if (this.port === undefined) {
      this.onGathered();
      return;
    }
    this.batch++;
    this.posted++;
    this.posting();
    this.writer.flush(this.post);
    this.onPost();
  };

  private readonly post = (batch: Batch, transfer: ArrayBuffer[]): void => {
    if (transfer.length === 0) {
      this.port!.postMessage(batch);
    } else {
      this.port!.postMessage(batch, transfer);
    }
  };
}
