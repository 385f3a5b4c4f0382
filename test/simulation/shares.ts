/**
 * Judges whether tenants had their shares: while all of them have requests waiting, none is served less than 0.9 of its share over any
 * second. Serves simulate.ts.
 */
import type { Judged } from "./judged.js";
import { mostAtWork, type RushKind, type RushTenant } from "./rush.js";

const LEAST_SHARE = 0.9;
const WINDOW_MS = 1_000;
/** What docs/tenants.md says of a turn, and of what a message counts beside its content. */
const TURN_OCTETS = 8 * 1024;
const ENVELOPE_OCTETS = 1024;

/** One request was served, in octets of messages or in lookups. */
interface Served {
  readonly atMs: number;
  /** Its tenant's number. */
  readonly of: number;
  readonly cost: number;
}

/** All have something waiting from here to there. */
interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** @returns over how many milliseconds the shares of this run were looked at */
export function judgeShares(run: Judged, broken: string[]): number {
  let judgedMs = 0;
  for (const kind of ["relay", "lookup"] as const) {
    const tenants = run.rush?.tenants.filter((tenant) => tenant.kind === kind) ?? [];
    // Lookups that are lost on their way were served too, and no server saw it.
    if (tenants.length > 0 && (kind === "relay" || run.scenario.isCalm)) {
      judgedMs += new Shares(run, kind, tenants).judge(broken);
    }
  }
  return judgedMs;
}

class Shares {
  /** In the order in which they were served. */
  private readonly served: readonly Served[];
  private readonly weights: number;

  constructor(
    private readonly run: Judged,
    private readonly kind: RushKind,
    private readonly tenants: readonly RushTenant[],
  ) {
    this.weights = tenants.reduce((sum, { weight }) => sum + weight, 0);
    this.served = tenants
      .flatMap(({ requests }, of) =>
        requests.map((request) => ({ atMs: this.beganMs(request), of, cost: costOf(request.work) })),
      )
      .filter(({ atMs }) => atMs < Number.POSITIVE_INFINITY)
      .sort((one, other) => one.atMs - other.atMs);
  }

  judge(broken: string[]): number {
    let judgedMs = 0;
    for (const span of this.spans()) {
      judgedMs += span.toMs - span.fromMs;
      const failed = this.firstUnfair(span, WINDOW_MS) ?? this.firstUnfair(span, span.toMs - span.fromMs);
      if (failed !== undefined) {
        broken.push(failed);
      }
    }
    return judgedMs;
  }

  /** When a request left its queue: a message says so, a lookup arrives at a server. */
  private beganMs({ begunMs, work }: RushTenant["requests"][number]): number {
    if (work.kind !== "lookup") {
      return begunMs;
    }
    return this.run.ledger.questions.get(`rcpt:${work.value}`)?.[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Seconds and more in which everybody has more requests in the worker than connections can have at work. */
  private spans(): Span[] {
    const reserve = this.kind === "relay" ? 0 : mostAtWork(this.run.scenario, this.kind);
    const changes = this.tenants
      .flatMap(({ requests }, of) =>
        requests.flatMap((request) => [
          { atMs: request.arrivedMs, of, by: 1 },
          { atMs: Math.min(this.beganMs(request), request.settledMs), of, by: -1 },
        ]),
      )
      // Whoever leaves at the same moment as another one comes leaves first.
      .sort((one, other) => one.atMs - other.atMs || one.by - other.by);
    const waiting = this.tenants.map(() => 0);
    const spans: Span[] = [];
    let fromMs: number | undefined;
    for (const { atMs, of, by } of changes) {
      waiting[of]! += by;
      const isFull = waiting.every((count) => count > reserve);
      if (isFull) {
        fromMs ??= atMs;
      } else if (fromMs !== undefined) {
        if (atMs - fromMs >= WINDOW_MS) {
          spans.push({ fromMs, toMs: atMs });
        }
        fromMs = undefined;
      }
    }
    return spans;
  }

  /** Looks at the windows that begin with each request in the span. */
  private firstUnfair({ fromMs, toMs }: Span, lengthMs: number): string | undefined {
    const { served, tenants } = this;
    const costs = tenants.map(() => 0);
    let end = served.findIndex(({ atMs }) => atMs >= fromMs);
    for (let start = end; start !== -1 && start < served.length; start++) {
      const untilMs = served[start]!.atMs + lengthMs;
      if (untilMs > toMs) {
        break;
      }
      for (; end < served.length && served[end]!.atMs < untilMs; end++) {
        costs[served[end]!.of]! += served[end]!.cost;
      }
      const total = costs.reduce((sum, cost) => sum + cost, 0);
      const unfair = tenants.findIndex((tenant, of) => costs[of]! < this.leastOf(tenant, total));
      if (unfair !== -1) {
        const what = `${tenants[unfair]!.name} was served ${costs[unfair]} of ${total} in ${Math.round(lengthMs)} ms`;
        return `${this.kind}: ${what} from ${served[start]!.atMs.toFixed(3)} on, where its share is ${this.shareOf(tenants[unfair]!, total)}`;
      }
      costs[served[start]!.of]! -= served[start]!.cost;
    }
    return undefined;
  }

  private shareOf({ weight }: RushTenant, total: number): number {
    return (total * weight) / this.weights;
  }

  /** A window may begin and end within a turn. */
  private leastOf(tenant: RushTenant, total: number): number {
    return LEAST_SHARE * this.shareOf(tenant, total) - this.grain * tenant.weight;
  }

  /** One turn, and a message at either end: it may be larger than a turn. Of lookups, those that may have overtaken each other on different connections. */
  private get grain(): number {
    if (this.kind === "lookup") {
      return 1 + 2 * this.run.scenario.settings.concurrency;
    }
    const largest = Math.max(...this.served.map(({ cost }) => cost));
    return TURN_OCTETS + 2 * largest;
  }
}

function costOf(work: RushTenant["requests"][number]["work"]): number {
  return work.kind === "relay" ? ENVELOPE_OCTETS + (work.job.content?.length ?? 0) : 1;
}
