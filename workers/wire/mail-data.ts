/**
 * Message content on its way to the wire: newlines made CRLF, dots stuffed (RFC 5321 4.5.2), across every chunk boundary.
 * Scans bytes and passes on what needs no change; builds no strings.
 *
 * Bare CR and bare LF never leave: a receiver that takes them for line ends would see another message inside this one.
 */

const LF = 10;
const CR = 13;
const DOT = 46;
const CRLF = new Uint8Array([CR, LF]);
const LONE_LF = new Uint8Array([LF]);
const LONE_DOT = new Uint8Array([DOT]);
const TERMINATOR = new Uint8Array([DOT, CR, LF]);

/** Where the octets go; they must not be changed afterwards. */
export interface OctetSink {
  write(octets: Uint8Array): void;
}

export class MailData {
  private isAtLineStart = true;
  /** A CR was the last octet; whether it is bare, the next one tells. */
  private hasOpenCr = false;
  private isEmpty = true;

  /** Without stuffing it serves BDAT. */
  constructor(
    private readonly sink: OctetSink,
    private readonly isStuffed = true,
  ) {}

  push(chunk: Uint8Array): void {
    const { length } = chunk;
    if (length === 0) return;
    this.isEmpty = false;
    let from = 0;
    let at = 0;
    if (this.hasOpenCr) {
      this.hasOpenCr = false;
      this.isAtLineStart = true;
      if (chunk[0] === LF) {
        at = 1;
        if (length === 1) return this.sink.write(chunk);
      } else {
        this.sink.write(LONE_LF);
      }
    }
    if (this.isAtLineStart && this.isStuffed && chunk[at] === DOT) {
      if (at > 0) this.sink.write(chunk.subarray(0, at));
      this.sink.write(LONE_DOT);
      from = at;
    }
    this.isAtLineStart = false;
    for (; at < length; at++) {
      const octet = chunk[at]!;
      if (octet > CR || (octet !== LF && octet !== CR)) continue;
      if (octet === CR && at + 1 === length) {
        this.hasOpenCr = true;
        break;
      }
      if (octet === CR && chunk[at + 1] === LF) {
        at++;
      } else {
        if (at > from) this.sink.write(chunk.subarray(from, at));
        this.sink.write(CRLF);
        from = at + 1;
      }
      if (at + 1 === length) this.isAtLineStart = true;
      else if (this.isStuffed && chunk[at + 1] === DOT) {
        if (at + 1 > from) this.sink.write(chunk.subarray(from, at + 1));
        this.sink.write(LONE_DOT);
        from = at + 1;
      }
    }
    if (from === 0) this.sink.write(chunk);
    else if (from < length) this.sink.write(chunk.subarray(from));
  }

  /** Ends the last line where it has no end. */
  endLine(): void {
    if (this.hasOpenCr) this.sink.write(LONE_LF);
    else if (!this.isAtLineStart && !this.isEmpty) this.sink.write(CRLF);
    this.hasOpenCr = false;
    this.isAtLineStart = true;
  }

  /** Ends the last line and the mail data. Nothing can be taken back after this. */
  finish(): void {
    this.endLine();
    this.sink.write(TERMINATOR);
  }
}

/** Whether content can go out as it is: every line ends with CRLF, the last one too. BDAT then needs no copy. */
export function hasCanonicalLines(content: Uint8Array): boolean {
  const { length } = content;
  if (length < 2 || content[length - 1] !== LF) return false;
  for (let at = 0; at < length; at++) {
    const octet = content[at]!;
    if (octet > CR || (octet !== LF && octet !== CR)) continue;
    if (octet === LF || content[at + 1] !== LF) return false;
    at++;
  }
  return true;
}
