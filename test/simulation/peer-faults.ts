/** The faults of one connection and of each command on it, as the seed rolls them; shared by the mail and the IMAP server. */
import type { LinkFaults } from "./link.js";
import type { Random } from "./random.js";
import type { FaultRates, Scenario } from "./scenario.js";

/** What becomes of one command. */
export type Fate = "answered" | "refused" | "garbage" | "closed" | "reset" | "closed-behind" | "stalled";

export function rollLink(random: Random, { faults, mostDelayMs, isCalm }: Scenario): LinkFaults {
  const isSlow = random.chance(faults.slow);
  return {
    connect: random.chance(faults.refusedConnect) ? random.pick(["refused", "refused", "lost"]) : "accepted",
    tls: random.chance(faults.tls) ? random.pick(["fails", "fails", "stalls"]) : "stands",
    segments: random.pick(["whole", "whole", "random", "random", "random", "random", "octets"]),
    mostDelayMs: isSlow ? random.pick([200, 2_000]) : mostDelayMs,
    cut: random.chance(faults.cut)
      ? {
          direction: random.pick(["up", "down"]),
          atOctet: random.between(1, random.pick([100, 400, 1_500])),
          how: random.pick(["reset", "reset", "reset", "stall"]),
        }
      : undefined,
    pressure: !isCalm && random.chance(0.2) ? 5_000 : 1,
  };
}

/** One connection's server. */
export class PeerFaults {
  readonly isSilent: boolean;
  /** Throws away what it has read behind each command of a group. */
  readonly drops: boolean;
  /** Sends octets behind its reply to STARTTLS. */
  readonly injects: boolean;

  constructor(
    private readonly random: Random,
    private readonly rates: FaultRates,
  ) {
    this.isSilent = random.chance(rates.silent);
    this.drops = random.chance(rates.drops);
    this.injects = random.chance(rates.injects);
  }

  fate(): Fate {
    const { random, rates } = this;
    if (random.chance(rates.refusal)) {
      return "refused";
    }
    if (random.chance(rates.close)) {
      return random.pick(["closed", "reset", "closed-behind"]);
    }
    if (random.chance(rates.garbage)) {
      return "garbage";
    }
    if (random.chance(rates.stall)) {
      return "stalled";
    }
    return "answered";
  }

  /** Never where commands are lost: one too few and one too many would look right. */
  get isSurplus(): boolean {
    return !this.drops && this.random.chance(this.rates.surplus);
  }

  /** How late the next reply is. */
  get lateMs(): number {
    const { random, rates } = this;
    if (random.chance(rates.late)) {
      return random.pick([20, 200, 1_500]);
    }
    return random.chance(0.3) ? random.below(3) : 0;
  }

  /** Lines that are no reply. */
  get garbage(): string {
    return this.random.pick([
      "abc\r\n",
      "25\r\n",
      "2500 what\r\n",
      "250-half\r\n550 other\r\n",
      "\0\0\r\n",
      "250 a\rb\r\n",
      "\xff\xfe\n",
    ]);
  }
}
