/**
 * What the peer has said lately: an actor asks here before it asks the peer, and keeps here what the peer answers.
 * Found and not found live in caches of their own, so that a flood of guessed addresses pushes no real one out.
 */
import { LRUCache } from "lru-cache";
import type { CacheSettings } from "../../src/config/settings.js";
import { ADDRESS_LOOKUP_KINDS } from "../../src/lookup-kinds.js";
import type { AnswerMarks } from "../../src/messages/answer-marks.js";
import { addressOfClient, NO_CLIENT } from "../../src/messages/client.js";
import type { Answer, UserCredentials } from "../../src/messages/contract.js";
import type { Clock } from "../../src/timer-wheel.js";
import {
  type AnswerOrigin,
  type CacheHit,
  Entry,
  NO_MARK,
  SHELVES,
  type Shelf,
  shelfOf,
  sizeOf,
} from "./cache-entry.js";
import { credentialsKey, credentialsPrefix, isOfCredentials, lookupKey, OF_CLIENT } from "./cache-keys.js";

/** Room for answers with long lists (EXPN), on average for each entry and at least for each cache, in UTF-16 units. */
const ENTRY_UNITS = 4096;
const LEAST_CACHE_UNITS = 1024 * 1024;
/** Expired entries dropped in one go; more of them wait for the next. */
const PURGE_SLICE = 1000;
/** Bounds of the time between two purges, and the time to the next slice. */
const LEAST_PURGE_MS = 1000;
const MOST_PURGE_MS = 60_000;
const NEXT_SLICE_MS = 10;
/** An answer that was not refreshed although that was asked for is offered for it again after so much of its last fraction. */
const REFRESH_AGAIN = 0.1;
const LEAST_REFRESH_AGAIN_MS = 1000;
/** Answers that are kept another round, at most, for each new one in a full cache. */
const MOST_SPARED = 8;

/** What {@link AnswerCache} is made of. */
export interface CacheOptions {
  readonly settings: CacheSettings;
  readonly hostId: string;
  /** Its `after` is used for one timer, and only while something is cached. Not the wheel: a day's TTL must not keep that turning. */
  readonly clock: Clock;
  /** At least 32 random bytes, the same for as long as the process lives. */
  readonly hmacKey: Uint8Array;
  /** Counts changes of the host's settings: a password that one peer accepted says nothing about the next peer. Default 0. */
  readonly generation?: number;
  /** Moved on whenever an answer is kept no longer, so that no copy of it outlives it. */
  readonly marks?: AnswerMarks | undefined;
}

/**
 * The positive and the negative cache of one host (`remote.<id>.cache`). A key is in at most one of them.
 * Nothing here fails, and no answer is ever made up: what is not cached is `undefined`.
 */
export class AnswerCache {
  private readonly settings: CacheSettings;
  private readonly clock: Clock;
  private readonly hmacKey: Uint8Array;
  private readonly hmacPrefix: string;
  private readonly marks: AnswerMarks | undefined;
  // Made with the first entry: lru-cache reserves room for all of them at once, and a thousand hosts may never ask.
  private positive: LRUCache<string, Entry> | undefined;
  private negative: LRUCache<string, Entry> | undefined;
  /** Each shelf's entries, the one that expires first at the head. */
  private readonly byAge: Readonly<Record<Shelf, Set<Entry>>> = {
    positive: new Set(),
    auth: new Set(),
    negative: new Set(),
    state: new Set(),
  };
  private stopPurge: (() => void) | undefined;
  /** Answers kept or let go of so far. */
  changes = 0;

  constructor(options: CacheOptions) {
    this.settings = options.settings;
    this.clock = options.clock;
    this.hmacKey = options.hmacKey;
    this.marks = options.marks;
    this.hmacPrefix = credentialsPrefix(options.hostId, options.generation ?? 0);
  }

  /** The live answer under a key of cache-keys.ts. */
  get(key: string): CacheHit | undefined {
    const entry = this.positive?.get(key) ?? this.negative?.get(key);
    if (entry === undefined) {
      return undefined;
    }
    const nowMs = this.clock.now();
    if (nowMs >= entry.expiresMs) {
      if (nowMs >= entry.purgeMs) {
        this.drop(entry);
      }
      return undefined;
    }
    entry.ageMs = nowMs - entry.storedMs;
    entry.shouldRefresh = nowMs >= entry.refreshMs;
    if (entry.shouldRefresh) {
      const again = (entry.expiresMs - entry.storedMs) * this.settings.refresh * REFRESH_AGAIN;
      entry.refreshMs = nowMs + Math.max(again, LEAST_REFRESH_AGAIN_MS);
    }
    return entry;
  }

  /** The positive answer under a key, also up to `cache.stale-if-error` past its TTL. Only for when the peer does not answer. */
  stale(key: string): CacheHit | undefined {
    const entry = this.positive?.get(key);
    if (entry === undefined) {
      return undefined;
    }
    const nowMs = this.clock.now();
    if (nowMs >= entry.purgeMs) {
      this.drop(entry);
      return undefined;
    }
    entry.ageMs = nowMs - entry.storedMs;
    entry.shouldRefresh = false;
    return entry;
  }

  /** Whether it is known that this is found, and has been for less than `part` of its time. Asking is no use of the answer. */
  isFound(key: string, part = 1): boolean {
    const entry = this.positive?.peek(key);
    return entry !== undefined && this.clock.now() - entry.storedMs < (entry.expiresMs - entry.storedMs) * part;
  }

  /** The peer has said otherwise than the positive answer under a key, if there is one. */
  contradict(key: string): boolean {
    return this.positive?.delete(key) === true;
  }

  /** Keeps a definite answer of the peer, in place of whatever was known under that key. */
  put(key: string, answer: Answer, origin: AnswerOrigin = {}): void {
    if (this.settings.entries <= 0) {
      return;
    }
    const nowMs = this.clock.now();
    this.purgeSlice(nowMs);
    this.store(key, answer, origin, nowMs);
    if (this.stopPurge === undefined) {
      this.armPurge(nowMs);
    }
  }

  /**
   * Keeps an answer that the peer gave before this cache was there, unless something newer is known. It pushes no other out.
   *
   * @param ageMs how long ago that was
   * @returns whether it is kept
   */
  restore(key: string, answer: Answer, ageMs: number): boolean {
    const { entries } = this.settings;
    const isKnown = this.positive?.has(key) === true || this.negative?.has(key) === true;
    const shelf = shelfOf(answer, {});
    const isTooOld = ageMs >= this.ttlOf(shelf) + this.staleTimeOf(shelf);
    if (entries <= 0 || isKnown || isTooOld || this.cacheOf(answer.found).size >= entries) {
      return false;
    }
    const nowMs = this.clock.now();
    this.store(key, answer, {}, nowMs - ageMs);
    if (this.stopPurge === undefined) {
      this.armPurge(nowMs);
    }
    return true;
  }

  /**
   * Keeps an answer that another gateway was given, unless something newer is known.
   *
   * @param ageMs how long ago that was
   */
  adopt(key: string, answer: Answer, origin: AnswerOrigin, ageMs: number): void {
    const nowMs = this.clock.now();
    const known = this.positive?.peek(key) ?? this.negative?.peek(key);
    if (this.settings.entries <= 0 || (known !== undefined && known.storedMs >= nowMs - ageMs)) {
      return;
    }
    this.store(key, answer, origin, nowMs - ageMs);
    if (this.stopPurge === undefined) {
      this.armPurge(nowMs);
    }
  }

  /** What may stand in a file: lasting answers about recipients and lists, never about credentials. The oldest of each kind come first. */
  filed(): { key: string; answer: Answer; storedMs: number }[] {
    this.purgeSlice(this.clock.now());
    return [...this.byAge.positive, ...this.byAge.negative].filter(({ key }) => !isOfCredentials(key));
  }

  private store(key: string, answer: Answer, origin: AnswerOrigin, nowMs: number): void {
    const shelf = shelfOf(answer, origin);
    const ttlMs = this.ttlOf(shelf);
    const size = sizeOf(answer);
    const mine = this.cacheOf(answer.found);
    (answer.found ? this.negative : this.positive)?.delete(key);
    if (!(ttlMs > 0) || size > mine.maxEntrySize) {
      mine.delete(key);
      return;
    }
    const expiresMs = nowMs + ttlMs;
    const refreshMs =
      answer.found && this.settings.refresh > 0 ? expiresMs - ttlMs * this.settings.refresh : Number.POSITIVE_INFINITY;
    const purgeMs = expiresMs + this.staleTimeOf(shelf);
    this.spareUsed(mine);
    const mark = this.marks?.take() ?? NO_MARK;
    const version = this.marks?.version(mark) ?? 0;
    const { username } = origin;
    const entry = new Entry(key, answer, shelf, username, size, nowMs, expiresMs, purgeMs, mark, version, refreshMs);
    mine.set(key, entry);
    this.byAge[shelf].add(entry);
    this.changes++;
  }

  /**
   * Drops what is known of a recipient (by RCPT, VRFY or EXPN), of a username, or, without either, everything.
   * @returns how many answers were dropped
   */
  forget(filter: { recipient?: string; username?: string } = {}): number {
    const { recipient, username } = filter;
    this.purgeSlice(this.clock.now());
    const before = this.count;
    if (recipient === undefined && username === undefined) {
      this.clear();
    }
    if (recipient !== undefined) {
      for (const kind of ADDRESS_LOOKUP_KINDS) {
        this.dropQuestion(lookupKey(kind, recipient));
      }
    }
    if (username !== undefined) {
      for (const shelf of ["auth", "negative"] as const) {
        for (const entry of this.byAge[shelf]) {
          if (entry.username === username) {
            this.drop(entry);
          }
        }
      }
    }
    return before - this.count;
  }

  private get count(): number {
    return SHELVES.reduce((count, shelf) => count + this.byAge[shelf].size, 0);
  }

  /**
   * What makes a key that of one client, for hosts whose verdict depends on it (`cache.by-client`); else nothing.
   *
   * @param client see src/messages/client.ts
   */
  clientSuffix(client: string): string {
    return this.settings.byClient && client !== NO_CLIENT ? `${OF_CLIENT}${addressOfClient(client)}` : "";
  }

  /** How many answers each cache holds, once what has expired is dropped. */
  sizes(): { positive: number; negative: number } {
    this.purgeSlice(this.clock.now());
    return { positive: this.positive?.size ?? 0, negative: this.negative?.size ?? 0 };
  }

  /** Drops everything and stops the purge; the cache may be used again. */
  clear(): void {
    this.positive?.clear();
    this.negative?.clear();
    this.stopPurge?.();
    this.stopPurge = undefined;
  }

  /** The key of a user's credentials, see cache-keys.ts. */
  authKey(credentials: UserCredentials, authzid = ""): string {
    return credentialsKey(this.hmacKey, this.hmacPrefix, credentials, authzid);
  }

  private ttlOf(shelf: Shelf): number {
    const { positiveTtlMs, authTtlMs, negativeTtlMs, stateTtlMs } = this.settings;
    if (shelf === "negative") {
      return negativeTtlMs;
    }
    if (shelf === "state") {
      return Math.min(negativeTtlMs, stateTtlMs);
    }
    return shelf === "auth" ? Math.min(positiveTtlMs, authTtlMs) : positiveTtlMs;
  }

  private staleTimeOf(shelf: Shelf): number {
    if (shelf === "negative" || shelf === "state" || (shelf === "auth" && !this.settings.staleAuth)) {
      return 0;
    }
    return this.settings.staleIfErrorMs;
  }

  private cacheOf(found: boolean): LRUCache<string, Entry> {
    if (found) {
      this.positive ??= this.makeLru();
      return this.positive;
    }
    this.negative ??= this.makeLru();
    return this.negative;
  }

  /** `max` is never 0 here: that would mean without bound. lru-cache's own TTLs are not used: its 0 would mean for ever. */
  private makeLru(): LRUCache<string, Entry> {
    const { entries } = this.settings;
    return new LRUCache({
      max: entries,
      maxSize: Math.max(entries * ENTRY_UNITS, LEAST_CACHE_UNITS),
      sizeCalculation: (entry) => entry.size,
      dispose: (entry) => {
        this.byAge[entry.shelf].delete(entry);
        this.changes++;
        if (entry.mark !== NO_MARK) {
          this.marks!.invalidate(entry.mark);
        }
      },
    });
  }

  /**
   * Before a full cache lets go of the answer that was asked for the longest time ago: one of which a copy was used meanwhile gets
   * another round. A few of them in one go, so that no answer waits for a walk through the whole cache.
   */
  private spareUsed(cache: LRUCache<string, Entry>): void {
    const { marks } = this;
    if (marks === undefined || cache.size < this.settings.entries) {
      return;
    }
    for (let spared = 0; spared < MOST_SPARED; spared++) {
      const oldest = cache.rkeys().next();
      if (oldest.done === true || !marks.wasTouched(cache.peek(oldest.value)!.mark)) {
        return;
      }
      cache.get(oldest.value);
    }
  }

  private delete(key: string): void {
    this.positive?.delete(key);
    this.negative?.delete(key);
  }

  /** What is known under a key, and under the keys of clients that asked the same. */
  private dropQuestion(key: string): void {
    this.delete(key);
    if (!this.settings.byClient) {
      return;
    }
    const prefix = key + OF_CLIENT;
    for (const shelf of ["positive", "negative"] as const) {
      for (const entry of this.byAge[shelf]) {
        if (entry.key.startsWith(prefix)) {
          this.drop(entry);
        }
      }
    }
  }

  private drop(entry: Entry): void {
    (entry.answer.found ? this.positive : this.negative)?.delete(entry.key);
  }

  private armPurge(nowMs: number): void {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const shelf of SHELVES) {
      for (const { purgeMs } of this.byAge[shelf]) {
        nextMs = Math.min(nextMs, purgeMs);
        break;
      }
    }
    if (nextMs === Number.POSITIVE_INFINITY) {
      return;
    }
    const waitMs = nextMs <= nowMs ? NEXT_SLICE_MS : Math.max(nextMs - nowMs, LEAST_PURGE_MS);
    this.stopPurge = this.clock.after(Math.min(waitMs, MOST_PURGE_MS), this.purge);
  }

  private readonly purge = (): void => {
    const nowMs = this.clock.now();
    this.stopPurge = undefined;
    this.purgeSlice(nowMs);
    this.armPurge(nowMs);
  };

  private purgeSlice(nowMs: number): void {
    let left = PURGE_SLICE;
    for (const shelf of SHELVES) {
      for (const entry of this.byAge[shelf]) {
        if (nowMs < entry.purgeMs || left-- <= 0) {
          break;
        }
        this.drop(entry);
      }
    }
  }
}
