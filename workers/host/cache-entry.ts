/** One answer in a host's cache: what it is, and until when it is what. Serves cache.ts. */
import type { KeptAnswer } from "../../src/messages/answer-marks.js";
import type { Answer } from "../../src/messages/contract.js";

/** Of answers of which nobody keeps copies. */
export const NO_MARK = -1;

/** A cached answer. `ageMs` and `shouldRefresh` are as of the call that returned it: read them before the next one. */
export interface CacheHit extends KeptAnswer {
  readonly answer: Answer;
  /** How long ago the peer said so. */
  readonly ageMs: number;
  /** The answer is within the last fraction of its TTL (`cache.refresh`): ask the peer in the background and {@link AnswerCache.put} what it says. */
  readonly shouldRefresh: boolean;
}

/** What an answer is about, where that matters. */
export interface AnswerOrigin {
  /** An AUTH answer has a TTL of its own, and is stale sooner. */
  readonly isAuth?: boolean;
  /** For {@link AnswerCache.forget}. */
  readonly username?: string;
}

/** Which TTL an entry has: `state` is that of a mailbox that exists and takes no mail now. Entries of one kind expire in the order in which they were put. */
export type Shelf = "positive" | "auth" | "negative" | "state";

export class Entry implements CacheHit {
  ageMs = 0;
  shouldRefresh = false;

  constructor(
    readonly key: string,
    readonly answer: Answer,
    readonly shelf: Shelf,
    readonly username: string | undefined,
    readonly size: number,
    readonly storedMs: number,
    /** From then on it is no answer any more, unless the peer gives none. */
    readonly expiresMs: number,
    /** From then on it is nothing at all. */
    readonly purgeMs: number,
    readonly mark: number,
    readonly version: number,
    /** From then on {@link shouldRefresh} is reported; moved on with each report. */
    public refreshMs: number,
  ) {}

  get goodForMs(): number {
    return Math.min(this.expiresMs, this.refreshMs) - this.storedMs;
  }
}

export const SHELVES: readonly Shelf[] = ["positive", "auth", "negative", "state"];

/** Where an answer stands that the host has just given. */
export function shelfOf(answer: Answer, origin: AnswerOrigin): Shelf {
  if (answer.found) {
    return origin.isAuth === true ? "auth" : "positive";
  }
  return answer.mailbox === undefined ? "negative" : "state";
}

/** In UTF-16 units. */
export function sizeOf(answer: Answer): number {
  let size = 1 + answer.reply.text.length;
  for (const value of answer.values) {
    size += value.length;
  }
  return size;
}
