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
import {
  ANSWER_SCRIPT,
  type AnswerCall,
  type AskReply,
  answerKeys,
  decodeAskReply,
  encodeAnswerCall,
} from "./answer-script.js";
import { type AnswerVault, placeText, type SharedPlace, type SharedQuestion } from "./answer-vault.js";
import { AnswerWaiters } from "./answer-waiters.js";
import { ForgetCounts } from "./forget-counts.js";
import { RedisScript } from "./redis.js";
import { ScriptCalls, type SharedLink } from "./script-calls.js";

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
  readonly link: SharedLink;
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
    const { clock, gateway } = this.options;
    const { field } = place;
    const lifeMs = Math.min(host.timeouts.lookupMs + CLAIM_EXTRA_MS, MOST_CLAIM_MS);
    for (let round = 0; round < MOST_ROUNDS && this.isUsable && !this.owed.has(host.id); round++) {
      // What is told while the call is under way is heard too.
      const word = this.waiters.join(place.where);
      const token = `${gateway}.${++this.tokens}`;
      this.counts.asked++;
      const sentMs = clock.now();
      const asked = decodeAskReply(await this.call(host.id, place.record, { verb: "ask", field, token, lifeMs }));
      if (asked === undefined) {
        // What the script never says is no answer of a Redis that works.
        this.calls.rest();
        word.leave();
        return UNKNOWN;
      }
      const heardMs = clock.now();
      this.redisClock = { saidMs: asked.clockMs, heardMs };
      this.forgets.counted(host.id, asked.forgets);
      if (asked.is !== "awaited") {
        word.leave();
        return this.read(asked, token, place, heardMs - sentMs);
      }
      this.counts.awaited++;
      await word.within(asked.forMs);
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

  private read(
    asked: AskReply & { is: "answer" | "claimed" },
    token: string,
    place: SharedPlace,
    tookMs: number,
  ): Found {
    if (asked.is === "claimed") {
      return { is: "claimed", token };
    }
    const answer = this.vault.openAnswer(asked.sealed, place);
    if (answer === undefined) {
      return UNKNOWN;
    }
    this.counts.known++;
    return { is: "known", answer, ageMs: asked.ageMs + tookMs };
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
  private async call(hostId: string, record: string, said: Said): Promise<unknown> {
    const call = { ...said, channel: this.channel, known: this.forgets.of(hostId) };
    const keys = answerKeys(this.options.name, hostId, record);
    const reply = await this.calls.run({ keys, args: encodeAnswerCall(call) });
    if (reply === undefined) {
      this.counts.failed++;
    }
    return reply;
  }
}
