/**
 * What one host counts and measures: plain numbers, since every request passes here. Kept by actor.ts, told by `stats()`.
 */
import type { RecipientResult, RequestKind } from "../../src/api.js";
import { newDurations, newLookupCounts } from "../../src/messages/host-stats.js";
import type { HostStats, LookupCounts } from "../../src/stats.js";
import type { CacheHit } from "./cache-entry.js";

type QuestionKind = Exclude<RequestKind, "relay">;

export class Counters {
  readonly relays: HostStats["relays"] = { settled: 0, failed: 0, delivered: 0, refused: 0, deferred: 0, uncertain: 0 };
  readonly lookups: HostStats["lookups"] = { cached: 0, shared: 0, remote: 0, failed: 0, cluster: 0 };
  readonly kinds: Record<QuestionKind, LookupCounts> = newLookupCounts();
  readonly durations: HostStats["durations"] = newDurations();

  /** `undefined`: delivered to nobody, without a verdict. */
  relaySettled(recipients: readonly RecipientResult[] | undefined): void {
    const { relays } = this;
    relays.settled++;
    if (recipients === undefined) {
      relays.failed++;
    } else {
      for (const { status } of recipients) {
        relays[status]++;
      }
    }
  }

  served(kind: QuestionKind, { answer }: Pick<CacheHit, "answer">, waiting = 1): void {
    this.lookups.cached += waiting;
    this.kinds[kind][answer.found ? "cachedFound" : "cachedNotFound"] += waiting;
  }

  /** Answered by the host; all that waited but one have shared the answer. */
  answered(kind: QuestionKind, found: boolean, waiting: number): void {
    if (waiting === 0) {
      return;
    }
    this.lookups.remote++;
    this.lookups.shared += waiting - 1;
    this.kinds[kind][found ? "found" : "notFound"] += waiting;
  }

  failed(kind: QuestionKind, waiting: number): void {
    this.lookups.failed += waiting;
    this.kinds[kind].failed += waiting;
  }

  /** Plain data for another thread: a copy, because the numbers go on. */
  snapshot(): Pick<HostStats, "relays" | "lookups" | "kinds" | "durations"> {
    return structuredClone({
      relays: this.relays,
      lookups: this.lookups,
      kinds: this.kinds,
      durations: this.durations,
    });
  }
}
