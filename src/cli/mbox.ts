/**
 * Cuts an mbox into messages while it is read, for mail-source.ts: RFC 4155 with mboxrd's quoting, and the counted bodies of mboxcl and mboxcl2.
 * A short message is handed on as one Buffer; a long one as a stream, of which one piece at a time is held.
 */
import type { ByteWindow } from "./byte-window.js";
import { UsageError } from "./exit-codes.js";
import { FROM_LINE_OCTETS, firstLine, isFromLine } from "./from-line.js";
import { type BodyCount, countLines, findCountedBody, piecesOfCounted } from "./mbox-body.js";
import { MboxLines, type Piece } from "./mbox-lines.js";

/** Messages up to this size travel whole, so that several can be under way at once. */
const WHOLE_OCTETS = 256 * 1024;

/** One message of an mbox. */
export type MboxMessage = {
  /** What somebody should know of how it was cut out; complete when the content was read. */
  readonly notes: string[];
} & (
  | { readonly isStreamed: false; readonly content: Buffer }
  /** The content is read from the mbox while it is sent: the next message comes only after this one is done with. */
  | { readonly isStreamed: true; readonly content: AsyncGenerator<Buffer> }
);

/**
 * The messages of an mbox, in order. What of a streamed message was not read is skipped when the next is asked for.
 *
 * @throws UsageError where it is no mbox, or where nobody can tell where a message ends
 */
export async function* readMbox(window: ByteWindow): AsyncGenerator<MboxMessage> {
  await window.readUntil(FROM_LINE_OCTETS);
  if (!isFromLine(firstLine(window.join()))) {
    throw new UsageError('it is no mbox: its first line is not "From ", an address and a date');
  }
  const source = piecesOf(window);
  let next = await source.next();
  while (next.done !== true) {
    const notes: string[] = [];
    /** The next octets of this message. */
    const advance = async (): Promise<Buffer | undefined> => {
      for (;;) {
        next = await source.next();
        if (next.done === true || next.value === "message") {
          return undefined;
        }
        if (Buffer.isBuffer(next.value)) {
          return next.value;
        }
        notes.push(next.value.note);
      }
    };
    const start: Buffer[] = [];
    let octets = 0;
    let piece = await advance();
    for (; piece !== undefined && octets + piece.length <= WHOLE_OCTETS; piece = await advance()) {
      start.push(piece);
      octets += piece.length;
    }
    if (piece === undefined) {
      yield { content: Buffer.concat(start), isStreamed: false, notes };
      continue;
    }
    let failure: unknown;
    const rest = async function* (): AsyncGenerator<Buffer> {
      try {
        yield Buffer.concat(start.splice(0));
        for (; piece !== undefined; piece = await advance()) {
          yield piece;
        }
      } catch (error) {
        failure = error;
        throw error;
      }
    };
    yield { content: rest(), isStreamed: true, notes };
    // Whoever read the content has its error, and the messages behind it would be missed without a word.
    if (failure !== undefined) {
      throw failure;
    }
    while (piece !== undefined) {
      piece = await advance();
    }
  }
}

async function* piecesOf(window: ByteWindow): AsyncGenerator<Piece> {
  const lines = new MboxLines();
  for (;;) {
    window.drop(lines.take(window.join(), window.isLast));
    yield* lines.pieces.splice(0);
    if (lines.section === "counted") {
      yield* countedBody(window, lines);
    } else if (window.isLast) {
      return;
    } else {
      await window.readMore();
    }
  }
}

/** The body of a message whose header counts it, if a count fits; otherwise its lines are looked at like any others. */
async function* countedBody(window: ByteWindow, lines: MboxLines): AsyncGenerator<Piece> {
  let unchecked: BodyCount | undefined;
  for (const count of lines.takeCounts()) {
    const body = await findCountedBody(window, count);
    if (body === "too-long") {
      unchecked = count;
    } else if (body !== "wrong") {
      lines.passCounted(body, countLines(body));
      yield* lines.pieces.splice(0);
      yield* piecesOfCounted(body);
      window.drop(body.length);
      return;
    }
  }
  lines.passUncounted(unchecked);
}
