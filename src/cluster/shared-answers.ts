/**
 * The answers that gateways share in Redis: asks for them, claims what nobody knows, publishes, forgets. Kept by cluster.ts; what
 * becomes of a lookup is src/runtime/shared-lookups.ts' affair.
 *
 * Redis may be lost at any time. Then nobody waits for it: a call that failed is the last one until Redis has answered a probe.
 */
import type { HostSettings } from "../config/settings.js";
import type { Answer } from "../messages/contract.js";
import type { ClusterStats } from "../stats.js";
import type { Clock } from "../timer-wheel.js";
import { type AnswerRead, answerReads, decodeAnswerReads } from "./answer-reads.js";
import {
  ANSWER_SCRIPT,
  type AnswerCall,
  type AskCounts,
  type AskReply,
  answerKeys,
  decodeAskReply,
  encodeAnswerCall,
} from "./answer-script.js";
import { type AnswerVault, placeText, type SharedPlace, type SharedQuestion } from "./answer-vault.js";
import { AnswerWaiters } from "./answer-waiters.js";
import { ForgetCounts } from "./forget-counts.js";
import { RedisScript } from "./redis.js";
import { type ReadingLink, ScriptCalls } from "./script-calls.js";

/** A claim lasts as long as a lookup may take, and its connection. */
const CLAIM_EXTRA_MS = 2_000;
const MOST_CLAIM_MS = 60_000;
/** Whoever has waited for so many claims of others asks for himself. */
const MOST_ROUNDS = 3;

export interface ForgetFilter {
  readonly recipient?: string;
  readonly username?: string;
}

/** What is to be done about a question. */
export type Found =
  | { readonly is: "known"; readonly answer: Answer; readonly ageMs: number }
  /** The host is to be asked, and the others wait for what it says. */
  | { readonly is: "claimed"; readonly token: string }
  /** The host is to be asked. */
  | { readonly is: "unknown" };

/** A call, but for what is the same in all of them. */
type Said = AnswerCall extends infer Each ? (Each extends AnswerCall ? Omit<Each, "channel" | "known"> : never) : never;

/** What gateways tell each other, sealed. */
interface ForgetWord {
  readonly hostId: string;
  readonly filter: ForgetFilter;
  /** The gateway. */
  readonly by: string;
}

const UNKNOWN: Found = { is: "unknown" };

export interface SharedAnswersOptions {
  /** The cluster's. */
  readonly name: string;
  readonly gateway: string;
  readonly vault: AnswerVault;
  readonly link: ReadingLink;
  readonly clock: Clock;
  /** What another gateway forgot is to be dropped here too; without a filter, everything that is known of the host. */
  readonly forgotten: (hostId: string, filter: ForgetFilter) => void;
}

export class SharedAnswers {
  readonly counts: NonNullable<ClusterStats["answers"]> = { asked: 0, known: 0, awaited: 0, failed: 0 };
  private readonly channel: string;
  private readonly calls: ScriptCalls;
  private readonly waiters: AnswerWaiters;
  private readonly forgets: ForgetCounts;
  private tokens = 0;
  /** Hosts of which something was forgotten that Redis could not be told. */
  private readonly owed = new Set<string>();
  /**
   * Hosts whose last question found an answer: the next one looks for it without the function, which only has to be called then where
   * there is none. What is mostly unknown costs one call as before.
   */
  private readonly readsFirst = new Set<string>();
  /** What Redis' clock said last, and when that was heard. */
  private redisClock: { readonly saidMs: number; readonly heardMs: number } | undefined;

  constructor(private readonly options: SharedAnswersOptions) {
    const { name, link, clock, forgotten } = options;
    this.waiters = new AnswerWaiters(clock);
    this.channel = `relaypost:{${name}}:answers`;
    this.forgets = new ForgetCounts(clock, (hostId) => forgotten(hostId, {}));
    this.calls = new ScriptCalls({
      link,
      clock,
      script: new RedisScript(ANSWER_SCRIPT),
      probe: {
        keys: answerKeys(name, "", "probe"),
        args: encodeAnswerCall({ verb: "count", channel: this.channel, known: 0 }),
        isRight: Number.isSafeInteger,
      },
      // Nobody waits for what it may tell.
      resting: () => this.waiters.wakeAll(),
      rested: () => this.payOwed(),
    });
    link.listen(this.channel, (message) => this.told(message));
  }

  get vault(): AnswerVault {
    return this.options.vault;
  }

  /** The gateway has this host, whether it shares its answers or not. */
  addHost(hostId: string): void {
    this.forgets.add(hostId);
  }

  /** The host is gone, and what was known of it. What is owed to the others is paid all the same. */
  removeHost(hostId: string): void {
    this.forgets.remove(hostId);
    this.readsFirst.delete(hostId);
  }

  /** Redis may be asked. */
  get isUsable(): boolean {
    return this.calls.isUsable;
  }

  placeOf(host: HostSettings, question: SharedQuestion): SharedPlace {
    return this.vault.placeOf(host, question);
  }

  /** How often answers of the host were forgotten, as far as is known here: says of an answer since when it is one. */
  forgetsOf(hostId: string): number {
    return this.forgets.of(hostId);
  }

  /** Never rejects, and waits no longer than others may take to ask the host. */
  async find(host: HostSettings, place: SharedPlace): Promise<Found> {
    let isLikely = this.readsFirst.has(host.id);
    for (let round = 0; round < MOST_ROUNDS && this.isUsable && !this.owed.has(host.id); round++) {
      const sinceMs = this.options.clock.now();
      this.counts.asked++;
      const read = isLikely ? await this.read(host, place, sinceMs) : undefined;
      const found = read ?? (await this.claim(host, place, sinceMs));
      if (found !== undefined) {
        return found;
      }
      // There was word of the answer, or the claim has ended.
      isLikely = true;
    }
    return UNKNOWN;
  }

  /**
   * The host said so, `ageMs` ago. Kept where the claim still holds, or where something older is known.
   *
   * @param token of the claim; the empty string for none
   * @param asOf see {@link forgetsOf}: before the answer was known; -1 where the host was asked after the claim was made
   * @param lifeMs how long it is good for, from when the host said so
   */
  put(
    host: HostSettings,
    place: SharedPlace,
    answer: Answer,
    { token, asOf, ageMs, lifeMs }: { token: string; asOf: number; ageMs: number; lifeMs: number },
  ): void {
    const { redisClock, vault } = this;
    const { field, record } = place;
    const givenMs =
      redisClock === undefined ? -1 : redisClock.saidMs + this.options.clock.now() - redisClock.heardMs - ageMs;
    const sealed = vault.sealAnswer(answer, place);
    this.later(host.id, record, {
      verb: "put",
      field,
      token,
      ageMs,
      givenMs: Math.max(-1, givenMs),
      lifeMs,
      asOf,
      sealed,
    });
  }

  /** The host gave no answer: the others need not wait any longer. */
  release(host: HostSettings, place: SharedPlace, token: string): void {
    this.later(host.id, place.record, { verb: "release", field: place.field, token });
  }

  /** Drops what is known here and told to all: of a recipient, of a user, or, without either, everything of the host. */
  async forget(host: HostSettings, filter: ForgetFilter): Promise<void> {
    const isAll = filter.recipient === undefined && filter.username === undefined;
    for (const of of isAll ? (["all"] as const) : (["recipient", "username"] as const)) {
      const value = of === "all" ? "" : filter[of];
      if (value === undefined) {
        continue;
      }
      const record = of === "all" ? "all" : this.vault.recordOf(host, of, value);
      await this.tellForgotten(host.id, record, of === "all" ? {} : { [of]: value });
    }
  }

  close(): void {
    this.calls.close();
    this.forgets.close();
    this.waiters.wakeAll();
  }

  /** A connection to Redis stands, and says from now on what others tell: what they told before is found out. */
  listening(hosts: Iterable<HostSettings>): void {
    for (const { id, cluster } of hosts) {
      if (cluster?.cache === true) {
        void this.recount(id);
      }
    }
  }

  /** Looks for an answer without the function. `undefined`: the function has to be called. */
  private async read(host: HostSettings, place: SharedPlace, sinceMs: number): Promise<Found | undefined> {
    const keys = answerKeys(this.options.name, host.id, place.record);
    let read: AnswerRead | undefined;
    try {
      const replies = await this.options.link.commands(keys[0], answerReads(keys, place.field));
      read = decodeAnswerReads(replies, this.forgets.of(host.id));
    } catch {
      this.counts.failed++;
    }
    if (read === undefined) {
      this.calls.rest();
      return UNKNOWN;
    }
    if (read.is === "unclear") {
      this.readsFirst.delete(host.id);
      return undefined;
    }
    return this.known(host, place, read, sinceMs);
  }

  /** Asks the function, which claims the question where it has no answer. `undefined`: somebody else had the claim. */
  private async claim(host: HostSettings, place: SharedPlace, sinceMs: number): Promise<Found | undefined> {
    const { clock, gateway } = this.options;
    const { field } = place;
    const lifeMs = Math.min(host.timeouts.lookupMs + CLAIM_EXTRA_MS, MOST_CLAIM_MS);
    // What is told while the call is under way is heard too.
    const word = this.waiters.join(place.where);
    const token = `${gateway}.${++this.tokens}`;
    const call: Said = { verb: "ask", field, token, lifeMs };
    const sentMs = clock.now();
    const asked = decodeAskReply(await this.call(host.id, place.record, call, sentMs - sinceMs));
    if (asked === undefined) {
      // What the script never says is no answer of a Redis that works.
      this.calls.rest();
      word.leave();
      return UNKNOWN;
    }
    if (asked.is === "answer") {
      word.leave();
      this.readsFirst.add(host.id);
      return this.known(host, place, asked, sentMs);
    }
    this.counted(host.id, asked);
    if (asked.is === "claimed") {
      word.leave();
      return { is: "claimed", token };
    }
    this.counts.awaited++;
    await word.within(asked.forMs);
    return undefined;
  }

  private known(
    host: HostSettings,
    place: SharedPlace,
    read: AskReply & { readonly is: "answer" },
    sinceMs: number,
  ): Found {
    const heardMs = this.counted(host.id, read);
    const answer = this.vault.openAnswer(read.sealed, place);
    if (answer === undefined) {
      return UNKNOWN;
    }
    this.counts.known++;
    return { is: "known", answer, ageMs: read.ageMs + heardMs - sinceMs };
  }

  /** @returns when Redis said that */
  private counted(hostId: string, { clockMs, forgets }: AskCounts): number {
    const heardMs = this.options.clock.now();
    this.redisClock = { saidMs: clockMs, heardMs };
    this.forgets.counted(hostId, forgets);
    return heardMs;
  }

  /** Finds out what was forgotten meanwhile, and tells what Redis was not told. */
  private async recount(hostId: string): Promise<void> {
    if (this.owed.has(hostId)) {
      await this.tellForgotten(hostId, "all", {});
      return;
    }
    const forgets = await this.call(hostId, "all", { verb: "count" });
    if (Number.isSafeInteger(forgets)) {
      this.forgets.counted(hostId, forgets as number);
    }
  }

  /** Drops in Redis what this gateway has forgotten, and tells the others; later where Redis is lost. */
  private async tellForgotten(hostId: string, record: string, filter: ForgetFilter): Promise<void> {
    const what = record === "all" ? "all" : "record";
    const word: ForgetWord = { hostId, filter, by: this.options.gateway };
    const sealed = this.vault.seal(JSON.stringify(word), this.channel);
    const count = await this.call(hostId, record, { verb: "forget", what, sealed });
    if (typeof count !== "number") {
      this.owed.add(hostId);
      return;
    }
    if (what === "all") {
      this.owed.delete(hostId);
    }
    this.forgets.counts(hostId, count);
  }

  private payOwed(): void {
    for (const hostId of this.owed) {
      void this.recount(hostId);
    }
  }

  private told(message: string): void {
    const [verb, detail, sealed] = message.split(" ");
    if (verb === "told") {
      this.waiters.wake(placeText(detail!, sealed!));
      return;
    }
    const text = verb === "forget" ? this.vault.open(sealed!, this.channel) : undefined;
    if (text === undefined) {
      return;
    }
    const { hostId, filter, by } = JSON.parse(text) as ForgetWord;
    if (this.forgets.told(hostId, Number(detail), by === this.options.gateway)) {
      this.options.forgotten(hostId, filter);
    }
    // A claim may be among what was dropped.
    this.waiters.wakeAll();
  }

  private later(hostId: string, record: string, call: Said): void {
    if (this.isUsable) {
      void this.call(hostId, record, call);
    }
  }

  /** What Redis replies; `undefined` where it is lost. */
  private async call(hostId: string, record: string, said: Said, waitedMs = 0): Promise<unknown> {
    const call = { ...said, channel: this.channel, known: this.forgets.of(hostId) };
    const keys = answerKeys(this.options.name, hostId, record);
    const reply = await this.calls.run({ keys, args: encodeAnswerCall(call) }, waitedMs);
    if (reply === undefined) {
      this.counts.failed++;
    }
    return reply;
  }
}
