/**
 * Reads SMTP and LMTP replies (RFC 5321 4.2) from bytes as they come. Bounded: a hostile peer gets an error, not our memory.
 * Decodes nothing that is not asked for.
 */
import type { Reply } from "../../../src/api.js";

const LF = 10;
const CR = 13;
const SPACE = 32;
const HYPHEN = 45;
const MAX_LINE_OCTETS = 4 * 1024;
const MAX_REPLY_OCTETS = 64 * 1024;
const MAX_REPLY_LINES = 1_000;
/** EXPN may list a large mailing list. */
const MAX_LIST_OCTETS = 1024 * 1024;
const MAX_LIST_LINES = 10_000;

/** A complete reply, valid during the call that hands it over. */
export interface ReplyView {
  readonly code: number;
  /** Text of each line after code and separator. */
  lines(): string[];
  /** To keep, and not to change: equal replies share it. */
  copy(): Readonly<Reply>;
}

/** Receives what a {@link ReplyParser} reads. */
export interface ReplySink {
  replyRead(reply: ReplyView): void;
  /** The peer does not speak SMTP: nothing after this can be trusted. */
  malformed(what: string): void;
}

export class ReplyParser implements ReplyView {
  code = 0;
  /** The final line of the current reply. */
  private bytes: Uint8Array = new Uint8Array(0);
  private textStart = 0;
  private textEnd = 0;
  /** Earlier lines of a multiline reply. */
  private earlier: string[] = [];
  private earlierOctets = 0;
  /** A line whose end has not come. */
  private partial: Uint8Array = new Uint8Array(0);
  private partialOctets = 0;
  private isStopped = false;
  /** The latest copy of a reply of one line, and that line's octets. */
  private lastCopy: Reply | undefined;
  private lastOctets: Uint8Array = new Uint8Array(0);
  private maxLines = MAX_REPLY_LINES;
  private maxOctets = MAX_REPLY_OCTETS;

  constructor(private readonly sink: ReplySink) {}

  /** Whether a reply has begun and is not complete. */
  get hasPartial(): boolean {
    return this.partialOctets > 0 || this.earlier.length > 0;
  }

  /** Whether the chunk at hand holds octets beyond the reply that is being handed over. */
  hasUnread = false;

  /** The next reply may be a mailing list (EXPN). */
  allowList(isList: boolean): void {
    this.maxLines = isList ? MAX_LIST_LINES : MAX_REPLY_LINES;
    this.maxOctets = isList ? MAX_LIST_OCTETS : MAX_REPLY_OCTETS;
  }

  /** Nothing that comes after this is read. */
  stop(): void {
    this.isStopped = true;
    this.partial = new Uint8Array(0);
    this.partialOctets = 0;
    this.earlier = [];
  }

  push(chunk: Uint8Array): void {
    let start = 0;
    for (let at = 0; at < chunk.length && !this.isStopped; at++) {
      const octet = chunk[at]!;
      if (octet > CR) {
        continue;
      }
      if (octet === LF) {
        this.hasUnread = at + 1 < chunk.length;
        this.endLine(chunk, start, at);
        start = at + 1;
      } else if (octet === 0 || (octet === CR && at + 1 < chunk.length && chunk[at + 1] !== LF)) {
        this.refuse(octet === 0 ? "a NUL octet in a reply" : "a bare CR in a reply");
      }
    }
    if (start < chunk.length && !this.isStopped) {
      this.carry(chunk.subarray(start));
    }
  }

  lines(): string[] {
    return [...this.earlier, this.decode(this.bytes, this.textStart, this.textEnd)];
  }

  copy(): Reply {
    if (this.earlier.length > 0) {
      return this.makeCopy();
    }
    // Most replies of a peer are the same words again: then they are compared, and nothing is decoded or allocated.
    if (!this.isSameAsLast()) {
      this.lastCopy = this.makeCopy();
      // A Buffer's slice() is a view, and a socket reads its next octets into the same memory.
      this.lastOctets = new Uint8Array(this.bytes.subarray(this.textStart, this.textEnd));
    }
    return this.lastCopy!;
  }

  private isSameAsLast(): boolean {
    const { bytes, textStart, lastOctets } = this;
    if (this.lastCopy?.code !== this.code || this.textEnd - textStart !== lastOctets.length) {
      return false;
    }
    for (let at = 0; at < lastOctets.length; at++) {
      if (bytes[textStart + at] !== lastOctets[at]) {
        return false;
      }
    }
    return true;
  }

  private makeCopy(): Reply {
    const lines = this.earlier.length === 0 ? [this.decode(this.bytes, this.textStart, this.textEnd)] : this.lines();
    const enhanced = enhancedStatusCode(lines[0]!, this.code);
    if (enhanced === undefined) {
      return { code: this.code, text: lines.join("\n") };
    }
    const prefix = `${enhanced} `;
    const text = lines
      .map((line) => (line.startsWith(prefix) ? line.slice(prefix.length) : line === enhanced ? "" : line))
      .join("\n");
    return { code: this.code, enhanced, text };
  }

  private carry(rest: Uint8Array): void {
    const octets = this.partialOctets + rest.length;
    // The CR may have come while its LF has not.
    if (octets > MAX_LINE_OCTETS + 1) {
      this.refuse(`a reply line of more than ${MAX_LINE_OCTETS} octets`);
      return;
    }
    if (this.partial.length === 0) {
      this.partial = new Uint8Array(MAX_LINE_OCTETS + 1);
    }
    this.partial.set(rest, this.partialOctets);
    this.partialOctets = octets;
  }

  private endLine(chunk: Uint8Array, start: number, end: number): void {
    if (this.partialOctets === 0) {
      this.line(chunk, start, end);
      return;
    }
    this.carry(chunk.subarray(start, end));
    if (this.isStopped) {
      return;
    }
    const octets = this.partialOctets;
    this.partialOctets = 0;
    // A CR that ended the last chunk was not followed by LF if it stands inside the joined line.
    const cr = this.partial.subarray(0, octets).indexOf(CR);
    if (cr !== -1 && cr !== octets - 1) {
      this.refuse("a bare CR in a reply");
    } else {
      this.line(this.partial, 0, octets);
    }
  }

  /** One line without its LF. */
  private line(bytes: Uint8Array, start: number, lf: number): void {
    const end = lf > start && bytes[lf - 1] === CR ? lf - 1 : lf;
    if (end - start > MAX_LINE_OCTETS) {
      return this.refuse(`a reply line of more than ${MAX_LINE_OCTETS} octets`);
    }
    const code = replyCode(bytes, start, end);
    const separator = end - start > 3 ? bytes[start + 3]! : SPACE;
    if (code === 0 || (separator !== SPACE && separator !== HYPHEN)) {
      return this.refuse("a line that is no reply");
    }
    if (this.earlier.length > 0 && code !== this.code) {
      return this.refuse("a multiline reply whose codes differ");
    }
    this.code = code;
    const textStart = Math.min(start + 4, end);
    if (separator === HYPHEN) {
      this.earlierOctets += end - start + 2;
      this.earlier.push(this.decode(bytes, textStart, end));
      if (this.earlier.length >= this.maxLines) {
        this.refuse(`a reply of more than ${this.maxLines} lines`);
      } else if (this.earlierOctets > this.maxOctets) {
        this.refuse(`a reply of more than ${this.maxOctets} octets`);
      }
      return;
    }
    this.bytes = bytes;
    this.textStart = textStart;
    this.textEnd = end;
    this.sink.replyRead(this);
    if (this.earlier.length === 0) {
      return;
    }
    this.earlier = [];
    this.earlierOctets = 0;
  }

  private refuse(what: string): void {
    this.stop();
    this.sink.malformed(what);
  }

  private decode(bytes: Uint8Array, start: number, end: number): string {
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
  }
}

/** RFC 5321 4.2, with any second digit. 0 where the line has none. */
function replyCode(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 3) {
    return 0;
  }
  const first = bytes[start]! - 48;
  const second = bytes[start + 1]! - 48;
  const third = bytes[start + 2]! - 48;
  if (first < 1 || first > 5 || second < 0 || second > 9 || third < 0 || third > 9) {
    return 0;
  }
  return first * 100 + second * 10 + third;
}

/** RFC 2034: class, subject and detail; the class is the first digit of the code. */
function enhancedStatusCode(line: string, code: number): string | undefined {
  if (line.charCodeAt(1) !== 46 /* . */) {
    return undefined;
  }
  const found = /^([245])\.\d{1,3}\.\d{1,3}(?= |$)/.exec(line);
  return found !== null && found[1] === String(Math.trunc(code / 100)) ? found[0] : undefined;
}
