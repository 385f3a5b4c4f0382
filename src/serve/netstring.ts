/** Netstrings (https://cr.yp.to/proto/netstrings.txt), sans IO. Serves socketmap.ts. */
import { InputBuffer, ProtocolError } from "./input-buffer.js";

const COLON = 58;
const COMMA = 44;
const ZERO = 48;
const NINE = 57;

/** Takes octets, gives the strings in them. */
export class NetstringParser {
  readonly #input = new InputBuffer();
  readonly #most: number;

  /** @param most octets of a string */
  constructor(most: number) {
    this.#most = most;
  }

  receive(chunk: Buffer): void {
    this.#input.receive(chunk);
  }

  /**
   * The next string, or `undefined` when it is not whole yet.
   *
   * @throws ProtocolError for anything that is no netstring, or a longer one; known from its first octets
   */
  next(): string | undefined {
    const input = this.#input;
    let length = 0;
    let digits = 0;
    for (;;) {
      const octet = input.at(digits);
      if (octet === -1) {
        return undefined;
      }
      if (octet === COLON && digits > 0) {
        break;
      }
      if (octet < ZERO || octet > NINE) {
        throw new ProtocolError("that is no netstring: its length is no number");
      }
      if (digits === 1 && length === 0) {
        throw new ProtocolError("that is no netstring: its length begins with a zero");
      }
      length = 10 * length + (octet - ZERO);
      digits++;
      if (length > this.#most) {
        throw new ProtocolError(`a request is longer than ${this.#most} octets`);
      }
    }
    const whole = digits + 1 + length + 1;
    if (input.length < whole) {
      return undefined;
    }
    if (input.at(whole - 1) !== COMMA) {
      throw new ProtocolError("that is no netstring: no comma at its end");
    }
    input.skip(digits + 1);
    const text = input.take(length);
    input.skip(1);
    return text;
  }
}

/** A text as a netstring, of UTF-8. */
export function netstring(text: string): string {
  return `${Buffer.byteLength(text)}:${text},`;
}
