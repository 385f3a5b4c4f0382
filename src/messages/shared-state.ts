/**
 * The memory that both threads share: how far each relay has come, whether a login has started, and how many requests of each host are on a
 * connection. Used by src/runtime/mailbox.ts and workers/mailbox.ts. Every transition is a compare-and-swap, so that both always agree.
 */

import { AnswerMarks, type MarksMemory } from "./answer-marks.js";

/** Slots of one thread: more requests than that are refused. */
export const MAX_SLOTS = 1 << 20;
/** Hosts of one thread. */
export const MAX_HOSTS = 1 << 13;

/**
 * ```
 * QUEUED ─► ENVELOPE ─► CONTENT ─► TERMINATOR ─► REPLIED
 *    ▲──────────┘          │   (retry)
 *    └──────────┴──────────┴─► WITHDRAWN (by the gateway's thread: certainly never delivered)
 * ```
 */
const QUEUED = 1;
const ENVELOPE = 2;
const CONTENT = 3;
const TERMINATOR = 4;
const REPLIED = 5;
const WITHDRAWN = 6;

/** Counters before those of the hosts. */
const RECEIVED = 0;
const TRACED = 1;
const FIRST_HOST = 2;
const COUNTERS_PER_HOST = 2;

/** What the gateway's thread hands to a worker when it starts. */
export interface SharedMemory {
  readonly phases: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly marks: MarksMemory;
}

/** One view on the {@link SharedMemory}; each thread has its own. A replaced worker leaves its memory behind, so that it can spoil nothing. */
export class SharedState {
  private readonly phases: Uint8Array;
  private readonly counters: Int32Array;
  /** Which cached answers hold. */
  readonly marks: AnswerMarks;

  constructor(readonly memory: SharedMemory) {
    this.phases = new Uint8Array(memory.phases);
    this.counters = new Int32Array(memory.counters);
    this.marks = new AnswerMarks(memory.marks);
  }

  static create(): SharedState {
    return new SharedState({
      phases: new SharedArrayBuffer(MAX_SLOTS),
      counters: new SharedArrayBuffer((FIRST_HOST + MAX_HOSTS * COUNTERS_PER_HOST) * Int32Array.BYTES_PER_ELEMENT),
      marks: AnswerMarks.create().memory,
    });
  }

  /** Gateway: before a relay is sent. */
  queue(slot: number): void {
    Atomics.store(this.phases, slot, QUEUED);
  }

  /** Gateway: gives a relay up. True: its terminator never goes out. False: too late, what becomes of it is uncertain until it is answered. */
  withdraw(slot: number): boolean {
    for (;;) {
      const phase = Atomics.load(this.phases, slot);
      if (phase === TERMINATOR || phase === REPLIED) {
        return false;
      }
      if (this.swap(slot, phase, WITHDRAWN)) {
        return true;
      }
    }
  }

  /** Worker: see `RelayPhases`. */
  toEnvelope(slot: number): boolean {
    return this.swap(slot, QUEUED, ENVELOPE);
  }

  toContent(slot: number): boolean {
    return this.swap(slot, ENVELOPE, CONTENT);
  }

  toTerminator(slot: number): boolean {
    return this.swap(slot, CONTENT, TERMINATOR);
  }

  toReplied(slot: number): void {
    this.swap(slot, TERMINATOR, REPLIED);
  }

  toQueued(slot: number): boolean {
    return this.swap(slot, ENVELOPE, QUEUED);
  }

  /** Gateway: whether a login has come to a connection, where it may have shown its credentials. */
  hasStarted(slot: number): boolean {
    const phase = Atomics.load(this.phases, slot);
    return phase !== QUEUED && phase !== WITHDRAWN;
  }

  countInFlight(host: number, delta: number): void {
    Atomics.add(this.counters, FIRST_HOST + host * COUNTERS_PER_HOST, delta);
  }

  countOctetsInFlight(host: number, delta: number): void {
    Atomics.add(this.counters, FIRST_HOST + host * COUNTERS_PER_HOST + 1, delta);
  }

  /** Gateway: requests of the host that wait no longer. */
  inFlight(host: number): number {
    return Atomics.load(this.counters, FIRST_HOST + host * COUNTERS_PER_HOST);
  }

  /** Gateway: octets of content of those. */
  octetsInFlight(host: number): number {
    return Atomics.load(this.counters, FIRST_HOST + host * COUNTERS_PER_HOST + 1);
  }

  /** Gateway: a number that a removed host had belongs to another one now. */
  clearHost(host: number): void {
    Atomics.store(this.counters, FIRST_HOST + host * COUNTERS_PER_HOST, 0);
    Atomics.store(this.counters, FIRST_HOST + host * COUNTERS_PER_HOST + 1, 0);
  }

  /** Worker: one more batch is done. The supervisor takes it for a heartbeat. */
  countReceived(): void {
    Atomics.add(this.counters, RECEIVED, 1);
  }

  /** Gateway: whether somebody wants to hear of connections. */
  setTraced(isTraced: boolean): void {
    Atomics.store(this.counters, TRACED, isTraced ? 1 : 0);
  }

  /** Worker: see {@link setTraced}. */
  get isTraced(): boolean {
    return Atomics.load(this.counters, TRACED) === 1;
  }

  /** Gateway: batches that the worker is done with. */
  received(): number {
    return Atomics.load(this.counters, RECEIVED);
  }

  private swap(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.phases, slot, from, to) === from;
  }
}
