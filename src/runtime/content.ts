/**
 * Content that is sent to the worker in parts: streams, and messages too large for a batch. The worker asks for each part, so nothing
 * is read before the message's turn has come, and nothing piles up for a slow host.
 */
import { Readable } from "node:stream";
import type { Content } from "../api.js";
import { PART_OCTETS } from "../messages/requests.js";
import { typeNameOf } from "../request/address.js";

/** A part has room for as much at least, and goes with less only while the worker has nothing else to work on. */
const SMALLEST_PART_OCTETS = 64 * 1024;
/** Unused credits at which the worker has nothing left to work on. */
const STARVING_CREDITS = 4;
const EMPTY = Buffer.alloc(0);

/** Where the parts go. */
export interface PartSink {
  /** Memory for a part of PART_OCTETS, used before where there is some. */
  spare(): ArrayBuffer;
  /** @param buffer given away; `octets` of it are content */
  part(slot: number, buffer: ArrayBuffer, octets: number, isLast: boolean): void;
  contentFailed(slot: number, error: unknown): void;
}

/** A content that is sent in parts, on credit. */
export interface PartedContent {
  /** One more part, please. */
  credit(): void;
  /** The message is settled: reads no more and lets go of the source. */
  stop(): void;
}

/** Whether a content must be sent in parts because of its kind. */
export function isStream(content: Content): content is Readable | AsyncIterable<Uint8Array> {
  return typeof content === "object" && !(content instanceof Uint8Array);
}

/** A message in memory, cut into parts. Octets are copied before the constructor returns, a string is encoded as it is asked for. */
export class LargeContent implements PartedContent {
  private readonly parts: ArrayBuffer[] = [];
  private readonly text: string = "";
  private at = 0;
  private isDone = false;

  constructor(
    private readonly slot: number,
    private readonly sink: PartSink,
    content: string | Uint8Array,
  ) {
    if (typeof content === "string") {
      this.text = content;
      return;
    }
    for (let from = 0; from < content.length; from += PART_OCTETS) {
      this.parts.push(copyOf(content.subarray(from, from + PART_OCTETS)));
    }
  }

  credit(): void {
    if (this.isDone) {
      return;
    }
    if (this.parts.length === 0) {
      this.sendText();
    } else {
      this.sendOctets();
    }
  }

  stop(): void {
    this.isDone = true;
    this.parts.length = 0;
  }

  private sendOctets(): void {
    const part = this.parts.shift()!;
    this.isDone = this.parts.length === 0;
    this.sink.part(this.slot, part, part.byteLength, this.isDone);
  }

  private sendText(): void {
    const buffer = Buffer.from(this.sink.spare());
    // A character takes three octets at most, and never fewer characters than octets divided by three fit.
    let end = Math.min(this.at + Math.floor(PART_OCTETS / 3), this.text.length);
    if (end < this.text.length && isHighSurrogate(this.text.charCodeAt(end - 1))) {
      end--;
    }
    const octets = buffer.write(this.text.slice(this.at, end), "utf8");
    this.at = end;
    this.isDone = end === this.text.length;
    this.sink.part(this.slot, buffer.buffer as ArrayBuffer, octets, this.isDone);
  }
}

/** A Readable or an AsyncIterable. Its chunks are copied before it is asked for the next one: it may use their memory again. */
export class StreamedContent implements PartedContent {
  private state: "unread" | "reading" | "waiting" | "done" = "unread";
  /** None before the first credit and after the source's end. */
  private iterator: AsyncIterator<unknown> | undefined;
  private credits = 0;
  /** What the last chunk holds that is not in a part yet. */
  private rest: Uint8Array = EMPTY;
  private part: Buffer = EMPTY;
  private filled = 0;
  /** A stream of more than one part gets whole ones, whose memory goes round. */
  private hasSent = false;
  /** The first half of a surrogate pair whose second half comes with the next string. */
  private half = "";

  constructor(
    private readonly slot: number,
    private readonly sink: PartSink,
    private readonly source: Readable | AsyncIterable<unknown>,
  ) {
    // Also before it is read and after it is let go: an error that nobody listens to would end the process.
    if (source instanceof Readable) {
      source.on("error", (error) => this.fail(error));
    }
  }

  credit(): void {
    if (this.state === "done") {
      return;
    }
    this.credits++;
    if (this.state === "reading") {
      return;
    }
    void this.pump();
  }

  stop(): void {
    if (this.state === "done") {
      return;
    }
    this.state = "done";
    try {
      if (this.source instanceof Readable) {
        this.source.destroy();
      } else {
        this.returnIterator();
      }
    } catch {
      // The source's own trouble: the message is settled.
    }
  }

  private returnIterator(): void {
    // A generator that never ran has nothing to clean up but itself.
    const iterator = this.iterator ?? (this.source as Partial<AsyncIterator<unknown>>);
    if (typeof iterator.return === "function") {
      Promise.resolve(iterator.return()).catch(() => {});
    }
  }

  private async pump(): Promise<void> {
    try {
      if (this.state === "unread") {
        this.iterator = this.source[Symbol.asyncIterator]();
      }
      this.state = "reading";
      while (this.credits > 0) {
        if (this.rest.length > 0 && !this.isFull()) {
          this.fill();
        } else if (this.isDue()) {
          this.send();
        } else {
          await this.read();
        }
        if (this.hasStopped()) {
          return;
        }
      }
      this.state = "waiting";
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    if (this.state === "done") {
      return;
    }
    this.stop();
    this.sink.contentFailed(this.slot, error);
  }

  /** A part goes when it is full, when the source has ended, and, whatever its size, when the worker has nothing left to work on. */
  private isDue(): boolean {
    if (this.iterator === undefined) {
      return true;
    }
    return this.isFull() || (this.filled > 0 && this.credits >= STARVING_CREDITS);
  }

  private isFull(): boolean {
    return this.filled > 0 && this.filled === this.part.length;
  }

  private fill(): void {
    if (this.filled === 0) {
      this.part = this.hasSent
        ? Buffer.from(this.sink.spare())
        : Buffer.allocUnsafeSlow(Math.min(Math.max(this.rest.length, SMALLEST_PART_OCTETS), PART_OCTETS));
    }
    const octets = Math.min(this.rest.length, this.part.length - this.filled);
    this.part.set(this.rest.subarray(0, octets), this.filled);
    this.filled += octets;
    this.rest = this.rest.subarray(octets);
  }

  private send(): void {
    const isLast = this.iterator === undefined && this.rest.length === 0;
    const buffer = this.filled === 0 ? new ArrayBuffer(0) : (this.part.buffer as ArrayBuffer);
    const octets = this.filled;
    this.filled = 0;
    this.hasSent = true;
    this.credits--;
    if (isLast) {
      this.state = "done";
    }
    this.sink.part(this.slot, buffer, octets, isLast);
  }

  private async read(): Promise<void> {
    const next = await this.iterator!.next();
    if (this.hasStopped()) {
      return;
    }
    if (next.done === true) {
      this.iterator = undefined;
      this.rest = Buffer.from(this.half, "utf8");
    } else if (typeof next.value === "string") {
      this.rest = this.encode(next.value);
    } else if (next.value instanceof Uint8Array) {
      this.rest = next.value;
    } else {
      throw new TypeError(`the stream gave ${typeNameOf(next.value)}, neither a string nor a Uint8Array`);
    }
  }

  /** Asked after each await: the message may have been settled meanwhile. */
  private hasStopped(): boolean {
    return this.state === "done";
  }

  private encode(chunk: string): Uint8Array {
    let text = this.half + chunk;
    this.half = "";
    if (text !== "" && isHighSurrogate(text.charCodeAt(text.length - 1))) {
      this.half = text.slice(-1);
      text = text.slice(0, -1);
    }
    return Buffer.from(text, "utf8");
  }
}

function copyOf(octets: Uint8Array): ArrayBuffer {
  const copy = Buffer.allocUnsafeSlow(octets.length);
  copy.set(octets);
  return copy.buffer as ArrayBuffer;
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
