/** Which command each awaited reply belongs to. Replies are paired with commands by count alone (RFC 2920 3.1). */
import type { Failure } from "../../../src/errors.js";
import type { ReplyView } from "./reply.js";

/** Takes the replies to the commands it sent; `tag` says which. */
export interface ReplyHandler {
  /** Any reply but 421. */
  replied(reply: ReplyView, tag: number): void;
  /**
   * The reply is 421: the peer closes the connection, and the session ends behind this call. For whoever takes it for a verdict
   * as well, or has a failure of its own to end with.
   */
  closing?(reply: ReplyView, tag: number): Failure | undefined;
}

const FIRST_CAPACITY = 16;

/** A ring that grows: nothing is allocated for a command. */
export class ReplyQueue {
  private handlers: (ReplyHandler | undefined)[] = new Array(FIRST_CAPACITY).fill(undefined);
  private tags: number[] = new Array(FIRST_CAPACITY).fill(0);
  private limits: number[] = new Array(FIRST_CAPACITY).fill(0);
  private head = 0;
  length = 0;

  push(handler: ReplyHandler, tag: number, withinMs: number): void {
    if (this.length === this.handlers.length) {
      this.grow();
    }
    const at = (this.head + this.length) & (this.handlers.length - 1);
    this.handlers[at] = handler;
    this.tags[at] = tag;
    this.limits[at] = withinMs;
    this.length++;
  }

  /** The time limit of the reply that is next; 0 when none is awaited. */
  get withinMs(): number {
    return this.length === 0 ? 0 : this.limits[this.head]!;
  }

  get tag(): number {
    return this.tags[this.head]!;
  }

  /** Takes the first one out. */
  shift(): ReplyHandler {
    const handler = this.handlers[this.head]!;
    this.handlers[this.head] = undefined;
    this.head = (this.head + 1) & (this.handlers.length - 1);
    this.length--;
    return handler;
  }

  private grow(): void {
    const { length: capacity } = this.handlers;
    const order = Array.from({ length: capacity }, (_, at) => (this.head + at) & (capacity - 1));
    const filler = new Array(capacity).fill(0);
    this.handlers = [...order.map((at) => this.handlers[at]), ...filler.map(() => undefined)];
    this.tags = [...order.map((at) => this.tags[at]!), ...filler];
    this.limits = [...order.map((at) => this.limits[at]!), ...filler];
    this.head = 0;
  }
}
