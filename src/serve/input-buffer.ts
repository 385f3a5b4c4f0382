/** Octets that arrived and make no whole request yet: one growing buffer, of which every octet is copied and searched once. Serves the parsers. */

/** A client broke the protocol: nothing after it can be understood, and its connection ends. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";

  /** @param reply what the client is told before the connection ends; empty for nothing */
  constructor(
    message: string,
    readonly reply = "",
  ) {
    super(message);
  }
}

const LF = 10;
const CR = 13;

/** A buffer to take requests from. */
export class InputBuffer {
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  /** No LF stands before it. */
  #searched = 0;
  /** Whether `#bytes` is a chunk of the socket's, which must not be written to. */
  #isBorrowed = false;

  get length(): number {
    return this.#end - this.#start;
  }

  /** Octets that are held, used or not. */
  get capacity(): number {
    return this.#bytes.length;
  }

  receive(chunk: Buffer): void {
    const { length } = this;
    if (length === 0) {
      // Most chunks are whole requests: nothing is copied.
      this.#bytes = chunk;
      this.#isBorrowed = true;
      this.#start = 0;
      this.#searched = 0;
      this.#end = chunk.length;
      return;
    }
    if (this.#isBorrowed || this.#end + chunk.length > this.#bytes.length) {
      this.#move(length + chunk.length);
    }
    chunk.copy(this.#bytes, this.#end);
    this.#end += chunk.length;
  }

  /** The octet at an offset from the first, or -1. */
  at(offset: number): number {
    return offset < this.length ? this.#bytes[this.#start + offset]! : -1;
  }

  /** Takes so many octets as UTF-8. They must be there. */
  take(length: number): string {
    const text = this.#bytes.toString("utf8", this.#start, this.#start + length);
    this.skip(length);
    return text;
  }

  skip(length: number): void {
    this.#start += length;
    if (this.#searched < this.#start) {
      this.#searched = this.#start;
    }
    if (this.#start === this.#end) {
      this.#release();
    }
  }

  /**
   * The next line without its LF or CRLF, or `undefined` when it is not whole yet.
   *
   * @param most octets of a line, its end not counted
   * @throws ProtocolError when it is longer, whether whole or not
   */
  takeLine(most: number, whatIsTooLong = "a line"): string | undefined {
    const end = this.#bytes.subarray(0, this.#end).indexOf(LF, this.#searched);
    const length = (end === -1 ? this.#end : end) - this.#start;
    if (length > most + 1) {
      throw new ProtocolError(`${whatIsTooLong} is longer than ${most} octets`);
    }
    if (end === -1) {
      this.#searched = this.#end;
      return undefined;
    }
    const hasCr = length > 0 && this.#bytes[end - 1] === CR;
    const line = this.#bytes.toString("utf8", this.#start, hasCr ? end - 1 : end);
    this.skip(length + 1);
    return line;
  }

  #move(needed: number): void {
    const { length } = this;
    const target = needed > this.#bytes.length || this.#isBorrowed ? Buffer.allocUnsafeSlow(2 * needed) : this.#bytes;
    this.#bytes.copy(target, 0, this.#start, this.#end);
    this.#searched -= this.#start;
    this.#bytes = target;
    this.#isBorrowed = false;
    this.#start = 0;
    this.#end = length;
  }

  #release(): void {
    this.#bytes = Buffer.alloc(0);
    this.#start = 0;
    this.#end = 0;
    this.#searched = 0;
    this.#isBorrowed = false;
  }
}
