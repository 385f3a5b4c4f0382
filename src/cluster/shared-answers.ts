/**
 * The answers that gateways share in Redis: asks for them, claims what nobody knows, publishes, forgets. Kept by cluster.ts; what
 * becomes of a lookup is src/runtime/shared-lookups.ts' affair.
 *
 * Redis may be lost at any time. Then nobody waits for it: a call that failed is the last one until Redis has answered a probe.
 */
import type { ClusterStats } from "../api.js";
import type { HostSettings } from "../config/settings.js";
import type { Answer } from "../messages/contract.js";
import { ANSWER_SCRIPT, type AskReply, answerKeys, decodeAskReply } from "./answer-script.js";
import type { AnswerVault, SharedPlace, SharedQuestion } from "./answer-vault.js";
import { type RedisLink, RedisScript } from "./redis.js";

/** A claim lasts as long as a lookup may take, and its connection. */
const CLAIM_EXTRA_MS = 2_000;
const MOST_CLAIM_MS = 60_000;
/** Whoever has waited for so many claims of others asks for himself. */
const MOST_ROUNDS = 3;
const FIRST_PROBE_MS = 250;
const MOST_PROBE_MS = 5_000;
/** So long word of what was forgotten may be under way, before everything is forgotten for want of it. */
const WORD_LIMIT_MS = 500;

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

const UNKNOWN: Found = { is: "unknown" };

export interface SharedAnswersOptions {
  /** The cluster's. */
  readonly name: string;
  readonly gateway: string;
  readonly vault: AnswerVault;
  readonly link: RedisLink;
  /** What another gateway forgot is to be dropped here too; without a filter, everything that is known of the host. */
  readonly forgotten: (hostId: string, filter: ForgetFilter) => void;
}

export class SharedAnswers {
  readonly counts: NonNullable<ClusterStats["answers"]> = { asked: 0, known: 0, awaited: 0, failed: 0 };
  private readonly script = new RedisScript(ANSWER_SCRIPT);
  private readonly channel: string;
  private state: "open" | "resting" | "closed" = "open";
  private tokens = 0;
  private probes = 0;
  private probe: NodeJS.Timeout | undefined;
  /** Who waits for word of a field. */
  private readonly waiters = new Map<string, Set<() => void>>();
  /** How often each host's answers were forgotten, as far as is known here, and who waits for word of more. */
  private readonly forgets = new Map<string, number>();
  private readonly lagging = new Map<string, NodeJS.Timeout>();

  constructor(private readonly options: SharedAnswersOptions) {
    this.channel = `relaypost:{${options.name}}:answers`;
    options.link.listen(this.channel, (message) => this.told(message));
  }

  get vault(): AnswerVault {
    return this.options.vault;
  }

  /** Redis may be asked. */
  get isUsable(): boolean {
    return this.state === "open" && this.options.link.isReady;
  }

  placeOf(host: HostSettings, question: SharedQuestion): SharedPlace {
    return this.vault.placeOf(host, question);
  }

  /** Never rejects, and waits no longer than others may take to ask the host. */
  async find(host: HostSettings, place: SharedPlace): Promise<Found> {
    const lifeMs = Math.min(host.timeouts.lookupMs + CLAIM_EXTRA_MS, MOST_CLAIM_MS);
    for (let round = 0; round < MOST_ROUNDS && this.isUsable; round++) {
      // What is told while the call is under way is heard too.
      const word = this.listen(place.field);
      const token = `${this.options.gateway}.${++this.tokens}`;
      this.counts.asked++;
      const reply = await this.call(host.id, place.record, ["ask", place.field, token, this.channel, String(lifeMs)]);
      const asked = decodeAskReply(reply);
      if (asked === undefined) {
        word.leave();
        return UNKNOWN;
      }
      this.heard(host.id, asked.forgets);
      if (asked.is !== "awaited") {
        word.leave();
        return this.read(asked, token, place);
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
   * @param ttlMs how long it is good for, from when the host said so
   */
  put(host: HostSettings, place: SharedPlace, token: string, answer: Answer, ageMs: number, ttlMs: number): void {
    const sealed = this.vault.sealAnswer(answer, place);
    const times = [String(Math.round(ageMs)), String(Math.round(ttlMs))];
    this.later(host.id, place.record, ["put", place.field, token || "-", this.channel, ...times, sealed]);
  }

  /** The host gave no answer: the others need not wait any longer. */
  release(host: HostSettings, place: SharedPlace, token: string): void {
    this.later(host.id, place.record, ["release", place.field, token, this.channel]);
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
      const told = { hostId: host.id, filter: of === "all" ? {} : { [of]: value } };
      const sealed = this.vault.seal(JSON.stringify(told), this.channel);
      await this.call(host.id, record, ["forget", of === "all" ? "all" : "record", sealed, this.channel]);
    }
  }

  close(): void {
    this.state = "closed";
    clearTimeout(this.probe);
    for (const timer of this.lagging.values()) {
      clearTimeout(timer);
    }
    this.wakeAll();
  }

  /** A connection to Redis stands, and says from now on what others tell: what they told before is found out. */
  listening(hosts: Iterable<HostSettings>): void {
    for (const { id, cluster } of hosts) {
      if (cluster?.cache === true) {
        void this.recount(id);
      }
    }
  }

  private read(asked: AskReply & { is: "answer" | "claimed" }, token: string, place: SharedPlace): Found {
    if (asked.is === "claimed") {
      return { is: "claimed", token };
    }
    const answer = this.vault.openAnswer(asked.sealed, place);
    if (answer === undefined) {
      return UNKNOWN;
    }
    this.counts.known++;
    return { is: "known", answer, ageMs: asked.ageMs };
  }

  private async recount(hostId: string): Promise<void> {
    const [, counts] = answerKeys(this.options.name, hostId, "");
    try {
      this.heard(hostId, Number(await this.options.link.command(counts, ["HGET", counts, "forgets"])));
    } catch {
      this.rest();
    }
  }

  /** Redis has counted so many. Word of the last of them may be under way still; where it does not come, it was lost. */
  private heard(hostId: string, count: number): void {
    const known = this.forgets.get(hostId);
    if (known === undefined) {
      this.forgets.set(hostId, count);
    } else if (count !== known && !this.lagging.has(hostId)) {
      const timer = setTimeout(() => {
        this.lagging.delete(hostId);
        if (this.forgets.get(hostId) === known || count < known) {
          this.missed(hostId, count);
        }
      }, WORD_LIMIT_MS);
      timer.unref();
      this.lagging.set(hostId, timer);
    }
  }

  /** Something was forgotten, and nobody knows what. */
  private missed(hostId: string, count: number): void {
    this.forgets.set(hostId, count);
    this.options.forgotten(hostId, {});
  }

  private told(message: string): void {
    const [verb, detail, sealed] = message.split(" ");
    if (verb === "told") {
      this.wake(detail!);
      return;
    }
    const text = verb === "forget" ? this.vault.open(sealed!, this.channel) : undefined;
    if (text === undefined) {
      return;
    }
    const { hostId, filter } = JSON.parse(text) as { hostId: string; filter: ForgetFilter };
    const known = this.forgets.get(hostId);
    const count = Number(detail);
    if (known !== undefined && count !== known + 1) {
      this.missed(hostId, count);
    } else {
      this.forgets.set(hostId, count);
      this.options.forgotten(hostId, filter);
    }
    // A claim may be among what was dropped.
    this.wakeAll();
  }

  private listen(field: string): { leave(): void; within(ms: number): Promise<void> } {
    let heard: () => void = () => {};
    const word = new Promise<void>((resolve) => {
      heard = resolve;
    });
    let set = this.waiters.get(field);
    if (set === undefined) {
      set = new Set();
      this.waiters.set(field, set);
    }
    set.add(heard);
    const leave = (): void => {
      set.delete(heard);
      if (set.size === 0 && this.waiters.get(field) === set) {
        this.waiters.delete(field);
      }
    };
    const within = async (ms: number): Promise<void> => {
      const timer = setTimeout(heard, ms);
      timer.unref();
      await word;
      clearTimeout(timer);
      leave();
    };
    return { leave, within };
  }

  private wake(field: string): void {
    for (const heard of this.waiters.get(field) ?? []) {
      heard();
    }
  }

  private wakeAll(): void {
    for (const field of [...this.waiters.keys()]) {
      this.wake(field);
    }
  }

  private later(hostId: string, record: string, args: readonly string[]): void {
    if (this.isUsable) {
      void this.call(hostId, record, args);
    }
  }

  private async call(hostId: string, record: string, args: readonly string[]): Promise<unknown> {
    try {
      return await this.options.link.run(this.script, answerKeys(this.options.name, hostId, record), args);
    } catch {
      this.counts.failed++;
      this.rest();
      return undefined;
    }
  }

  /** Redis is left alone until it has answered a probe, and nobody waits for what it may tell. */
  private rest(): void {
    if (this.state !== "open") {
      return;
    }
    this.state = "resting";
    this.wakeAll();
    const waitMs = Math.min(FIRST_PROBE_MS * 2 ** this.probes++, MOST_PROBE_MS);
    this.probe = setTimeout(() => void this.tryAgain(), waitMs);
    this.probe.unref();
  }

  private async tryAgain(): Promise<void> {
    if (this.state !== "resting") {
      return;
    }
    const { link, name } = this.options;
    const ask = ["ask", "probe", `${this.options.gateway}.probe`, this.channel, "1"];
    try {
      await link.run(this.script, answerKeys(name, "", "probe"), ask);
    } catch {
      this.state = "open";
      this.rest();
      return;
    }
    this.state = "open";
    this.probes = 0;
  }
}
