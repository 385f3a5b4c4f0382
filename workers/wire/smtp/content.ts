/**
 * Sends one message's content on its transaction: DATA with dot-stuffing, or BDAT chunks for binary content. Whole content leaves in one
 * write; streamed content is asked for part by part, no faster than the peer takes it.
 */
import type { Reply } from "../../../src/api.js";
import type { Failure } from "../../../src/errors.js";
import type { RelayChannel } from "./channel.js";
import { EIGHT_BIT_REFUSED, hasEightBit } from "./mail-command.js";
import { MailData } from "./mail-data.js";
import type { ReplyView } from "./reply.js";
import type { ContentReceiver, RelayTask } from "./tasks.js";

/** More than this unsent, and the next part waits. */
const HIGH_WATER_OCTETS = 512 * 1024;
const NOTHING = new Uint8Array(0);
/** Parts asked for ahead, so that the wire never waits for the gateway's thread. */
const WINDOW_PARTS = 4;

/** The transaction whose content it is. */
export interface ContentOwner {
  readonly task: RelayTask;
  /** The terminator is written: the verdicts are due, and the next envelope may follow. */
  contentSent(): void;
  /** One non-final chunk is written. */
  chunkSent(): void;
  /** The peer refused before the terminator: that is the verdict of everyone accepted so far. */
  contentRefused(reply: Reply): void;
  /** The peer advertised CHUNKING and does not know BDAT. */
  chunksUnknown(reply: Reply): void;
  senseless(command: string, reply: ReplyView): void;
  cancel(failure: Failure): void;
}

export class ContentSender implements ContentReceiver {
  private readonly data: MailData;
  /** Parts asked for and not received. */
  private wanted = 0;
  /** `read`: the last part has come; `over`: it was sent, or nothing more is. */
  private state: "reading" | "read" | "over" = "reading";
  /** BDAT: chunks without their 250, and the last part, held until they have it (RFC 3030 3). */
  private chunksUnanswered = 0;
  private heldLast: Uint8Array | undefined;

  constructor(
    private readonly channel: RelayChannel,
    private readonly transaction: ContentOwner,
    private readonly usesChunks: boolean,
  ) {
    this.data = new MailData(channel.wire);
  }

  begin(): void {
    const { content } = this.transaction.task.job;
    if (content === null) {
      this.channel.wire.expectWithin(this.channel.settings.timeouts.dataBlockMs);
      this.wantMore();
    } else {
      this.finish(content);
    }
  }

  contentPart(octets: Uint8Array, isLast: boolean): void {
    if (this.state === "over") {
      return;
    }
    this.wanted--;
    const { settings, extensions } = this.channel;
    // A stream shows what it is as it comes: without its end nobody gets it.
    if (settings.eightBit === "refuse" && !extensions.eightBitMime && hasEightBit(octets)) {
      this.transaction.cancel(EIGHT_BIT_REFUSED);
      return;
    }
    // The limit is for one block: each part that moves renews it (RFC 5321 4.5.3.2.5).
    if (this.chunksUnanswered === 0) {
      this.channel.wire.expectWithin(this.channel.settings.timeouts.dataBlockMs);
    }
    if (isLast) {
      this.state = "read";
      if (this.usesChunks && this.chunksUnanswered > 0) {
        this.heldLast = octets;
      } else {
        this.finish(octets);
      }
      return;
    }
    if (this.usesChunks) {
      this.sendChunk(octets);
    } else {
      this.data.push(octets);
      this.channel.wire.write(NOTHING, () => this.transaction.task.partSent(octets));
    }
    this.wantMore();
  }

  contentFailed(failure: Failure): void {
    if (this.state === "over") {
      return;
    }
    this.transaction.cancel(failure);
  }

  chunkAnswered(reply: ReplyView): void {
    this.chunksUnanswered--;
    if (this.state === "over") {
      return;
    }
    if (reply.code !== 250) {
      this.chunkRefused(reply);
      return;
    }
    if (this.heldLast !== undefined && this.chunksUnanswered === 0) {
      this.finish(this.heldLast);
    } else {
      this.wantMore();
    }
  }

  drained(): void {
    if (this.state === "over") {
      return;
    }
    if (this.chunksUnanswered === 0) {
      this.channel.wire.expectWithin(this.channel.settings.timeouts.dataBlockMs);
    }
    this.wantMore();
  }

  stop(): void {
    this.state = "over";
  }

  /** Nothing moved for a whole `timeouts.data-block`: the gateway's stream, not the peer, where all that came of it was taken. */
  whyStalled(): Failure | undefined {
    if (this.wanted === 0 || this.chunksUnanswered > 0 || this.channel.wire.unsentOctets > 0) {
      return undefined;
    }
    return {
      code: "CONTENT_FAILED",
      message: "The content came to a stop for longer than timeouts.data-block. Nothing was delivered.",
    };
  }

  /** Chunks are commands: `limits.pipeline` holds for them, and without PIPELINING each waits for the reply to the one before it (RFC 3030 4.2). */
  private get window(): number {
    if (!this.usesChunks) {
      return WINDOW_PARTS;
    }
    const { channel } = this;
    const commands = channel.canPipeline ? channel.settings.limits.pipeline : 1;
    return Math.min(WINDOW_PARTS, commands - this.chunksUnanswered);
  }

  private wantMore(): void {
    while (
      this.state === "reading" &&
      this.wanted < this.window &&
      this.channel.wire.unsentOctets < HIGH_WATER_OCTETS
    ) {
      this.wanted++;
      this.transaction.task.wantContent(this);
    }
  }

  /** The rest of the content, and its end. The phase is set before the terminator can reach the socket. */
  private finish(octets: Uint8Array): void {
    this.stop();
    if (!this.transaction.task.toTerminator()) {
      this.transaction.cancel({ code: "ABORTED", message: "The request was given up." });
      return;
    }
    if (this.usesChunks) {
      this.channel.wire.write(`BDAT ${octets.length} LAST\r\n`);
      if (octets.length > 0) {
        this.channel.wire.write(octets);
      }
    } else {
      this.data.push(octets);
      this.data.finish();
    }
    this.transaction.contentSent();
  }

  private sendChunk(octets: Uint8Array): void {
    if (octets.length === 0) {
      return;
    }
    this.channel.wire.write(`BDAT ${octets.length}\r\n`);
    this.channel.wire.write(octets, () => this.transaction.task.partSent(octets));
    this.chunksUnanswered++;
    this.transaction.chunkSent();
  }

  private chunkRefused(reply: ReplyView): void {
    this.stop();
    if (reply.code < 400) {
      this.transaction.senseless("BDAT", reply);
    } else if (reply.code === 500 || reply.code === 502) {
      this.transaction.chunksUnknown(reply.copy());
    } else {
      this.transaction.contentRefused(reply.copy());
    }
  }
}
