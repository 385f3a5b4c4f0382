/**
 * The lines of an mbox, told apart: what starts a message, what is quoted, what a header says of its body's length. Serves mbox.ts.
 * Everything between is handed on as it lies in the chunk.
 */
import { UsageError } from "./exit-codes.js";
import { beginsWithFrom, isFromLine } from "./from-line.js";
import { type BodyCount, endsInBlankLine, isQuotedFrom, readBodyCount } from "./mbox-body.js";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const QUOTE = 0x3e;
const FROM_F = 0x46;
/** `Content-Length` and `Lines`, in either case. */
const COUNTS = new Set(Buffer.from("CcLl"));
const NOTHING = Buffer.alloc(0);
/** A line is looked at whole up to this length; what follows is passed through. */
const LINE_OCTETS = 64 * 1024;

/** The start of a message, octets of it, or what somebody should know of it. */
export type Piece = "message" | Buffer | { readonly note: string };

/** Tells lines apart, chunk by chunk. */
export class MboxLines {
  /** What was found, in order; for the caller to take away. */
  readonly pieces: Piece[] = [];
  /** Where the next line stands. `counted`: it is the first of a body whose length the header tells, and waits for somebody to look. */
  section: "start" | "header" | "counted" | "body" = "start";
  private counts: BodyCount[] = [];
  /** A blank line in front of a separator, or of the end, belongs to the mbox and not to the message: it waits for its neighbour. */
  private blank: Buffer | undefined;
  /** False behind the first part of a line that was too long to wait for. */
  private isLineStart = true;
  /** Octets and lines in front of the next line. */
  private octets = 0;
  private lines = 0;
  /** Until where a count that nobody could check says that the body goes. */
  private doubt: { readonly untilOctet: number; readonly untilLine: number } | undefined;
  private hasNote = false;

  /** Takes lines from the front, up to the end of a header that counts its body. Returns how many octets it took. */
  take(bytes: Buffer, isLast: boolean): number {
    const start = this.octets;
    let runStart = 0;
    let lineStart = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, lineStart)) {
      if (!this.isPlain(bytes[lineStart])) {
        this.pass(bytes.subarray(runStart, lineStart));
        this.takeLine(bytes.subarray(lineStart, end + 1));
        runStart = end + 1;
      }
      lineStart = end + 1;
      this.isLineStart = true;
      this.octets = start + lineStart;
      this.lines++;
      if (this.section === "counted") {
        return lineStart;
      }
    }
    this.pass(bytes.subarray(runStart, lineStart));
    const rest = bytes.subarray(lineStart);
    if (rest.length === 0 || (!isLast && rest.length <= LINE_OCTETS)) {
      return lineStart;
    }
    this.takeLine(rest);
    this.isLineStart = false;
    this.octets += rest.length;
    return bytes.length;
  }

  /** What the header says of the length of the body that comes now. */
  takeCounts(): BodyCount[] {
    return this.counts.splice(0);
  }

  /** The body that comes now was counted right: it is handed on by somebody else, and a separator or the end follows. */
  passCounted(body: Buffer, lines: number): void {
    this.pass(this.blank ?? NOTHING);
    this.blank = endsInBlankLine(body) ? NOTHING : undefined;
    this.octets += body.length;
    this.lines += lines;
    this.section = "body";
  }

  /** No count fits. `unchecked` leads further than anybody could look: a separator before its end would leave two ways to read the mbox. */
  passUncounted(unchecked: BodyCount | undefined): void {
    this.section = "body";
    if (unchecked === undefined) {
      return;
    }
    const { unit, amount } = unchecked;
    this.doubt = {
      untilOctet: unit === "octets" ? this.octets + amount : 0,
      untilLine: unit === "lines" ? this.lines + amount : 0,
    };
  }

  /** Can be neither a separator nor quoted, nor blank, nor a count, and does not stand behind a blank line. */
  private isPlain(first: number | undefined): boolean {
    if (this.blank !== undefined || this.section === "start") {
      return false;
    }
    if (!this.isLineStart) {
      return true;
    }
    if (first === FROM_F || first === QUOTE || first === NEWLINE || first === RETURN) {
      return false;
    }
    return this.section === "body" || !COUNTS.has(first ?? 0);
  }

  private pass(bytes: Buffer): void {
    if (bytes.length > 0) {
      this.pieces.push(bytes);
    }
  }

  private takeLine(line: Buffer): void {
    if (!this.isLineStart) {
      return this.pass(line);
    }
    const { blank } = this;
    const isBehindBlank = blank !== undefined || this.section === "start";
    if (beginsWithFrom(line)) {
      const isSeparator = isFromLine(line);
      if (isSeparator && isBehindBlank) {
        return this.separate();
      }
      if (isSeparator || isBehindBlank) {
        this.note(isSeparator);
      }
    }
    if (blank !== undefined) {
      this.pass(blank);
    }
    this.blank = undefined;
    if (line[0] === NEWLINE || (line[0] === RETURN && line[1] === NEWLINE)) {
      this.blank = line;
      if (this.section === "header") {
        this.section = this.counts.length > 0 ? "counted" : "body";
      }
      return;
    }
    if (this.section === "header") {
      const count = readBodyCount(line);
      if (count !== undefined) {
        this.counts.push(count);
      }
    }
    this.pass(isQuotedFrom(line) ? line.subarray(1) : line);
  }

  private separate(): void {
    const { doubt } = this;
    if (doubt !== undefined && (this.octets < doubt.untilOctet || this.lines < doubt.untilLine)) {
      throw new UsageError(
        `nobody can tell whether line ${this.lines + 1} starts a message: the header before it counts a longer body, too long to look at its end; correct the count, or remove it`,
      );
    }
    this.doubt = undefined;
    this.blank = undefined;
    this.counts = [];
    this.hasNote = false;
    this.section = "header";
    this.pieces.push("message");
  }

  /** Once for a message: text that looks like a separator, or a separator that this reader does not know. */
  private note(isFromLine: boolean): void {
    if (this.hasNote) {
      return;
    }
    this.hasNote = true;
    const reason = isFromLine ? "no empty line stands before it" : "it has no address and date";
    this.pieces.push({
      note: `line ${this.lines + 1} of the mbox begins with "From " and was taken for text: ${reason}`,
    });
  }
}
