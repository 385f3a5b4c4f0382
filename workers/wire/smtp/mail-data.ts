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

  constructor(private readonly sink: OctetSink) {}

  push(chunk: Uint8Array): void {
    const { length } = chunk;
    if (length === 0) {
      return;
    }
    this.isEmpty = false;
    let from = 0;
    const at = this.hasOpenCr ? this.closeCr(chunk) : 0;
    if (at === length) {
      return this.sink.write(chunk);
    }
    if (this.isAtLineStart && chunk[at] === DOT) {
      if (at > 0) {
        this.sink.write(chunk.subarray(0, at));
      }
      this.sink.write(LONE_DOT);
      from = at;
    }
    this.isAtLineStart = false;
    // The native search is several times faster than a loop over octets; a line end costs two short calls.
    const octets = asBuffer(chunk);
    let lf = find(octets, LF, at);
    let cr = find(octets, CR, at);
    while (lf < length || cr < length) {
      let end = lf;
      if (cr + 1 !== lf || lf === length) {
        if (cr + 1 === length && lf === length) {
          this.hasOpenCr = true;
          break;
        }
        end = Math.min(lf, cr);
        if (end > from) {
          this.sink.write(chunk.subarray(from, end));
        }
        this.sink.write(CRLF);
        from = end + 1;
      }
      if (end + 1 === length) {
        this.isAtLineStart = true;
      } else if (chunk[end + 1] === DOT) {
        if (end + 1 > from) {
          this.sink.write(chunk.subarray(from, end + 1));
        }
        this.sink.write(LONE_DOT);
        from = end + 1;
      }
      if (lf <= end) {
        lf = find(octets, LF, end + 1);
      }
      if (cr <= end) {
        cr = find(octets, CR, end + 1);
      }
    }
    if (from === 0) {
      this.sink.write(chunk);
    } else if (from < length) {
      this.sink.write(chunk.subarray(from));
    }
  }

  /** Ends the line whose CR was the last octet. Returns how many octets of what follows belong to its end. */
  private closeCr(next: Uint8Array): 0 | 1 {
    this.hasOpenCr = false;
    this.isAtLineStart = true;
    if (next[0] === LF) {
      return 1;
    }
    this.sink.write(LONE_LF);
    return 0;
  }

  /** Ends the last line where it has no end. */
  private endLine(): void {
    if (this.hasOpenCr) {
      this.sink.write(LONE_LF);
    } else if (!this.isAtLineStart && !this.isEmpty) {
      this.sink.write(CRLF);
    }
    this.hasOpenCr = false;
    this.isAtLineStart = true;
  }

  /** Ends the last line and the mail data. Nothing can be taken back after this. */
  finish(): void {
    this.endLine();
    this.sink.write(TERMINATOR);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Where the octet stands next; the length where it does not. */
function find(octets: Buffer, octet: number, from: number): number {
  const at = octets.indexOf(octet, from);
  return at === -1 ? octets.length : at;
}
