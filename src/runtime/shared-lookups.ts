/**
 * The lookups of one host whose answers gateways share (`remote.<id>.cluster.cache`): what this gateway's worker may know goes to it at
 * once; else Redis is asked, then the host, by one gateway for all. Stands before the mailbox: router.ts asks here first.
 */
import type { LookupAnswer, RequestOptions } from "../api.js";
import type { SharedPlace, SharedQuestion } from "../cluster/answer-vault.js";
import type { ForgetFilter, Found, SharedAnswers } from "../cluster/shared-answers.js";
import type { HostSettings } from "../config/settings.js";
import { RelaypostError } from "../errors.js";
import { LOOKUP_KINDS, type LookupKind } from "../lookup-kinds.js";
import { NO_CLIENT } from "../messages/client.js";
import type { Answer } from "../messages/contract.js";
import type { HostStats } from "../stats.js";
import type { Clock } from "../timer-wheel.js";
import { Adoptions } from "./adoptions.js";
import type { HostLoad } from "./slot.js";

/** An answer is newer than another where the host gave it so much later: clocks of two threads are read. */
const NEWER_MS = 1_000;

/** Longer than that Node's timers cannot wait. */
const MOST_TIMER_MS = 2 ** 31 - 1;

/** What the worker is asked and told. */
export interface SharedWorker {
  readonly load: HostLoad;
  /** Keeps an answer that another gateway was given, unless something newer is known. */
  adopt(question: SharedQuestion, answer: Answer, ageMs: number): void;
}

/** Asks the worker. */
type Ask = (options: RequestOptions | undefined) => Promise<LookupAnswer>;

/** Drops what this gateway's worker knows; says how many answers those were. */
export type Drop = () => Promise<number>;

/** What an answer's time depends on. */
interface Verdict {
  readonly found: boolean;
  readonly mailbox?: LookupAnswer["mailbox"] | undefined;
}

/** An answer that the worker's cache holds, as far as is known here. */
interface Held {
  readonly givenMs: number;
  readonly untilMs: number;
}

/** What was known when a lookup began. */
interface Since {
  /** Of the claim; the empty string for none. */
  readonly token: string;
  /** See {@link SharedAnswers.forgetsOf}. */
  readonly asOf: number;
  /** How often answers were forgotten here. */
  readonly forgets: number;
  /** When the worker was asked. */
  readonly askedMs: number;
}

/** Equal lookups that wait for Redis together. */
interface Asking {
  readonly found: Promise<Found>;
  waiting: number;
  /** Somebody has the claim. */
  isTaken: boolean;
}

export class SharedLookups {
  /** Two generations, as in answer-copies.ts. */
  private young = new Map<string, Held>();
  private old = new Map<string, Held>();
  private readonly asking = new Map<string, Asking>();
  private waiting = 0;
  private readonly adoptions: Adoptions;
  /** How often answers were forgotten here, and by how many orders that the worker has not followed yet. */
  private forgets = 0;
  private drops = 0;
  /** The host has other settings now. */
  private isOver = false;
  /** Answers that came from the cluster, found and not found. */
  private readonly served = Object.fromEntries(LOOKUP_KINDS.map((kind) => [kind, [0, 0]])) as Record<
    LookupKind,
    [number, number]
  >;

  constructor(
    private readonly host: HostSettings,
    private readonly answers: SharedAnswers,
    private readonly clock: Clock,
    private readonly worker: () => SharedWorker | undefined,
  ) {
    this.adoptions = new Adoptions(clock, (...adopted) => this.worker()?.adopt(...adopted));
  }

  /** Whether it does for these settings, in this cluster. */
  isFor(host: HostSettings, answers: SharedAnswers | undefined): boolean {
    return this.host === host && this.answers === answers;
  }

  /** Whether the answers to logins are shared too. */
  get takesLogins(): boolean {
    return this.host.cluster?.cacheAuth === true;
  }

  /** @param ask asks the worker */
  async lookup(question: SharedQuestion, options: RequestOptions | undefined, ask: Ask): Promise<LookupAnswer> {
    const { host, answers } = this;
    const place = answers.placeOf(host, question);
    const held = this.young.get(place.where) ?? this.old.get(place.where);
    const sinceMs = this.clock.now();
    const asOf = answers.forgetsOf(host.id);
    const { forgets } = this;
    if ((held !== undefined && sinceMs < held.untilMs) || !answers.isUsable || this.waiting >= host.limits.queue) {
      const answer = await this.own(ask, options);
      this.learn(question, place, answer, { token: "", asOf, forgets, askedMs: sinceMs }, held);
      return answer;
    }
    const found = await this.find(place, options);
    const askedMs = this.clock.now();
    const left = shortened(options, askedMs - sinceMs);
    // What was forgotten while it was asked for is not taken from the others again.
    if (found.is === "known" && forgets === this.forgets) {
      return await this.serve(question, place, found, { token: "", asOf, forgets, askedMs }, left, ask);
    }
    const token = found.is === "claimed" ? found.token : "";
    try {
      const answer = await this.own(ask, left);
      this.learn(question, place, answer, { token, asOf, forgets, askedMs }, undefined);
      return answer;
    } catch (error) {
      this.release(place, token);
      throw error;
    }
  }

  /** The host's counters, with the answers that came from the cluster. */
  addTo(stats: HostStats): HostStats {
    const kinds = { ...stats.kinds };
    let cluster = 0;
    for (const kind of LOOKUP_KINDS) {
      const [found, notFound] = this.served[kind];
      const { cachedFound, cachedNotFound } = kinds[kind];
      kinds[kind] = { ...kinds[kind], cachedFound: cachedFound + found, cachedNotFound: cachedNotFound + notFound };
      cluster += found + notFound;
    }
    return { ...stats, kinds, lookups: { ...stats.lookups, cluster } };
  }

  /** What is asked from now on is asked of another host, or of nobody. */
  stop(): void {
    this.isOver = true;
    this.adoptions.drop();
  }

  /** Drops what other gateways know, too, and first: what is dropped here shall not come back from them. */
  async forget(filter: ForgetFilter, drop: Drop): Promise<number> {
    await this.answers.forget(this.host, filter);
    return this.dropping(drop);
  }

  /** The worker's cache drops answers: which ones is not worth knowing. Until it has, what it knows is not told to others. */
  async dropping(drop: Drop): Promise<number> {
    this.forgets++;
    this.young.clear();
    this.old.clear();
    this.adoptions.drop();
    this.drops++;
    try {
      return await drop();
    } finally {
      this.drops--;
    }
  }

  private async serve(
    question: SharedQuestion,
    place: SharedPlace,
    { answer, ageMs }: Found & { is: "known" },
    since: Since,
    options: RequestOptions | undefined,
    ask: Ask,
  ): Promise<LookupAnswer> {
    const ttlMs = this.ttlOf(question.kind, answer);
    if (ageMs >= ttlMs || this.isOver) {
      const own = await this.own(ask, options);
      this.learn(question, place, own, since, undefined);
      return own;
    }
    const { cache, lookups } = this.host;
    this.hold(place, ageMs, ttlMs);
    this.adoptions.add(question, answer, ageMs);
    const { harvest, detectsCatchAll } = lookups ?? {};
    // The worker judges how sure it is that a recipient exists and who may be told, and renews in the background what will end soon.
    const isJudged = answer.found && detectsCatchAll === true && question.kind === "rcpt";
    const isWatched = harvest !== undefined && question.client !== NO_CLIENT;
    if (isJudged || isWatched || (answer.found && ageMs > ttlMs * (1 - cache.refresh))) {
      const judged = await this.own(ask, options);
      return judged.source === "cache" ? { ...judged, source: "cluster" } : judged;
    }
    this.served[question.kind][answer.found ? 0 : 1]++;
    const certainty = answer.found && question.kind === "rcpt" ? "unknown" : "verified";
    const { found, values, reply, mailbox } = answer;
    // What the caller makes of it is not what the worker keeps.
    const [own, said] = [[...values], { ...reply }];
    const given: LookupAnswer = { found, values: own, source: "cluster", ageMs, reply: said, certainty };
    return mailbox === undefined ? given : { ...given, mailbox };
  }

  /** Asks the worker, which knows by then what other gateways said. */
  private own(ask: Ask, options: RequestOptions | undefined): Promise<LookupAnswer> {
    this.adoptions.tell();
    return ask(options);
  }

  /** The worker gave an answer: what is news to the cluster is told. */
  private learn(
    { kind }: SharedQuestion,
    place: SharedPlace,
    { found, values, reply, mailbox, source, ageMs: toldMs }: LookupAnswer,
    { token, asOf, forgets, askedMs }: Since,
    held: Held | undefined,
  ): void {
    const ttlMs = this.ttlOf(kind, { found, mailbox });
    // How long the answer was on its way from the worker is not known: this thread, or the process, may have stood still meanwhile.
    const ageMs = toldMs + this.clock.now() - askedMs;
    const givenMs = askedMs - toldMs;
    const isNews = !this.isOver && source !== "shared" && (held === undefined || givenMs > held.givenMs + NEWER_MS);
    // Nobody may have forgotten it since; the host was asked after the claim was made.
    const isOfClaim = token !== "" && source === "remote";
    const isForgotten = !isOfClaim && (this.drops > 0 || forgets !== this.forgets);
    // A wrong password is nobody's business but the host's.
    if (!isNews || isForgotten || ageMs >= ttlMs || reply === undefined || (kind === "auth" && !found)) {
      this.release(place, token);
    } else {
      const answer: Answer = { found, values, reply, ...(mailbox === undefined ? {} : { mailbox }) };
      this.answers.put(this.host, place, answer, { token, asOf: isOfClaim ? -1 : asOf, ageMs, lifeMs: ttlMs });
    }
    if (ageMs < ttlMs && this.drops === 0 && forgets === this.forgets) {
      this.hold(place, ageMs, ttlMs);
    }
  }

  private release(place: SharedPlace, token: string): void {
    if (token !== "") {
      this.answers.release(this.host, place, token);
    }
  }

  private hold({ where }: SharedPlace, ageMs: number, ttlMs: number): void {
    if (this.young.size >= this.host.cache.entries) {
      this.old = this.young;
      this.young = new Map();
    }
    const givenMs = this.clock.now() - ageMs;
    this.young.set(where, { givenMs, untilMs: givenMs + ttlMs });
  }

  /** One call of Redis for all who ask the same now; one of them has the claim. */
  private async find(place: SharedPlace, options: RequestOptions | undefined): Promise<Found> {
    let asking = this.asking.get(place.where);
    if (asking === undefined) {
      const found = this.answers.find(this.host, place);
      asking = { found, waiting: 0, isTaken: false };
      this.asking.set(place.where, asking);
      void found.then(() => this.asking.delete(place.where));
    }
    this.waiting++;
    asking.waiting++;
    try {
      const found = await this.limited(asking.found, options);
      if (found.is !== "claimed") {
        return found;
      }
      const isMine = !asking.isTaken;
      asking.isTaken = true;
      return isMine ? found : { is: "unknown" };
    } catch (error) {
      if (asking.waiting === 1) {
        this.abandon(asking, place);
      }
      throw error;
    } finally {
      this.waiting--;
      asking.waiting--;
    }
  }

  /** Nobody waits any more: a claim is given back when it comes. */
  private abandon(asking: Asking, place: SharedPlace): void {
    void asking.found.then((found) => {
      if (found.is === "claimed" && !asking.isTaken) {
        this.release(place, found.token);
      }
    });
  }

  private limited(found: Promise<Found>, options: RequestOptions | undefined): Promise<Found> {
    const { timeoutMs, signal } = options ?? {};
    if (timeoutMs === undefined && signal === undefined) {
      return found;
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        stopTimer?.();
        signal?.removeEventListener("abort", abort);
      };
      const giveUp = (code: "DEADLINE_EXCEEDED" | "ABORTED", message: string): void => {
        settle();
        this.worker()?.load.failed(code);
        reject(new RelaypostError(code, message, { hostId: this.host.id, cause: signal?.reason }));
      };
      const abort = (): void => giveUp("ABORTED", "The request was aborted before it was answered.");
      const expire = (): void => giveUp("DEADLINE_EXCEEDED", "The request was not answered within its timeoutMs.");
      const isTimed = timeoutMs !== undefined && timeoutMs <= MOST_TIMER_MS;
      const stopTimer = isTimed ? this.clock.after(timeoutMs, expire) : undefined;
      signal?.addEventListener("abort", abort);
      void found.then((result) => {
        settle();
        resolve(result);
      });
    });
  }

  private ttlOf(kind: LookupKind, { found, mailbox }: Verdict): number {
    const { positiveTtlMs, authTtlMs, negativeTtlMs, stateTtlMs } = this.host.cache;
    if (!found) {
      return mailbox === undefined ? negativeTtlMs : Math.min(negativeTtlMs, stateTtlMs);
    }
    return kind === "auth" ? Math.min(positiveTtlMs, authTtlMs) : positiveTtlMs;
  }
}

/** The options of a request that has waited for so long. */
function shortened(options: RequestOptions | undefined, ms: number): RequestOptions | undefined {
  return options?.timeoutMs === undefined ? options : { ...options, timeoutMs: Math.max(1, options.timeoutMs - ms) };
}
