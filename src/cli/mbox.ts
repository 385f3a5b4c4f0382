/**
 * Cuts an mbox (RFC 4155, mboxrd quoting) into messages while it is read, for mail-source.ts.
 * A short message is handed on as one Buffer; a long one as a stream, of which the cutter holds one piece at a time.
 */
import type { Content } from "../api.js";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const QUOTE = 0x3e;
const FROM_F = 0x46;
const POSTMARK = Buffer.from("From ");
/** Messages up to this size travel whole, so that several can be under way at once. */
const WHOLE_OCTETS = 256 * 1024;
/** A line is looked at whole up to this length; what follows is passed through. */
const LINE_OCTETS = 64 * 1024;

/** One message of an mbox. */
export interface MboxMessage {
  readonly content: Content;
  /** The content is read from the mbox while it is sent: the next message comes only after this one is done with. */
  readonly isStreamed: boolean;
}

/** A piece of a message, or the postmark that starts one. */
type Piece = Buffer | "postmark";

/** Cuts chunks at what is not simply passed on; everything between is handed on as it lies in the chunk. */
class Cutter {
  /** The start of a line whose newline has not come. */
  private held: Buffer = Buffer.alloc(0);
  /** A blank line before a postmark, or before the end, belongs to the mbox and not to the message: it waits for its neighbour. */
  private blank: Buffer | undefined;
  private isFirst = true;
  /** False behind the first part of a line that was too long to wait for. */
  private isLineStart = true;
  private pieces: Piece[] = [];

  push(chunk: Buffer): Piece[] {
    const bytes = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
    let searchFrom = this.held.length;
    let runStart = 0;
    let lineStart = 0;
    for (let end = bytes.indexOf(NEWLINE, searchFrom); end !== -1; end = bytes.indexOf(NEWLINE, searchFrom)) {
      searchFrom = end + 1;
      if (this.isPlain(bytes[lineStart])) {
        lineStart = searchFrom;
        this.isFirst = false;
      } else {
        this.pass(bytes.subarray(runStart, lineStart));
        this.takeLine(bytes.subarray(lineStart, searchFrom));
        runStart = searchFrom;
        lineStart = searchFrom;
      }
      this.isLineStart = true;
    }
    this.pass(bytes.subarray(runStart, lineStart));
    this.held = bytes.subarray(lineStart);
    if (this.held.length > LINE_OCTETS) {
      this.takeLine(this.held);
      this.isLineStart = false;
      this.held = Buffer.alloc(0);
    }
    return this.pieces.splice(0);
  }

  finish(): Piece[] {
    if (this.held.length > 0) {
      this.takeLine(this.held);
    }
    return this.pieces.splice(0);
  }

  /** Neither postmark, nor quoted, nor blank, nor behind a blank line. */
  private isPlain(first: number | undefined): boolean {
    if (this.blank !== undefined) {
      return false;
    }
    return !this.isLineStart || (first !== FROM_F && first !== QUOTE && first !== NEWLINE && first !== RETURN);
  }

  private pass(bytes: Buffer): void {
    if (bytes.length > 0) {
      this.pieces.push(bytes);
    }
  }

  private takeLine(line: Buffer): void {
    const couldBePostmark = this.isLineStart && (this.isFirst || this.blank !== undefined);
    const { blank } = this;
    this.isFirst = false;
    this.blank = undefined;
    if (couldBePostmark && line.subarray(0, POSTMARK.length).equals(POSTMARK)) {
      this.pieces.push("postmark");
      return;
    }
    if (blank !== undefined) {
      this.pass(blank);
    }
    if (!this.isLineStart) {
      this.pass(line);
    } else if (line[0] === NEWLINE || (line[0] === RETURN && line[1] === NEWLINE)) {
      this.blank = line;
    } else {
      this.pass(isQuotedPostmark(line) ? line.subarray(1) : line);
    }
  }
}

/** `>From `, `>>From ` and so on: mboxrd puts one more `>` before each. */
function isQuotedPostmark(line: Buffer): boolean {
  let at = 0;
  while (line[at] === QUOTE) {
    at++;
  }
  return at > 0 && line.subarray(at, at + POSTMARK.length).equals(POSTMARK);
}

async function* piecesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  const cutter = new Cutter();
  for await (const { buffer, byteOffset, byteLength } of input) {
    yield* cutter.push(Buffer.from(buffer, byteOffset, byteLength));
  }
  yield* cutter.finish();
}

/** The messages of an mbox, in order. What of a streamed message was not read is skipped when the next is asked for. */
export async function* readMbox(input: AsyncIterable<Uint8Array>): AsyncGenerator<MboxMessage> {
  const source = piecesOf(input);
  let next = await source.next();
  if (next.value !== "postmark") {
    throw new Error('this is no mbox: it does not start with "From "');
  }
  while (next.done !== true) {
    const start: Buffer[] = [];
    let octets = 0;
    for (next = await source.next(); isBody(next); next = await source.next()) {
      start.push(next.value);
      octets += next.value.length;
      if (octets > WHOLE_OCTETS) {
        break;
      }
    }
    if (!isBody(next)) {
      yield { content: Buffer.concat(start), isStreamed: false };
      continue;
    }
    const rest = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.concat(start.splice(0));
      for (next = await source.next(); isBody(next); next = await source.next()) {
        yield next.value;
      }
    };
    yield { content: rest(), isStreamed: true };
    while (isBody(next)) {
      next = await source.next();
    }
  }
}

function isBody(result: IteratorResult<Piece>): result is IteratorYieldResult<Buffer> {
  return result.done !== true && result.value !== "postmark";
}
