/** What a shadow has found out: counts by kind, the last differences, and at most one record of the log a minute for each kind. Serves shadow.ts. */
import type { LookupAnswer, Reply } from "../api.js";
import type { ShadowSettings } from "../config/settings.js";
import { LOOKUPS, type LookupKind } from "../lookup-kinds.js";
import type { LogFields } from "../messages/host-log.js";
import type { ShadowCounts, ShadowDifference, ShadowReport, ShadowStats } from "../stats.js";
import type { Clock } from "../timer-wheel.js";
import type { WriteLog } from "./log.js";

const LAST_DIFFERENCES = 50;
const LOG_EVERY_MS = 60_000;

const WORDS = {
  rcpt: ["a recipient exists", "does not"],
  vrfy: ["a mailbox or user exists", "does not"],
  expn: ["a list exists", "does not"],
  auth: ["a password is right", "is wrong"],
} as const satisfies Readonly<Record<LookupKind, readonly [is: string, isNot: string]>>;

/** What was not yet logged of one kind of difference. */
interface Unlogged {
  count: number;
  nextMs: number;
}

export class ShadowTally {
  private readonly since: number;
  private readonly kinds: Partial<Record<LookupKind, ShadowCounts>> = {};
  private readonly differences: ShadowDifference[] = [];
  private readonly unlogged = new Map<string, Unlogged>();

  constructor(
    private readonly hostId: string,
    private readonly other: string,
    private readonly clock: Clock,
    private readonly log: WriteLog,
  ) {
    this.since = Date.now();
  }

  counts(kind: LookupKind): ShadowCounts {
    this.kinds[kind] ??= { agreed: 0, onlyHere: 0, onlyThere: 0, unsure: 0, failed: 0, dropped: 0 };
    return this.kinds[kind];
  }

  /**
   * Two definite answers to one question. An address whose mailbox is full exists.
   *
   * @param subject the address or the user's name
   */
  judge(
    kind: LookupKind,
    subject: string,
    here: LookupAnswer,
    there: LookupAnswer,
    { addresses }: ShadowSettings,
  ): void {
    const counts = this.counts(kind);
    if (!differ(here, there)) {
      counts.agreed++;
      return;
    }
    const differs = exists(here) ? "only-here" : "only-there";
    counts[differs === "only-here" ? "onlyHere" : "onlyThere"]++;
    if (this.differences.length >= LAST_DIFFERENCES) {
      this.differences.shift();
    }
    this.differences.push({
      at: Date.now(),
      kind,
      differs,
      subject,
      ...(here.reply === undefined ? {} : { here: here.reply }),
      ...(there.reply === undefined ? {} : { there: there.reply }),
    });
    const person = addresses ? { [LOOKUPS[kind].subject === "username" ? "user" : "recipient"]: subject } : {};
    this.write(kind, differs, { here: codesOf(here.reply), there: codesOf(there.reply), ...person });
  }

  stats(): ShadowStats {
    return { host: this.other, kinds: structuredClone(this.kinds) };
  }

  report(share: number): ShadowReport {
    return { ...this.stats(), share, since: this.since, differences: structuredClone(this.differences) };
  }

  private write(kind: LookupKind, differs: ShadowDifference["differs"], fields: LogFields): void {
    const key = `${kind} ${differs}`;
    const unlogged = this.unlogged.get(key) ?? { count: 0, nextMs: Number.NEGATIVE_INFINITY };
    this.unlogged.set(key, unlogged);
    unlogged.count++;
    const nowMs = this.clock.now();
    if (nowMs < unlogged.nextMs) {
      return;
    }
    const { count } = unlogged;
    unlogged.count = 0;
    unlogged.nextMs = nowMs + LOG_EVERY_MS;
    const [is, isNot] = WORDS[kind];
    const [yes, no] = differs === "only-here" ? [this.hostId, this.other] : [this.other, this.hostId];
    const times = count === 1 ? "" : ` (${count} differences of this kind since the last record)`;
    const message = `${is} at ${yes}, and ${isNot} at ${no}${times}.`;
    const all = { shadow: this.other, kind, differs, count, ...fields };
    this.log("warn", "shadow-differs", this.hostId, `${message[0]!.toUpperCase()}${message.slice(1)}`, all);
  }
}

/** Whether two answers to one question contradict each other. */
export function differ(here: LookupAnswer, there: LookupAnswer): boolean {
  return exists(here) !== exists(there);
}

/**
 * A host that accepts everybody of a domain agrees with nobody, and contradicts nobody.
 *
 * @param isKnown the host finds out which domains are such: where it has not yet, nothing may be made of what it accepts
 */
export function isUnsure({ found, certainty }: LookupAnswer, isKnown: boolean): boolean {
  return found && (certainty === "accepts-all" || (certainty === "unknown" && isKnown));
}

function exists({ found, mailbox }: LookupAnswer): boolean {
  return found || mailbox !== undefined;
}

/** A reply's codes: its text may repeat an address. */
function codesOf(reply: Reply | undefined): string | undefined {
  return reply === undefined ? undefined : [reply.code, reply.enhanced].filter((code) => code !== undefined).join(" ");
}
