/** Gathers what a connection writes in one turn. Small pieces are laid end to end in a slab; large ones are passed on as they are. */

const SLAB_OCTETS = 128 * 1024;
/** From this size on a copy costs more than one more entry of a gathered write. */
const PASS_ON_OCTETS = 16 * 1024;

/** A slab's octets are written once, unless the socket is known to hold none of them any more: see {@link SendBuffer.rewind}. */
export class SendBuffer {
  private slab = Buffer.alloc(0);
  private start = 0;
  private end = 0;
  private pieces: Uint8Array[] = [];
  /** Octets gathered and not yet taken. */
  octets = 0;

  writeText(text: string): void {
    this.reserve(text.length * 3);
    const written = this.slab.write(text, this.end);
    this.end += written;
    this.octets += written;
  }

  writeBytes(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length >= PASS_ON_OCTETS) {
      this.closePiece();
      this.pieces.push(bytes);
    } else {
      this.reserve(length);
      this.slab.set(bytes, this.end);
      this.end += length;
    }
    this.octets += length;
  }

  /** What was gathered, in order; the buffer is empty afterwards. */
  take(): Uint8Array[] {
    this.closePiece();
    const taken = this.pieces;
    this.pieces = [];
    this.octets = 0;
    return taken;
  }

  /** Nobody holds anything that was taken: the slab begins anew. That spares its allocation, and its memory stays in the processor's cache. */
  rewind(): void {
    if (this.pieces.length > 0 || this.start !== this.end) {
      return;
    }
    this.start = 0;
    this.end = 0;
  }

  private reserve(octets: number): void {
    if (this.end + octets <= this.slab.length) {
      return;
    }
    this.closePiece();
    this.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_OCTETS, octets));
    this.start = 0;
    this.end = 0;
  }

  private closePiece(): void {
    if (this.end === this.start) {
      return;
    }
    this.pieces.push(this.slab.subarray(this.start, this.end));
    this.start = this.end;
  }
}
