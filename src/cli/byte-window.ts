/** A stream read through a window: looked at as far ahead as somebody needs, and handed on from the front. Serves mbox.ts and mail-source.ts. */

/** What was read of a stream and not handed on. */
export class ByteWindow {
  private chunks: Buffer[] = [];
  private readonly source: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  /** Octets in the window. */
  length = 0;
  /** The stream has ended: nothing comes behind what is here. */
  isLast = false;

  constructor(input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    this.source = Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
  }

  /** Everything in the window, made one buffer: what came since the last call is copied once. */
  join(): Buffer {
    if (this.chunks.length !== 1) {
      this.chunks = [Buffer.concat(this.chunks)];
    }
    return this.chunks[0]!;
  }

  /** Reads one more chunk. `undefined` when the stream has ended. */
  async readMore(): Promise<Buffer | undefined> {
    if (this.isLast) {
      return undefined;
    }
    const { done, value } = await this.source.next();
    if (done === true) {
      this.isLast = true;
      return undefined;
    }
    const chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    this.chunks.push(chunk);
    this.length += chunk.length;
    return chunk;
  }

  /** Reads until so many octets are here, or the stream has ended. */
  async readUntil(octets: number): Promise<void> {
    while (this.length < octets && (await this.readMore()) !== undefined) {}
  }

  /** Lets the first octets go. */
  drop(octets: number): void {
    const rest = this.join().subarray(octets);
    this.chunks = rest.length === 0 ? [] : [rest];
    this.length = rest.length;
  }

  /** Everything from here to the end, chunk by chunk. */
  async *rest(): AsyncGenerator<Buffer> {
    do {
      const bytes = this.join();
      this.drop(bytes.length);
      if (bytes.length > 0) {
        yield bytes;
      }
    } while ((await this.readMore()) !== undefined);
  }

  /** Ends the stream, read or not. */
  async close(): Promise<void> {
    await this.source.return?.();
  }
}
