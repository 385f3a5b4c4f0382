/** Sends the parts of contents to the worker, and keeps the memory that it gives back for the next ones. Serves mailbox.ts; asked by content.ts. */
import { PART_OCTETS, type RequestWriter } from "../messages/requests.js";
import type { PartSink } from "./content.js";
import type { SlotTable } from "./slot.js";

/** Memory kept: as much as two streams have on their way. */
const MOST_SPARE_PARTS = 8;

export class PartSender implements PartSink {
  private readonly spareParts: ArrayBuffer[] = [];

  /** @param written called after something was written: it is to be posted */
  constructor(
    private readonly slots: SlotTable,
    private readonly writer: RequestWriter,
    private readonly written: () => void,
  ) {}

  spare(): ArrayBuffer {
    return this.spareParts.pop() ?? (Buffer.allocUnsafeSlow(PART_OCTETS).buffer as ArrayBuffer);
  }

  /** The worker needs this memory no more. */
  recycled(buffer: ArrayBuffer): void {
    if (this.spareParts.length < MOST_SPARE_PARTS) {
      this.spareParts.push(buffer);
    }
  }

  part(index: number, buffer: ArrayBuffer, octets: number, isLast: boolean): void {
    const slot = this.slots.at(index);
    const counted = Math.min(octets, slot.octets);
    slot.octets -= counted;
    slot.load.octets -= counted;
    this.writer.contentPart(index, buffer, octets, isLast);
    this.written();
  }

  contentFailed(index: number, error: unknown): void {
    this.slots.at(index).contentError = error;
    this.writer.contentFailed(index, error instanceof Error ? error.message : String(error));
    this.written();
  }
}
