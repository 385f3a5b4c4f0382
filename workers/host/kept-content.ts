/**
 * The parts of a message's content that come from the gateway's thread, kept for the transactions that follow the first one: a stream
 * cannot be read twice. Serves split-relay.ts. What is too large to be kept can be read once.
 */
import type { ContentReceiver } from "../wire/smtp/tasks.js";

/** As much as a message may have to be sent more than once. */
const MOST_OCTETS = 32 * 1024 * 1024;

export class KeptContent {
  private parts: Uint8Array[] = [];
  private octets = 0;
  private isWhole = false;
  /** Asked of the gateway's thread and not come yet. */
  private awaited = 0;
  /** Who reads now, which part is next, and how many more it wants. */
  private receiver: ContentReceiver | undefined;
  private next = 0;
  private wanted = 0;

  /** @param ask asks the gateway's thread for one more part */
  constructor(
    private readonly ask: () => void,
    private readonly mostOctets = MOST_OCTETS,
  ) {}

  /** Whether it can be read from its start. */
  get isKept(): boolean {
    return this.octets <= this.mostOctets;
  }

  /** Who reads now, if anybody does. */
  get reader(): ContentReceiver | undefined {
    return this.receiver;
  }

  /** The next one reads from the start. */
  rewind(): void {
    this.receiver = undefined;
    this.next = 0;
    this.wanted = 0;
  }

  want(receiver: ContentReceiver): void {
    this.receiver = receiver;
    this.wanted++;
    this.serve();
  }

  /** One more part has come; it is kept as it is. */
  part(octets: Uint8Array, isLast: boolean): void {
    this.awaited--;
    this.octets += octets.length;
    this.isWhole = isLast;
    this.parts.push(octets);
    this.serve();
  }

  private serve(): void {
    while (this.wanted > 0 && this.next < this.parts.length) {
      const part = this.parts[this.next]!;
      const isLast = this.isWhole && this.next === this.parts.length - 1;
      this.wanted--;
      this.next++;
      if (!this.isKept && this.next === this.parts.length) {
        this.parts = [];
        this.next = 0;
      }
      this.receiver!.contentPart(part, isLast);
    }
    while (!this.isWhole && this.awaited < this.wanted) {
      this.awaited++;
      this.ask();
    }
  }
}
