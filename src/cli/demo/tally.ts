/** What the demo was told by relaypost about one host: statuses, answers, times. The audit compares it with the server's ledger. */
import type { LookupAnswer, RecipientResult } from "../../api.js";

/** Counters of one host. */
export class HostTally {
  /** Messages with a verdict on every recipient. */
  messages = 0;
  /** Recipients by their last status; none is left uncertain when the demo ends well. */
  readonly recipients: Record<RecipientResult["status"], number> = {
    delivered: 0,
    refused: 0,
    deferred: 0,
    uncertain: 0,
  };
  /** Relays that were rejected, so that nobody had received them, and were sent again. */
  rejected = 0;
  lastRejection = "";
  /** Messages that were uncertain at first, and which of them the server turned out to have. */
  uncertain = 0;
  arrived = 0;
  readonly lookups: Record<LookupAnswer["source"], number> = { remote: 0, shared: 0, cache: 0, cluster: 0 };
  /** Lookups that the host could not answer, as the demo expects. */
  unanswered = 0;
  private readonly timesMs: number[] = [];

  /** Takes down how long a request took. */
  took(ms: number): void {
    this.timesMs.push(ms);
  }

  /** So many per cent of the requests took at most this long, in milliseconds. */
  percentile(percent: number): number {
    const sorted = this.timesMs.toSorted((left, right) => left - right);
    return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
  }
}
