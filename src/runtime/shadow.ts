/**
 * Shadow mode, for migrations (`remote.<id>.shadow`): a share of the lookups that a host has answered is asked of another host too, and
 * contradictions are counted. It begins when the caller has its answer, and what it costs is bounded. Called by router.ts.
 */
import type { LookupAnswer, RequestOptions } from "../api.js";
import type { HostSettings, ShadowSettings } from "../config/settings.js";
import { type ErrorCode, RelaypostError } from "../errors.js";
import type { LookupKind } from "../lookup-kinds.js";
import type { UserCredentials } from "../messages/contract.js";
import type { ShadowReport, ShadowStats } from "../stats.js";
import type { Clock } from "../timer-wheel.js";
import type { WriteLog } from "./log.js";
import { ShadowLogins } from "./shadow-logins.js";
import { differ, isUnsure, ShadowTally } from "./shadow-tally.js";

/** Questions of one host to the other at the same time. */
const MOST_ASKED = 64;
const TIMEOUT_MS = 30_000;

/** One of the two hosts: router.ts's routes. */
export interface ShadowedHost {
  /** It takes no requests now, or as many wait for it as it has connections. */
  readonly isBusy: boolean;
  /** Finds out which domains it accepts everybody of. */
  readonly detectsCatchAll: boolean;
  /** Asks the host, past the copies of its answers; this question has no shadow of its own. */
  ask(asked: Question, options: RequestOptions): Promise<LookupAnswer>;
  /** Drops cached answers. */
  forget(filter: { recipient?: string }): Promise<number>;
}

/** A lookup: of an address, a name or a list, or of credentials. */
export type Question =
  | { readonly kind: Exclude<LookupKind, "auth">; readonly value: string }
  | { readonly kind: "auth"; readonly credentials: UserCredentials };

/** What a shadow takes from its surroundings. */
export interface ShadowContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: WriteLog;
  readonly find: (id: string) => ShadowedHost | undefined;
}

/** Errors before which no credentials were sent. */
const NOT_SENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "MAILBOX_FULL",
  "HOST_UNAVAILABLE",
  "DNS_FAILED",
  "CONNECT_FAILED",
  "CONNECT_TIMEOUT",
  "TLS_FAILED",
  "MISSING_STARTTLS",
  "MISSING_AUTH",
]);

/** One for each host with a shadow; the others have none, and pay nothing. */
export class Shadow {
  private asked = 0;
  private readonly tally: ShadowTally;
  private readonly logins: ShadowLogins;
  private readonly gone = new AbortController();

  private constructor(
    private readonly id: string,
    private settings: ShadowSettings,
    private readonly context: ShadowContext,
  ) {
    this.tally = new ShadowTally(id, settings.host, context.clock, context.log);
    this.logins = new ShadowLogins(context.clock);
  }

  /** @param former that of the same host before a reload: with the same other host, what it knows goes on */
  static of({ id, shadow }: HostSettings, context: ShadowContext, former: Shadow | undefined): Shadow | undefined {
    if (shadow === undefined) {
      former?.stop();
      return undefined;
    }
    if (former?.settings.host === shadow.host) {
      former.settings = shadow;
      return former;
    }
    former?.stop();
    return new Shadow(id, shadow, context);
  }

  /** A lookup is on its way to the host. */
  follow(question: Question, options: RequestOptions | undefined, answer: Promise<LookupAnswer>): void {
    const { kinds, share } = this.settings;
    if (kinds.includes(question.kind) && this.context.random() < share) {
      // In a turn of its own: the caller goes on first.
      answer.then((here) => void setImmediate(() => void this.compare(question, options, here)), ignore);
    }
  }

  stats(): ShadowStats {
    return this.tally.stats();
  }

  report(): ShadowReport {
    return this.tally.report(this.settings.share);
  }

  /** Gives up what is being asked. */
  stop(): void {
    this.gone.abort();
  }

  private async compare(question: Question, options: RequestOptions | undefined, here: LookupAnswer): Promise<void> {
    const { kind } = question;
    // What is cached or shared was compared when the host said it. A password that is wrong here is tried nowhere else.
    if (here.source !== "remote" || (kind === "auth" && !here.found)) {
      return;
    }
    const counts = this.tally.counts(kind);
    if (isUnsure(here, this.context.find(this.id)?.detectsCatchAll === true)) {
      counts.unsure++;
      return;
    }
    const other = this.context.find(this.settings.host);
    if (other === undefined || !this.isRoom(other) || (kind === "auth" && !this.logins.mayTry(subjectOf(question)))) {
      counts.dropped++;
      return;
    }
    this.asked++;
    try {
      const there = await this.ask(other, question, options, here);
      this.loginEnded(question, there.found);
      if (isUnsure(there, other.detectsCatchAll)) {
        counts.unsure++;
        return;
      }
      this.tally.judge(kind, subjectOf(question), here, there, this.settings);
    } catch (error) {
      this.loginEnded(question, error instanceof RelaypostError && NOT_SENT.has(error.code));
      counts.failed++;
    } finally {
      this.asked--;
    }
  }

  /** The first thing that an overload costs is the shadow. */
  private isRoom(other: ShadowedHost): boolean {
    const own = this.context.find(this.id);
    return this.asked < MOST_ASKED && !other.isBusy && own?.isBusy === false && !this.gone.signal.aborted;
  }

  /** The other host's answer; an old one is no contradiction, and is asked for anew. */
  private async ask(
    other: ShadowedHost,
    question: Question,
    { client }: RequestOptions = {},
    here: LookupAnswer,
  ): Promise<LookupAnswer> {
    const limits = { timeoutMs: TIMEOUT_MS, signal: this.gone.signal, ...(client === undefined ? {} : { client }) };
    const there = await other.ask(question, limits);
    if (there.source !== "cache" || question.kind === "auth" || !differ(here, there)) {
      return there;
    }
    await other.forget({ recipient: question.value });
    return other.ask(question, limits);
  }

  private loginEnded(question: Question, isHarmless: boolean): void {
    if (question.kind === "auth" && isHarmless) {
      this.logins.wasHarmless(question.credentials.username);
    }
  }
}

function subjectOf(question: Question): string {
  return question.kind === "auth" ? question.credentials.username : question.value;
}

function ignore(): void {}
