/**
 * Which cached answers still hold: memory that a worker and the gateway's thread share, one mark for each answer in a cache.
 *
 * The worker alone decides. It gives each answer that it keeps a mark, and moves the mark's version on when it lets go of that answer,
 * for whatever reason. A copy on the gateway's thread holds for as long as its mark has the version that it was copied with and its
 * time is not over, so that it never outlives what it is a copy of. The other way the reader leaves a hint: a copy was used, so the
 * answer is worth its place in the worker's cache although the worker is asked for it no more.
 *
 * Marks go round. Where there are more answers than marks some share one, which costs them a question to the worker now and then.
 */
import type { Clock } from "../timer-wheel.js";

/** Marks of one thread: 160 KiB, of which the system provides what is touched. */
export const MARKS = 1 << 15;
const MASK = MARKS - 1;

/** The memory behind an {@link AnswerMarks}. */
export interface MarksMemory {
  readonly versions: SharedArrayBuffer;
  readonly used: SharedArrayBuffer;
}

/** How long a copy of an answer may be used. */
export interface KeptAnswer {
  readonly mark: number;
  readonly version: number;
  /** When the peer gave the answer: on the worker's clock; between the threads, as {@link toSharedMs} says it. */
  readonly storedMs: number;
  /** So long after that the worker is to be asked again: the answer is too old, or about to be refreshed. */
  readonly goodForMs: number;
}

/** A time on a clock that all threads share, as an integer that wraps: enough for times that lie less than 24 days apart. */
export function toSharedMs(ms: number, clock: Clock): number {
  return Math.floor(ms + (clock.leadMs ?? 0)) | 0;
}

/** The same time on this thread's clock; up to a millisecond earlier, never later. */
export function fromSharedMs(shared: number, clock: Clock): number {
  const leadMs = clock.leadMs ?? 0;
  const now = Math.floor(clock.now() + leadMs);
  return now - (((now | 0) - shared) | 0) - leadMs;
}

/** One view on the {@link MarksMemory}; each thread has its own. */
export class AnswerMarks {
  private readonly versions: Int32Array;
  private readonly used: Uint8Array;
  private next = 0;

  constructor(readonly memory: MarksMemory) {
    this.versions = new Int32Array(memory.versions);
    this.used = new Uint8Array(memory.used);
  }

  static create(): AnswerMarks {
    return new AnswerMarks({
      versions: new SharedArrayBuffer(MARKS * Int32Array.BYTES_PER_ELEMENT),
      used: new SharedArrayBuffer(MARKS),
    });
  }

  /** Worker: a mark for an answer that is kept from now on. */
  take(): number {
    const mark = this.next;
    this.next = (mark + 1) & MASK;
    return mark;
  }

  /** Worker: the answer is kept no longer. */
  invalidate(mark: number): void {
    Atomics.add(this.versions, mark, 1);
  }

  /** What a copy must still have. */
  version(mark: number): number {
    return Atomics.load(this.versions, mark);
  }

  /** Gateway: a copy was used. No more than a hint, so that a lost one does no harm. */
  touch(mark: number): void {
    this.used[mark] = 1;
  }

  /** Worker: whether a copy was used since this was asked last. */
  wasTouched(mark: number): boolean {
    const wasTouched = this.used[mark] === 1;
    this.used[mark] = 0;
    return wasTouched;
  }
}
