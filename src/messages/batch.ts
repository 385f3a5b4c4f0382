/** How a batch is built and read, in either direction: numbers, strings, and the memory of contents. */

/** What one postMessage carries: numbers and strings in the order of the records, and the memory of contents, which is transferred. */
export type Batch = [numbers: Int32Array, strings: string[], buffers: ArrayBuffer[]];

/** No content, no number. */
export const NONE = -1;

const MAX_INT32 = 0x7fffffff;

/** A time that fits a record; milliseconds are exact enough for it. */
export function toInt32(value: number): number {
  return value > MAX_INT32 ? MAX_INT32 : value | 0;
}

/** Gathers the records of a batch. Serialising copies everything but the buffers, so that one writer serves for ever. */
export class BatchWriter {
  private numbers = new Int32Array(1024);
  private length = 0;
  private readonly strings: string[] = [];
  protected buffers: ArrayBuffer[] = [];

  /** Whether there is nothing to send. */
  get isEmpty(): boolean {
    return this.length === 0;
  }

  /** How many numbers stand in the batch: a measure of its size. */
  get size(): number {
    return this.length;
  }

  protected number(value: number): void {
    this.numbers[this.length++] = value;
  }

  protected string(value: string): void {
    this.strings.push(value);
  }

  /** Makes room for `count` numbers. */
  protected reserve(count: number): void {
    if (this.length + count <= this.numbers.length) {
      return;
    }
    const grown = new Int32Array(Math.max(this.numbers.length * 2, this.length + count));
    grown.set(this.numbers.subarray(0, this.length));
    this.numbers = grown;
  }

  /** Drops what has gathered. */
  clear(): void {
    this.length = 0;
    this.strings.length = 0;
    this.buffers = [];
  }

  /** Hands the batch to `post`, which must serialise it before it returns, and starts the next one. */
  flush(post: (batch: Batch, transfer: ArrayBuffer[]) => void): void {
    const { buffers } = this;
    // A view is cloned with the whole buffer below it: only a copy is as short as the batch.
    const numbers = this.numbers.slice(0, this.length);
    this.length = 0;
    this.buffers = [];
    try {
      post([numbers, this.strings, buffers], buffers);
    } finally {
      this.strings.length = 0;
    }
  }
}
