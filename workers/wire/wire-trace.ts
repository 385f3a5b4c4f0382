/**
 * A trace of one host's wire: the lines of all its connections, perhaps of those transactions only that name a recipient, until there
 * were enough of them or nobody asks any more. Made by the host's actor when an operator asks; hears the wire through wire-tap.ts.
 */
import type { TraceLine, TraceOrder, TracePart } from "../../src/messages/operating.js";
import { Transcript } from "./transcript.js";
import type { WireListener } from "./wire-tap.js";

/** Lines that wait to be fetched. */
const MOST_WAITING = 2_000;
/** Who does not fetch for so long is gone. */
const ABANDONED_MS = 5_000;

/** What is known of one connection. */
interface Thread {
  readonly transcript: Transcript;
  /** Of the transaction at hand, while it is not known whether it names the recipient. */
  held: TraceLine[];
  isWanted: boolean;
}

export class WireTrace implements WireListener {
  private readonly threads = new Map<number, Thread>();
  private lines: TraceLine[] = [];
  private count = 0;
  private readonly startMs: number;
  private fetchedMs: number;

  constructor(
    private readonly order: TraceOrder,
    private readonly now: () => number,
  ) {
    this.startMs = now();
    this.fetchedMs = this.startMs;
  }

  get isOver(): boolean {
    const nowMs = this.now();
    const { mostLines, forMs } = this.order;
    return this.count >= mostLines || nowMs - this.startMs >= forMs || this.isAbandoned;
  }

  get isAbandoned(): boolean {
    return this.now() - this.fetchedMs >= ABANDONED_MS;
  }

  sent(connection: number, data: string | Uint8Array): void {
    this.thread(connection).transcript.sent(data);
  }

  received(connection: number, octets: Uint8Array): void {
    this.thread(connection).transcript.received(octets);
  }

  /** What was seen since the last time. */
  fetch(): TracePart {
    this.fetchedMs = this.now();
    const { lines } = this;
    this.lines = [];
    return { lines, isOver: this.isOver };
  }

  private thread(connection: number): Thread {
    let thread = this.threads.get(connection);
    if (thread === undefined) {
      const { protocol, recipient } = this.order;
      const transcript = new Transcript(protocol, (from, text) => this.take(connection, from, text));
      thread = { transcript, held: [], isWanted: recipient === undefined };
      this.threads.set(connection, thread);
    }
    return thread;
  }

  private take(connection: number, from: TraceLine["from"], text: string): void {
    const line: TraceLine = { atMs: this.now(), connection, from, text };
    const thread = this.threads.get(connection)!;
    const { recipient } = this.order;
    if (recipient === undefined) {
      this.keep(line);
      return;
    }
    // Each transaction begins anew, and so does each lookup that names somebody.
    if (from === "relaypost" && /^(?:MAIL|VRFY|EXPN|RSET)\b/i.test(text)) {
      thread.held = [];
      thread.isWanted = false;
    }
    if (from === "relaypost" && text.toLowerCase().includes(recipient.toLowerCase())) {
      thread.isWanted = true;
      for (const held of thread.held) {
        this.keep(held);
      }
      thread.held = [];
    }
    if (thread.isWanted) {
      this.keep(line);
    } else if (from === "relaypost" && /^MAIL\b/i.test(text)) {
      // What else comes before the recipient is about others.
      thread.held.push(line);
    }
  }

  private keep(line: TraceLine): void {
    if (this.count >= this.order.mostLines || this.lines.length >= MOST_WAITING) {
      return;
    }
    this.count++;
    this.lines.push(line);
  }
}
