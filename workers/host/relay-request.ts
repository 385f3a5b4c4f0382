/**
 * One message while it waits and while it is at work, in one transaction or in several (split-relay.ts). What the actor makes of a call,
 * the pool queues and a session carries out.
 */
import type { RecipientResult, Reply } from "../../src/api.js";
import type { Failure } from "../../src/errors.js";
import type { RelayJob } from "../../src/messages/contract.js";
import type { Progress } from "../wire/progress.js";
import { takePortion } from "../wire/smtp/recipients.js";
import type { ContentReceiver, RelayHandle, RelayTask } from "../wire/smtp/tasks.js";
import { SplitRelay } from "./split-relay.js";
import { Task, type TaskOwner } from "./tasks.js";

/** One message. */
export class RelayRequest extends Task implements RelayTask {
  readonly kind = "relay";
  private transaction: RelayHandle | undefined;
  private receiver: ContentReceiver | undefined;
  /** The furthest that any of its transactions has come. */
  private phase: "queued" | "envelope" | "content" | "terminator" = "queued";
  /** Where one transaction is not enough. */
  private split: SplitRelay | undefined;
  private isGivenUp = false;
  private connection = 0;

  constructor(
    owner: TaskOwner,
    readonly job: RelayJob,
  ) {
    super(owner);
    this.deadlineMs = job.deadlineMs;
    this.tag = job.tag;
  }

  get client(): string {
    return this.job.client;
  }

  startedOn(transaction: RelayHandle): void {
    this.transaction = transaction;
  }

  /** Its earlier transactions are over; it waits for the next one, or is in it. */
  get isContinued(): boolean {
    return this.split?.hasResults === true;
  }

  portion(most: number, mostDomains: number): readonly number[] | undefined {
    const { job } = this;
    if (this.split === undefined) {
      if (job.recipients.length <= most && mostDomains === Number.POSITIVE_INFINITY) {
        return undefined;
      }
      const everybody = [...job.recipients.keys()];
      if (takePortion(job.recipients, everybody, most, mostDomains).length === everybody.length) {
        return undefined;
      }
    }
    return this.beSplit().begin(most, mostDomains);
  }

  private beSplit(): SplitRelay {
    this.split ??= new SplitRelay(this.job, () => this.askForContent());
    return this.split;
  }

  // The phase of a later transaction is behind those of earlier ones, and then there is nothing left to withdraw.

  toEnvelope(): boolean {
    const isFirst = this.phase === "queued";
    if (isFirst) {
      this.phase = "envelope";
    }
    return !this.isSettled && (!isFirst || this.owner.phases.toEnvelope(this.job.slot));
  }

  toContent(postponed: readonly number[]): boolean {
    if (postponed.length > 0) {
      this.beSplit();
    }
    const isFirst = this.phase === "envelope";
    if (isFirst) {
      this.phase = "content";
    }
    return !this.isSettled && (!isFirst || this.owner.phases.toContent(this.job.slot));
  }

  toTerminator(): boolean {
    const isFirst = this.phase === "content";
    if (isFirst) {
      this.phase = "terminator";
    }
    return !this.isSettled && (!isFirst || this.owner.phases.toTerminator(this.job.slot));
  }

  toReplied(): void {
    if (!this.isSettled && this.split === undefined) {
      this.owner.phases.toReplied(this.job.slot);
    }
  }

  wantContent(receiver: ContentReceiver): void {
    this.receiver = receiver;
    const { content } = this.split ?? {};
    if (content === undefined) {
      this.askForContent();
    } else if (!this.isSettled) {
      content.want(receiver);
    }
  }

  private askForContent(): void {
    if (!this.isSettled) {
      this.owner.answers.wantContent(this.job.slot);
    }
  }

  partSent(octets: Uint8Array): void {
    // What is kept for other transactions stays here.
    if (this.split === undefined) {
      this.owner.answers.recycle(octets.buffer as ArrayBuffer);
    }
  }

  contentPart(octets: Uint8Array, isLast: boolean): void {
    const { content } = this.split ?? {};
    if (content === undefined) {
      this.receiver?.contentPart(octets, isLast);
    } else {
      content.part(octets, isLast);
    }
  }

  contentFailed(failure: Failure): void {
    // No part is sent before one was asked for; a stream may fail earlier all the same.
    if (this.receiver === undefined) {
      this.cancel(failure);
    } else {
      this.receiver.contentFailed(failure);
    }
  }

  finished(recipients: readonly RecipientResult[], reply: Reply | undefined, postponed: readonly number[]): void {
    if (this.isSettled) {
      return;
    }
    if (this.split === undefined && postponed.length === 0) {
      this.tell(recipients, reply);
      return;
    }
    const split = this.beSplit();
    split.judged(recipients, reply, postponed);
    if (split.isDone || this.isGivenUp || !split.isRepeatable) {
      this.tellSplit(split, undefined);
      return;
    }
    this.transaction = undefined;
    this.receiver = undefined;
    this.leave();
    this.waitsSinceMs = this.owner.now();
    this.owner.goOn(this);
  }

  private tell(recipients: readonly RecipientResult[], reply: Reply | undefined, endings?: ReadonlySet<Reply>): void {
    this.settle();
    this.owner.answers.relayed(this.job.slot, recipients, reply, this.connection);
    this.owner.relaySettled(this, recipients, reply, endings);
  }

  /** Earlier transactions stand, whatever came between them and the rest. */
  private tellSplit(split: SplitRelay, failure: Failure | undefined): void {
    const { unserved } = split;
    if (unserved > 0) {
      this.owner.unserved(unserved, failure);
    }
    this.tell(split.list(), split.reply, split.endings);
  }

  override lost(failure: Failure, progress: Progress): void {
    this.transaction = undefined;
    super.lost(failure, progress);
  }

  protected override toQueued(): boolean {
    // What was lost before its envelope was begun stands as it stood in its queue.
    if (this.phase !== "envelope") {
      return true;
    }
    const isQueued = this.owner.phases.toQueued(this.job.slot);
    this.phase = "queued";
    return isQueued;
  }

  drop(failure: Failure): void {
    if (this.isSettled) {
      return;
    }
    if (this.split?.hasResults === true) {
      this.tellSplit(this.split, failure);
      return;
    }
    this.settle();
    this.owner.answers.failed(this.job.slot, failure);
    this.owner.relaySettled(this);
  }

  /** On a connection: before the terminator it fails, after it the rest is uncertain. */
  cancel(failure: Failure): void {
    this.isGivenUp = true;
    if (this.transaction === undefined) {
      this.drop(failure);
    } else {
      this.transaction.cancel(failure);
    }
  }

  get waiting(): number {
    return 1;
  }

  protected override started(connection: number): void {
    this.connection = connection;
  }

  protected requeue(): void {
    this.owner.retry(this);
  }

  private settle(): void {
    this.leave();
    this.isSettled = true;
  }
}
