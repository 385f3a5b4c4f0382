/** Finds threads whose hosts nobody has used for `runtime.idle`, and has them given back. Kept by fleet.ts; without the key there is none. */
import { Timer, type TimerWheel } from "../timer-wheel.js";
import type { Placement } from "./router.js";
import type { Supervisor } from "./supervisor.js";

const CHECKS_PER_LIMIT = 4;

interface Quiet {
  /** What had been counted at the last check. */
  readonly uses: number;
  readonly forMs: number;
}

export class IdleThreads {
  private readonly timer = new Timer(() => this.check());
  private readonly intervalMs: number;
  private quiet = new Map<Supervisor, Quiet>();

  /** @param placements of all hosts that can be asked */
  constructor(
    private readonly wheel: TimerWheel,
    private readonly limitMs: number,
    private readonly placements: () => Iterable<Placement>,
  ) {
    this.intervalMs = limitMs / CHECKS_PER_LIMIT;
    wheel.set(this.timer, this.intervalMs);
  }

  stop(): void {
    this.wheel.clear(this.timer);
  }

  private check(): void {
    const quiet = new Map<Supervisor, Quiet>();
    for (const [supervisor, uses] of this.countUses()) {
      const before = this.quiet.get(supervisor);
      const isQuiet = before?.uses === uses && supervisor.state === "up" && supervisor.mailbox.owed === 0;
      const forMs = isQuiet ? before.forMs + this.intervalMs : 0;
      quiet.set(supervisor, { uses, forMs });
      if (forMs >= this.limitMs) {
        void supervisor.rest();
      }
    }
    this.quiet = quiet;
    this.wheel.set(this.timer, this.intervalMs);
  }

  /** Batches, orders and answers from copies: a host that is asked only what is known is not idle. */
  private countUses(): Map<Supervisor, number> {
    const counts = new Map<Supervisor, number>();
    for (const { supervisor, load } of this.placements()) {
      const before = counts.get(supervisor) ?? supervisor.mailbox.posted + supervisor.asked;
      counts.set(supervisor, before + (load.copies?.givenCount ?? 0));
    }
    return counts;
  }
}
