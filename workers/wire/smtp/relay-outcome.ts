/**
 * What becomes of one message: how far it has come, what is known of each recipient, and what its task is told when it is done, given
 * up or loses its connection. transaction.ts, which is one, carries out the dialogue.
 */
import type { Failure } from "../../../src/errors.js";
import type { RelayChannel } from "./channel.js";
import type { ContentSender } from "./content.js";
import { DROPPED, GIVEN_UP } from "./failures.js";
import { TaskWork } from "./task-work.js";
import type { RelayTask } from "./tasks.js";
import { Verdicts } from "./verdicts.js";

/**
 * ```
 * waiting ─► recipients ─► data ─► content ─► verdict ─► over
 *                │          │  └─────────────────────────►│    DATA refused, or content for nobody
 *                └──────────┴─► refused: MAIL was; the replies to what went out with it are still read
 * ```
 * With BDAT there is no `data`.
 */
type RelayState = "waiting" | "recipients" | "data" | "refused" | "content" | "verdict" | "over";

export abstract class RelayOutcome extends TaskWork<RelayChannel> {
  protected state: RelayState = "waiting";
  protected readonly verdicts: Verdicts;
  /** Whom of the message's recipients it is for, by their indices; undefined: everybody. */
  protected readonly portion: readonly number[] | undefined;
  /** Replies read, and replies still awaited. */
  protected replies = 0;
  protected pending = 0;
  protected sender: ContentSender | undefined;

  constructor(
    channel: RelayChannel,
    readonly task: RelayTask,
  ) {
    super(channel);
    const { recipients } = task.job;
    this.portion = task.portion(channel.mostRecipients, channel.mostDomains);
    this.verdicts = new Verdicts(this.portion?.map((index) => recipients[index]!) ?? recipients);
  }

  /** All of it is sent, and its task still waits for the outcome. */
  get isAwaitingVerdict(): boolean {
    return this.state === "verdict" && !this.isSettled;
  }

  lost(failure: Failure): void {
    this.sender?.stop();
    // Every recipient was refused before: that stands, whatever happened to the connection.
    if (this.state === "verdict" || this.verdicts.areComplete) {
      this.tellVerdicts();
      return;
    }
    this.state = "over";
    this.settle(() =>
      this.task.lost(failure, {
        isReused: this.channel.isReused,
        isAnswered: this.replies > 0,
        shown: this.sender === undefined ? "command" : "content",
      }),
    );
  }

  /**
   * The request was given up. Before the terminator: nothing more of it goes out. After it: what is known is told now,
   * the rest is uncertain; the connection lives on until the replies have come, since others may wait on it.
   */
  cancel(failure: Failure): void {
    if (this.isSettled) {
      return;
    }
    if (this.state === "verdict") {
      this.tellVerdicts();
      return;
    }
    this.settle(() => this.task.failed(failure));
    // Content without its end cannot be taken back. Every earlier reply has come, or there were no 354.
    if (this.state === "content") {
      this.channel.fail(DROPPED);
    } else {
      this.finishIfDone();
    }
  }

  /** Withdrawn before the terminator: after 354 only dropping the connection keeps the message from being delivered. */
  protected withdraw(): void {
    this.settle(() => this.task.failed(GIVEN_UP));
    if (this.state === "data") {
      this.channel.fail(DROPPED);
    } else {
      this.finishIfDone();
    }
  }

  protected finishIfDone(): void {
    if (this.pending > 0) {
      return;
    }
    if (this.isSettled) {
      this.channel.finish(this);
      return;
    }
    if (this.state === "content" || this.state === "verdict" || !this.verdicts.areComplete) {
      return;
    }
    this.channel.finish(this);
    this.tellVerdicts();
  }

  private tellVerdicts(): void {
    const { task, verdicts, channel } = this;
    if (verdicts.isFull) {
      channel.peer.recipientsLimited(verdicts.accepted.length, channel.log);
    }
    this.settle(() => task.finished(verdicts.list(), verdicts.finalReply, verdicts.postponed));
  }
}
