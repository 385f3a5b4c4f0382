/**
 * A simulated worker's side of one host whose health gateways share: the real circuit, working limit and run of refusals, behind what the
 * real pool makes of hints; and one connection at a time, as plain as it can be. Serves health-gateway.ts.
 */
import type { Failure } from "../../../src/errors.js";
import type { HealthHint, HealthNews } from "../../../src/messages/health.js";
import type { Clock } from "../../../src/timer-wheel.js";
import { PolicyRefusals } from "../../../workers/host/policy-refusals.js";
import type { ConnectionBudget } from "../../../workers/pool/budget.js";
import { Circuit } from "../../../workers/pool/circuit.js";
import { concernsOthers, ToldHealth, type ToldPool } from "../../../workers/pool/told-health.js";
import { WorkingLimit } from "../../../workers/pool/working-limit.js";
import type { Random } from "../random.js";

/** `limits.refusals` */
const MOST_REFUSALS = 3;
/** `remote.<id>.concurrency` */
export const CONCURRENCY = 10;

/** What becomes of an attempt to connect. `own`: for a reason that others would not meet. */
export type AttemptOutcome = "stands" | "refused" | "own";

export interface HealthWorkerOwner {
  readonly clock: Clock;
  readonly random: Random;
  /** An attempt begins; `isProbe`: it finds out whether the host is back. */
  attempt(isProbe: boolean, done: (outcome: AttemptOutcome) => void): void;
  /** A request was refused at once; `isTold`: because of what others said alone. */
  refused(isTold: boolean): void;
  tell(news: HealthNews): void;
}

export class HealthWorker {
  readonly circuit: Circuit;
  readonly limit: WorkingLimit;
  connection: "none" | "opening" | "stands" = "none";
  /** When one stood last. */
  stoodMs = Number.NEGATIVE_INFINITY;
  droppedMs = Number.NEGATIVE_INFINITY;
  servedMs = Number.NEGATIVE_INFINITY;
  /** When a recipient was accepted last. */
  acceptedMs = Number.NEGATIVE_INFINITY;
  readonly startedMs: number;
  /** Requests that wait. */
  queued = 0;
  /** Since when they wait for what comes of another gateway's attempt, or for the turn. */
  awaitingSinceMs: number | undefined;
  private isOver = false;
  private asked = 0;
  private readonly told: ToldHealth;
  private readonly refusals: PolicyRefusals;

  constructor(private readonly owner: HealthWorkerOwner) {
    const { clock, random } = owner;
    this.startedMs = clock.now();
    this.circuit = new Circuit(clock, () => random.next());
    this.limit = new WorkingLimit(clock, CONCURRENCY);
    this.refusals = new PolicyRefusals(clock, { write() {} });
    this.refusals.tell = (isOver) => owner.tell({ is: "blocked", isOver });
    this.told = new ToldHealth(clock, this.pool(), this.budget(), () => this.pump());
    this.told.share((news) => owner.tell(news));
  }

  hint(hint: HealthHint): void {
    if (this.isOver) {
      return;
    }
    if (hint.is === "blocked") {
      this.refusals.told(hint.untilMs);
    } else {
      this.told.told(hint);
    }
  }

  request(): void {
    this.queued++;
    this.pump();
    this.told.leaveTurns();
  }

  /** Nobody waits any more. */
  abandon(): void {
    this.queued = 0;
    this.told.leaveTurns();
  }

  /** The host closed it, or it had nothing to do. */
  drop(): void {
    if (this.connection === "stands") {
      this.connection = "none";
      this.droppedMs = this.owner.clock.now();
    }
  }

  /** The host refused one more than `standing` of them. */
  crowd(standing: number): void {
    if (this.limit.crowded(standing, this.owner.clock.now())) {
      this.onCrowded(this.limit.connections, this.limit.climbMs);
    }
  }

  /** The host was asked about a recipient, and refused it for policy reasons. @returns whether that is an error, and no answer */
  policyRefusal(): boolean {
    return this.refusals.count(`a${this.asked++}@example.org`, MOST_REFUSALS);
  }

  accepted(): void {
    this.acceptedMs = this.owner.clock.now();
    this.refusals.verdictGiven(true, MOST_REFUSALS);
  }

  /** Its thread ended. */
  end(): void {
    this.isOver = true;
  }

  private pump(): void {
    const { circuit, owner, queued, connection } = this;
    const { state } = circuit;
    if (queued > 0 && connection !== "stands" && state === "awaiting") {
      this.awaitingSinceMs ??= owner.clock.now();
      circuit.wish();
      return;
    }
    this.awaitingSinceMs = undefined;
    if (queued === 0) {
      return;
    }
    if (connection === "stands") {
      this.served();
    } else if (state === "open") {
      this.queued = 0;
      owner.refused(circuit.isTold);
    } else if (connection === "none") {
      this.connection = "opening";
      owner.attempt(state === "half-open", (outcome) => this.settled(outcome));
    }
  }

  private settled(outcome: AttemptOutcome): void {
    if (this.isOver) {
      return;
    }
    const { circuit, owner } = this;
    if (outcome === "stands") {
      this.connection = "stands";
      this.stoodMs = owner.clock.now();
      circuit.connected();
    } else {
      const code: Failure["code"] = outcome === "own" ? "AUTH_FAILED" : "CONNECT_TIMEOUT";
      this.connection = "none";
      circuit.failed(concernsOthers({ code, message: "it did not stand" }));
      this.queued = 0;
    }
    this.pump();
    this.told.leaveTurns();
  }

  private served(): void {
    this.queued = 0;
    this.servedMs = this.owner.clock.now();
  }

  /** Told by whoever learns what the host bears. */
  private onCrowded: (connections: number, forMs: number) => void = () => {};

  private budget(): ConnectionBudget {
    const worker = this;
    const budget = {
      set onCrowded(tell: ((connections: number, forMs: number) => void) | undefined) {
        worker.onCrowded = tell ?? (() => {});
      },
      toldCrowded: (connections: number, ageMs: number) => worker.limit.told(connections, ageMs, worker.standing),
    };
    return budget as unknown as ConnectionBudget;
  }

  private get standing(): number {
    return this.connection === "stands" ? 1 : 0;
  }

  /** What the pool shows to what is told. Nobody logs in here. */
  private pool(): ToldPool {
    const worker = this;
    const service = {
      circuit: this.circuit,
      queue: {
        get length() {
          return worker.queued;
        },
      },
      connections: {
        get standing() {
          return worker.standing;
        },
        count: () => (worker.connection === "opening" ? 1 : 0),
      },
    };
    const login = { ...service, circuit: new Circuit(this.owner.clock, () => 0), queue: [] };
    const health = { failed() {}, reached() {} };
    return { service, login, health } as unknown as ToldPool;
  }
}
