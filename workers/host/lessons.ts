/**
 * What deliveries teach: a recipient that a relay saw accepted or refused is a verdict like a lookup's, and goes into the same cache
 * (`remote.<id>.cache.learn`). Told of each settled relay by actor.ts; docs/replies.md tells users what teaches and what does not.
 */
import type { RecipientResult, Reply } from "../../src/api.js";
import type { HostSettings } from "../../src/config/settings.js";
import type { Answer, RelayJob } from "../../src/messages/contract.js";
import type { HostStats } from "../../src/stats.js";
import { ReplyRules } from "../wire/reply-rules.js";
import { judgeRefusal } from "../wire/smtp/rcpt-verdict.js";
import type { AnswerCache } from "./cache.js";
import { lookupKey } from "./cache-keys.js";

/** Part of its time for which an answer needs no confirmation. */
const YOUNG = 0.5;

/** What a refusal teaches. `doubt`: it may speak of the address, so that an answer that says otherwise is worth nothing any more. */
type Lesson = Answer | "doubt" | undefined;

export class Lessons {
  readonly counts: HostStats["learned"] = { found: 0, notFound: 0, contradicted: 0 };
  private isOn!: boolean;
  private isLmtp!: boolean;
  private rules: ReplyRules | undefined;
  /** Whether a site's rule may say of an accepted recipient what the end of a message does not show. */
  private doubtsAccepted!: boolean;
  /** Relays that were begun before spoke with the host as it was configured then. */
  private sinceMs = Number.NEGATIVE_INFINITY;

  constructor(settings: HostSettings) {
    this.follow(settings);
  }

  /** What the former host says now teaches nothing of the next. */
  reconfigure(settings: HostSettings, nowMs: number): void {
    this.sinceMs = nowMs;
    this.follow(settings);
  }

  /**
   * A relay has its verdicts.
   *
   * @param shared the reply that ended the transaction, or those of several: who was refused by it was not judged alone
   * @param startedMs when it came to its connection
   */
  learn(
    cache: AnswerCache,
    { recipients: addresses, client }: Pick<RelayJob, "recipients" | "client">,
    results: readonly RecipientResult[],
    shared: Reply | ReadonlySet<Reply> | undefined,
    startedMs: number,
  ): void {
    if (!this.isOn || startedMs <= this.sinceMs) {
      return;
    }
    const suffix = cache.clientSuffix(client);
    for (let index = 0; index < results.length; index++) {
      const { status, reply } = results[index]!;
      if (status === "delivered") {
        this.delivered(cache, lookupKey("rcpt", addresses[index]!) + suffix, reply!);
      } else if (status === "refused" && !isShared(reply!, shared)) {
        this.refused(cache, lookupKey("rcpt", addresses[index]!) + suffix, reply!);
      }
    }
  }

  private follow({ cache, protocol, replies }: HostSettings): void {
    this.isOn = cache.learn === true && cache.entries > 0;
    this.isLmtp = protocol === "lmtp";
    const ofRecipients = replies?.filter(({ to }) => to === "rcpt") ?? [];
    this.rules = this.isOn && ofRecipients.length > 0 ? new ReplyRules(ofRecipients) : undefined;
    this.doubtsAccepted = ofRecipients.some(({ code }) => code === undefined || code < 300);
  }

  private delivered(cache: AnswerCache, key: string, reply: Reply): void {
    // Said once more, a young answer would lose the copies that callers' threads have of it.
    if (this.doubtsAccepted || cache.isFound(key, YOUNG)) {
      return;
    }
    this.counts.found++;
    cache.put(key, { found: true, values: [], reply });
  }

  private refused(cache: AnswerCache, key: string, reply: Reply): void {
    const lesson = this.lessonOf(reply);
    if (lesson === undefined) {
      return;
    }
    if (cache.contradict(key)) {
      this.counts.contradicted++;
    }
    if (lesson !== "doubt") {
      this.counts.notFound++;
      cache.put(key, lesson);
    }
  }

  private lessonOf(reply: Reply): Lesson {
    const answer = { found: false, values: [], reply };
    const meaning = this.rules?.meaning("rcpt", reply);
    if (meaning !== undefined) {
      return meaning === "not-found" ? answer : undefined;
    }
    const verdict = judgeRefusal(reply);
    if (verdict === "none" || verdict === "policy" || verdict === "too-large") {
      return undefined;
    }
    // LMTP refuses recipients after the content too, which a bare code may speak of as well (RFC 2033 4.2); so may 552 behind MAIL's SIZE.
    const isExact = reply.enhanced !== undefined && !reply.enhanced.startsWith("5.0.");
    if (!isExact && (this.isLmtp || verdict === "full")) {
      return "doubt";
    }
    return verdict === "unknown" ? answer : { ...answer, mailbox: verdict };
  }
}

function isShared(reply: Reply, shared: Reply | ReadonlySet<Reply> | undefined): boolean {
  return shared instanceof Set ? shared.has(reply) : reply === shared;
}
