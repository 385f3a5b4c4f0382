/** Orders to a well-behaved server to answer otherwise at a certain point; the sessions ask them before each reply. */
import type { ScriptedPeer } from "./peer.js";

/**
 * Where a session can be told to do something else: a verb (`EHLO`, `MAIL`, `RCPT`, …, for IMAP `LOGIN`, `AUTHENTICATE`, …), or
 * `greeting`; `challenge`: a client's answer to a challenge; `login`: the verdict of AUTH; `content`: the first octets of mail data;
 * `terminator`: the message is complete; `delivery`: with LMTP, one accepted recipient's reply behind the terminator.
 */
export type OrderStage = string;

/** What a server does instead. */
export interface OrderAction {
  /** Lines instead of the usual reply, each gets its CRLF; none for silence. `{tag}` stands for the tag of an IMAP command. */
  readonly reply?: string | readonly string[];
  /** Bytes instead of the usual reply, exactly as they are. */
  readonly bytes?: string | Uint8Array;
  /** Waits for this before it answers. */
  readonly waitFor?: PromiseLike<unknown> | (() => PromiseLike<unknown>);
  /** Behind the reply. `close` leaves out the usual reply unless `reply` is given; so do all others. */
  readonly afterwards?: "close" | "reset" | "cut" | "half-close" | "stop-reading" | "silence";
  /** Keep the usual reply and only add `afterwards`. */
  readonly keepReply?: boolean;
}

/** An order: when, and what. */
export interface Order extends OrderAction {
  readonly on: OrderStage;
  /** The command line (for `delivery`: the address; for `login`: the username) must match. */
  readonly match?: RegExp;
  /** Only on the connection with this number. */
  readonly connection?: number;
  /** Only the nth time that all of the above fits, counted from 1. */
  readonly nth?: number;
  /** At most so many times. */
  readonly times?: number;
}

/** The standing orders of one server. */
export class Orders {
  readonly #orders: { readonly order: Order; hits: number; used: number }[] = [];

  constructor(orders: readonly Order[] = []) {
    for (const order of orders) {
      this.add(order);
    }
  }

  /** Adds an order; the function returned withdraws it. Later orders go before earlier ones. */
  add(order: Order): () => void {
    const entry = { order, hits: 0, used: 0 };
    this.#orders.unshift(entry);
    return () => {
      const at = this.#orders.indexOf(entry);
      if (at >= 0) {
        this.#orders.splice(at, 1);
      }
    };
  }

  /** The order that fits, if any. */
  find(stage: OrderStage, line: string, connection: number): Order | undefined {
    for (const entry of this.#orders) {
      const { order } = entry;
      if (order.on !== stage) {
        continue;
      }
      if (order.connection !== undefined && order.connection !== connection) {
        continue;
      }
      if (order.match !== undefined && !order.match.test(line)) {
        continue;
      }
      entry.hits++;
      if (order.nth !== undefined && entry.hits !== order.nth) {
        continue;
      }
      if (order.times !== undefined && entry.used >= order.times) {
        continue;
      }
      entry.used++;
      return order;
    }
    return undefined;
  }
}

/** What is said under an order: its own lines, those whole lines that its bytes hold, or the usual ones. */
export function linesOf(order: OrderAction, usual: readonly string[]): readonly string[] {
  if (order.bytes !== undefined) {
    return Buffer.from(order.bytes).toString("latin1").split("\r\n").slice(0, -1);
  }
  if (order.reply !== undefined) {
    return typeof order.reply === "string" ? [order.reply] : order.reply;
  }
  return order.keepReply || order.afterwards === undefined ? usual : [];
}

/** Does what stands in `afterwards`. */
export function applyEnding(ending: NonNullable<OrderAction["afterwards"]>, peer: ScriptedPeer): void {
  if (ending === "close") {
    peer.close();
  } else if (ending === "reset") {
    peer.reset();
  } else if (ending === "cut") {
    peer.destroy();
  } else if (ending === "half-close") {
    peer.halfClose();
  } else if (ending === "stop-reading") {
    peer.stopReading();
  }
}
