/**
 * Copies of one host's cached answers on the gateway's thread, so that what is known costs no way to the worker and back.
 * Filled by answer-receiver.ts, read by router.ts. The worker decides how long a copy holds: see src/messages/answer-marks.ts.
 */
import { createHmac, createSecretKey, randomBytes } from "node:crypto";
import type { Certainty, LookupAnswer, Reply, RequestKind } from "../api.js";
import type { HostSettings } from "../config/settings.js";
import { LOOKUP_KINDS, type LookupKind } from "../lookup-kinds.js";
import { type AnswerMarks, fromSharedMs, type KeptAnswer } from "../messages/answer-marks.js";
import type { UserCredentials } from "../messages/contract.js";
import type { HostStats } from "../stats.js";
import type { Clock } from "../timer-wheel.js";

/** Answers in one turn of the event loop; then timers and sockets have theirs, however many callers only ever ask what is known: they wait 1 to 2 ms. */
const MOST_IN_ONE_TURN = 4096;

/** What the digests of credentials are keyed with: outside of the heap, and known to this process alone. */
const digestKey = createSecretKey(randomBytes(32));

/** What was asked for. */
export interface AskedFor {
  readonly kind: RequestKind;
  /** An address, a name or a list. */
  readonly value: string;
  readonly credentials: UserCredentials | undefined;
}

class Copy {
  constructor(
    readonly found: boolean,
    readonly values: readonly string[],
    readonly reply: Reply | undefined,
    readonly mark: number,
    readonly version: number,
    readonly storedMs: number,
    readonly goodUntilMs: number,
    readonly certainty: Certainty,
  ) {}
}

type Tables = Record<LookupKind, Map<string, Copy>>;

/** One for each host whose answers may be copied. */
export class AnswerCopies {
  /**
   * Two generations: when the young copies are as many as the host's cache holds, they are the old ones, and those that were old are
   * gone. Nothing is taken out of a table one by one, since a Map whose entries come and go keeps garbage alive.
   */
  private young = newTables();
  private old = newTables();
  private size = 0;
  /** Whose copies these are: those of another worker hold no more. */
  private marks: AnswerMarks | undefined;
  private given = newCounts();
  private givenInTurn = 0;

  private constructor(
    private readonly clock: Clock,
    private readonly entries: number,
  ) {}

  /**
   * None where nothing is cached, or where an answer is for one client only.
   *
   * @param former those of the same worker under its former settings: what was counted goes on
   */
  static of({ lookup, cache }: HostSettings, clock: Clock, former?: AnswerCopies): AnswerCopies | undefined {
    if (!lookup || cache.entries === 0 || cache.byClient) {
      return undefined;
    }
    const copies = new AnswerCopies(clock, cache.entries);
    if (former !== undefined) {
      copies.marks = former.marks;
      copies.given = former.given;
    }
    return copies;
  }

  /**
   * What is known; `undefined`: the worker is to be asked.
   *
   * @param key an address, a name, a list; for `auth` what {@link credentialsKey} makes
   * @param marks those of the host's worker now
   */
  get(kind: LookupKind, key: string, marks: AnswerMarks): Promise<LookupAnswer> | undefined {
    const answer = this.find(kind, key, marks);
    return answer === undefined ? undefined : this.give(answer);
  }

  /** The same without a promise. */
  find(kind: LookupKind, key: string, marks: AnswerMarks): LookupAnswer | undefined {
    const copy = this.young[kind].get(key) ?? this.old[kind].get(key);
    if (copy === undefined || marks !== this.marks) {
      return undefined;
    }
    const nowMs = this.clock.now();
    if (nowMs >= copy.goodUntilMs || marks.version(copy.mark) !== copy.version) {
      return undefined;
    }
    marks.touch(copy.mark);
    this.given[kind][copy.found ? 0 : 1]++;
    return toAnswer(copy, nowMs);
  }

  /** Copies an answer that the worker gave from its cache: one that is asked for once only is not worth it. */
  put({ kind, value, credentials }: AskedFor, answer: LookupAnswer, kept: KeptAnswer, marks: AnswerMarks): void {
    if (marks !== this.marks) {
      this.begin(marks);
    } else if (this.size >= this.entries) {
      this.old = this.young;
      this.young = newTables();
      this.size = 0;
    }
    const storedMs = fromSharedMs(kept.storedMs, this.clock);
    const { found, values, reply, certainty } = answer;
    // A mailbox that takes no mail now is rare, and its answer short-lived: the worker tells of it.
    if (answer.mailbox !== undefined) {
      return;
    }
    const { mark, version, goodForMs } = kept;
    const untilMs = storedMs + goodForMs;
    const copy = new Copy(found, values.slice(), reply, mark, version, storedMs, untilMs, certainty);
    this.young[kind as LookupKind].set(credentials === undefined ? value : credentialsKey(credentials), copy);
    this.size++;
  }

  /** Answers given so far. */
  get givenCount(): number {
    return LOOKUP_KINDS.reduce((sum, kind) => sum + this.given[kind][0] + this.given[kind][1], 0);
  }

  /** The host's counters, with the answers that its worker was not asked for. */
  addTo(stats: HostStats): HostStats {
    const kinds = { ...stats.kinds };
    let { cached } = stats.lookups;
    for (const kind of LOOKUP_KINDS) {
      const [found, notFound] = this.given[kind];
      const { cachedFound, cachedNotFound } = kinds[kind];
      kinds[kind] = {
        ...kinds[kind],
        cachedFound: cachedFound + found,
        cachedNotFound: cachedNotFound + notFound,
      };
      cached += found + notFound;
    }
    return { ...stats, kinds, lookups: { ...stats.lookups, cached } };
  }

  /** Another worker: it counts from 0, and so do these. */
  private begin(marks: AnswerMarks): void {
    this.marks = marks;
    this.young = newTables();
    this.old = newTables();
    this.size = 0;
    this.given = newCounts();
  }

  private give(answer: LookupAnswer): Promise<LookupAnswer> {
    if (this.givenInTurn === 0) {
      setImmediate(this.beginTurn);
    }
    this.givenInTurn++;
    if (this.givenInTurn <= MOST_IN_ONE_TURN) {
      return Promise.resolve(answer);
    }
    return new Promise((resolve) => {
      setImmediate(resolve, answer);
    });
  }

  private readonly beginTurn = (): void => {
    this.givenInTurn = 0;
  };
}

/** A keyed digest of credentials, each part with its length before it: the tables hold no password. */
export function credentialsKey({ username, secret, isToken }: UserCredentials): string {
  return createHmac("sha256", digestKey)
    .update(`${isToken ? "token" : "password"},${username.length}:${username},${secret}`)
    .digest("base64");
}

function newTables(): Tables {
  return { rcpt: new Map(), vrfy: new Map(), expn: new Map(), auth: new Map() };
}

/** Found, and not found. */
function newCounts(): Record<LookupKind, [number, number]> {
  return { rcpt: [0, 0], vrfy: [0, 0], expn: [0, 0], auth: [0, 0] };
}

/** An object of its own for each caller, who may do with it what it likes. */
function toAnswer({ found, values, reply, storedMs, certainty }: Copy, nowMs: number): LookupAnswer {
  const ageMs = Math.max(0, Math.floor(nowMs - storedMs));
  const list = values.length === 0 ? [] : values.slice();
  return reply === undefined
    ? { found, values: list, source: "cache", ageMs, certainty }
    : { found, values: list, source: "cache", ageMs, reply: { ...reply }, certainty };
}
