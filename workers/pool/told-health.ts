/**
 * What gateways tell each other of a host, as its pool hears it and says it: whether it can be reached, whose turn it is to find out,
 * how many connections it bears. Works for the pool; told by workers/host/cluster-shares.ts, which knows where it goes.
 *
 * What is told is a hint. It counts for nothing where connections stand here.
 */
import type { Failure } from "../../src/errors.js";
import type { HealthHint, HealthNews, HealthSide } from "../../src/messages/health.js";
import type { Clock } from "../../src/timer-wheel.js";
import type { ConnectionBudget } from "./budget.js";
import type { HostHealth } from "./health.js";
import type { Workload } from "./workload.js";

const TOLD: Failure = {
  code: "HOST_UNAVAILABLE",
  message: "Another gateway of the cluster could not reach it.",
};

/** Failures to connect that others would meet too; the others may be about our account, our certificates or our resolver. */
const CONCERNS_OTHERS: ReadonlySet<string> = new Set([
  "CONNECT_FAILED",
  "CONNECT_TIMEOUT",
  "HOST_UNAVAILABLE",
  "COMMAND_TIMEOUT",
  "REMOTE_CLOSED",
  "REMOTE_PROTOCOL",
]);

export function concernsOthers({ code }: Failure): boolean {
  return CONCERNS_OTHERS.has(code);
}

/** What it needs of its pool. */
export interface ToldPool {
  readonly login: Workload;
  readonly service: Workload;
  readonly health: HostHealth;
}

export class ToldHealth {
  constructor(
    private readonly clock: Clock,
    private readonly pool: ToldPool,
    private readonly budget: ConnectionBudget,
    private readonly pump: () => void,
  ) {}

  /** @param tell where news of the host go from now on; `undefined`: nowhere, and nobody tells any */
  share(tell: ((news: HealthNews) => void) | undefined): void {
    for (const of of ["login", "service"] as const) {
      this.pool[of].circuit.peers =
        tell === undefined
          ? undefined
          : {
              opened: (forMs, failures) => tell({ is: "down", of, forMs, failures }),
              closed: () => tell({ is: "up", of }),
              wish: () => tell({ is: "wish", of }),
              pass: () => tell({ is: "pass", of }),
            };
    }
    this.budget.onCrowded = tell && ((connections, forMs) => tell({ is: "crowded", connections, forMs }));
    this.pump();
  }

  told(hint: Exclude<HealthHint, { is: "blocked" }>): void {
    switch (hint.is) {
      case "down":
        this.toldDown(hint.of, hint.untilMs - this.clock.now(), hint.failures);
        break;
      case "up":
        this.toldUp(hint.of);
        break;
      case "turn":
        this.pool[hint.of].circuit.giveTurn();
        break;
      case "crowded":
        this.budget.toldCrowded(hint.connections, hint.ageMs);
        break;
    }
    this.pump();
    this.leaveTurns();
  }

  /** A turn that nobody needs any more is another gateway's. */
  leaveTurns(): void {
    for (const load of [this.pool.login, this.pool.service]) {
      if (load.circuit.peers !== undefined && load.queue.length === 0 && load.connections.count("opening") === 0) {
        load.circuit.pass();
      }
    }
  }

  private toldDown(of: HealthSide, forMs: number, failures: number): void {
    const load = this.pool[of];
    const { circuit } = load;
    if (circuit.state === "closed" && load.connections.standing > 0) {
      circuit.dispute();
      return;
    }
    circuit.toldDown(forMs, failures);
    this.pool.health.failed(load, TOLD);
  }

  private toldUp(of: HealthSide): void {
    const { circuit } = this.pool[of];
    circuit.toldUp();
    if (circuit.state === "closed") {
      this.pool.health.reached(of);
    }
  }
}
