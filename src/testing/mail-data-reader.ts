/**
 * Reads mail data as RFC 5321 4.5.2 has it: only CRLF "." CRLF ends it, and a dot that begins a line is dropped.
 * mail-session.ts feeds it; it reports what a strict receiver objects to, since that is where smuggling begins.
 */

type Place = "line start" | "text" | "after CR" | "dot" | "dot CR";

const CR = 13;
const LF = 10;
const DOT = 46;

/** One message's data, as it arrives. */
export class MailDataReader {
  /** The data ended with its terminator. */
  isComplete = false;
  /** An LF without CR before it. */
  hasBareLf = false;
  /** A CR without LF behind it. */
  hasBareCr = false;
  /** An octet past 127. */
  hasEightBit = false;
  /** Octets of content, dots un-stuffed, without the terminator. */
  sizeOctets = 0;

  readonly #sink: (part: Buffer) => void;
  /** A line may begin here: at the start, and behind CRLF. */
  #place: Place = "line start";

  /** Un-stuffed content goes to `sink` in parts, valid as long as the chunk they came in. */
  constructor(sink: (part: Buffer) => void) {
    this.#sink = sink;
  }

  /** Takes `chunk` from `start`; returns the index behind the terminator, or the chunk's length. */
  push(chunk: Buffer, start: number): number {
    let place = this.#place;
    let partStart = start;
    for (let at = start; at < chunk.length; at++) {
      const octet = chunk[at]!;
      if (octet > 127) {
        this.hasEightBit = true;
      }
      if (octet === LF) {
        if (place === "dot CR") {
          this.isComplete = true;
          return at + 1;
        }
        if (place !== "after CR") {
          this.hasBareLf = true;
        }
        place = place === "after CR" ? "line start" : "text";
        continue;
      }
      if (place === "after CR" || place === "dot CR") {
        this.hasBareCr = true;
      }
      // ".CR" held back its CR in case it was the terminator; here it turns out to be content.
      if (place === "dot CR") {
        this.#emitHeldCr();
        partStart = at;
        place = "text";
      }
      if (octet === CR) {
        if (place === "dot") {
          place = "dot CR";
          partStart = at + 1;
        } else {
          place = "after CR";
        }
      } else if (octet === DOT && place === "line start") {
        this.#emit(chunk, partStart, at);
        partStart = at + 1;
        place = "dot";
      } else {
        place = "text";
      }
    }
    // Behind "dot" and "dot CR" partStart is at the end already.
    this.#emit(chunk, partStart, chunk.length);
    this.#place = place;
    return chunk.length;
  }

  #emit(chunk: Buffer, start: number, end: number): void {
    if (end <= start) {
      return;
    }
    this.sizeOctets += end - start;
    this.#sink(chunk.subarray(start, end));
  }

  #emitHeldCr(): void {
    this.sizeOctets += 1;
    this.#sink(Buffer.from("\r"));
  }
}
