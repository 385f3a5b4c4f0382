/** The content of a message on its way through the gateway: a trace line in front, octets counted, never held. Serves gateway.ts. */
import type { Readable } from "node:stream";
import { RelaypostError } from "../errors.js";

/** RFC 5321 6.3: so many trace lines are a loop. */
const MOST_HOPS = 100;
/** A field that is longer is known by its beginning. */
const MOST_TAIL_OCTETS = 1_200;
/** A longer header is not searched for trace lines to its end. */
const MOST_HEADER_OCTETS = 256 * 1024;

/** Why the gateway itself ends a message. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    readonly code: number,
    text: string,
  ) {
    super(text);
  }
}

/** Reads a client's message as the host's connection takes it. */
export class MailContent {
  /** Octets of the client's message so far. */
  octets = 0;
  /** When the host's connection began to take it, by `performance.now()`. */
  firstReadMs: number | undefined;
  /** As the client's message has it, brackets included; nobody has checked it. */
  messageId: string | undefined;
  readonly #source: Readable;
  readonly #trace: string;
  readonly #mostOctets: number;
  readonly #whenComplete: () => void;
  #hops = 0;
  #fieldTail = "\n";
  #isHeader = true;

  /** @param trace the `Received:` line, with its CRLF */
  constructor(source: Readable, trace: string, mostOctets: number, whenComplete: () => void) {
    this.#source = source;
    this.#trace = trace;
    this.#mostOctets = mostOctets;
    this.#whenComplete = whenComplete;
  }

  /** Ends with an error rather than with less than the whole message. */
  async *read(): AsyncGenerator<Uint8Array> {
    this.firstReadMs = performance.now();
    yield Buffer.from(this.#trace);
    // The client is still to be heard out when the host refuses in the middle.
    for await (const chunk of this.#source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      this.octets += chunk.length;
      if (this.octets > this.#mostOctets) {
        throw new Refusal(552, `5.3.4 the message is larger than ${this.#mostOctets} octets`);
      }
      if (this.#isHeader) {
        this.#readHeader(chunk);
      }
      yield chunk;
    }
    this.#whenComplete();
  }

  /** What to tell when the message could not be relayed because of what stands in it. */
  static refusalIn(error: unknown): Refusal | undefined {
    if (error instanceof Refusal) {
      return error;
    }
    return error instanceof RelaypostError && error.cause instanceof Refusal ? error.cause : undefined;
  }

  #readHeader(chunk: Buffer): void {
    const text = this.#fieldTail + chunk.toString("latin1");
    const end = /\n\r?\n/.exec(text)?.index ?? -1;
    const header = end === -1 ? text : text.slice(0, end);
    // A field that the chunk cuts in two is read with the next chunk.
    const tailStart = end === -1 ? lastFieldOf(header) : header.length;
    const whole = header.slice(0, tailStart);
    this.#hops += whole.match(/\nreceived[ \t]*:/gi)?.length ?? 0;
    this.messageId ??= /\nmessage-id[ \t]*:(?:\r?\n[ \t]|[ \t])*([^\s]+)/i.exec(whole)?.[1];
    this.#fieldTail = end === -1 ? header.slice(tailStart, tailStart + MOST_TAIL_OCTETS) : "";
    if (end !== -1 || this.octets > MOST_HEADER_OCTETS) {
      this.#isHeader = false;
    }
    if (this.#hops > MOST_HOPS) {
      throw new Refusal(554, "5.4.6 too many hops: this message goes round in a circle");
    }
  }
}

/** Where the last field of a header begins that may not be whole: at a line's end that no white space follows (RFC 5322 2.2.3). */
function lastFieldOf(header: string): number {
  let at = header.lastIndexOf("\n");
  while (at > 0 && /^[ \t]|^$/.test(header.charAt(at + 1))) {
    at = header.lastIndexOf("\n", at - 1);
  }
  return Math.max(0, at);
}
