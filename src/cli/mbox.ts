/**
 * Cuts an mbox (RFC 4155, mboxrd quoting) into messages while it is read, for mail-source.ts.
 * A short message is handed on as one Buffer; a long one as a stream, of which the cutter holds one piece at a time.
 */
import type { Content } from "../api.js";

const NEWLINE = 10;
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

/** Postmarks and unquoted lines. The blank line before a postmark, or before the end, belongs to the mbox and not to the message. */
async function* pieces(input: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  let blank: Buffer | undefined;
  let isFirst = true;
  for await (const { bytes, isStart } of lines(input)) {
    const isPostmark = isStart && (isFirst || blank !== undefined) && bytes.subarray(0, 5).equals(POSTMARK);
    isFirst = false;
    if (isPostmark) {
      blank = undefined;
      yield "postmark";
      continue;
    }
    if (blank !== undefined) yield blank;
    blank = undefined;
    if (isStart && isBlank(bytes)) blank = bytes;
    else yield isStart && isQuotedPostmark(bytes) ? bytes.subarray(1) : bytes;
  }
}

function isBlank(line: Buffer): boolean {
  return line[0] === NEWLINE || (line[0] === 13 && line[1] === NEWLINE);
}

/** `>From `, `>>From ` and so on: mboxrd puts one more `>` before each. */
function isQuotedPostmark(line: Buffer): boolean {
  let at = 0;
  while (line[at] === 0x3e) at++;
  return at > 0 && line.subarray(at, at + 5).equals(POSTMARK);
}

/** Lines with their newline. The rest of a very long one comes in pieces that are no start. */
async function* lines(input: AsyncIterable<Uint8Array>): AsyncGenerator<{ bytes: Buffer; isStart: boolean }> {
  let held: Buffer = Buffer.alloc(0);
  let isStart = true;
  for await (const part of input) {
    const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    let bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    for (let end = bytes.indexOf(NEWLINE, held.length); end !== -1; end = bytes.indexOf(NEWLINE)) {
      yield { bytes: bytes.subarray(0, end + 1), isStart };
      isStart = true;
      bytes = bytes.subarray(end + 1);
      held = Buffer.alloc(0);
    }
    held = bytes;
    if (held.length > LINE_OCTETS) {
      yield { bytes: held, isStart };
      isStart = false;
      held = Buffer.alloc(0);
    }
  }
  if (held.length > 0) yield { bytes: held, isStart };
}

/** The messages of an mbox, in order. What of a streamed message was not read is skipped when the next is asked for. */
export async function* readMbox(input: AsyncIterable<Uint8Array>): AsyncGenerator<MboxMessage> {
  const source = pieces(input);
  let next = await source.next();
  if (next.value !== "postmark") throw new Error('this is no mbox: it does not start with "From "');
  while (next.done !== true) {
    const start: Buffer[] = [];
    let octets = 0;
    for (next = await source.next(); isBody(next); next = await source.next()) {
      start.push(next.value);
      octets += next.value.length;
      if (octets > WHOLE_OCTETS) break;
    }
    if (!isBody(next)) {
      yield { content: Buffer.concat(start), isStreamed: false };
      continue;
    }
    const rest = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.concat(start.splice(0));
      for (next = await source.next(); isBody(next); next = await source.next()) yield next.value;
    };
    yield { content: batched(rest()), isStreamed: true };
    while (isBody(next)) next = await source.next();
  }
}

function isBody(result: IteratorResult<Piece>): result is IteratorYieldResult<Buffer> {
  return result.done !== true && result.value !== "postmark";
}

/** Lines gathered into pieces worth sending. */
async function* batched(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let batch: Buffer[] = [];
  let octets = 0;
  for await (const piece of input) {
    batch.push(piece);
    octets += piece.length;
    if (octets < LINE_OCTETS) continue;
    yield Buffer.concat(batch);
    batch = [];
    octets = 0;
  }
  if (octets > 0) yield Buffer.concat(batch);
}
