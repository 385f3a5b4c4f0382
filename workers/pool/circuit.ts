/**
 * When a host may be dialled again: a circuit that opens after failed attempts and is then tried by one connection. Where gateways
 * tell each other of the host, it also opens when they could not reach it, and only one of them tries (told-health.ts).
 */
import type { Clock } from "../../src/timer-wheel.js";

/** Failed attempts in a row that open the circuit. */
export const FAILURES_TO_OPEN = 3;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;

/** `awaiting`: as half-open, but somebody else finds out, or may. */
export type CircuitState = "closed" | "open" | "half-open" | "awaiting";

/** Others who dial the same host. */
export interface CircuitPeers {
  /** It opened here for so long, after so many failures. */
  opened(forMs: number, failures: number): void;
  /** A connection stands where none could be made lately. */
  closed(): void;
  /** Whether it is this one's turn to try: answered by {@link Circuit.giveTurn}, or by what came of another's try. */
  wish(): void;
  /** The turn was not taken, or nothing was learnt by it. */
  pass(): void;
}

/** closed → open (requests are refused at once) → half-open (one connection finds out) → closed, or open for longer. */
export class Circuit {
  /** Where others are told, and tell. */
  peers: CircuitPeers | undefined;
  private failures = 0;
  private openUntilMs = 0;
  /** Whose word the state is by: that of others alone; or, where they say the opposite of what is seen here, still one's own. */
  private word: "own" | "told" | "disputed" = "own";
  private turn: "none" | "wished" | "given" = "none";

  constructor(
    private readonly clock: Clock,
    private readonly random: () => number,
    private readonly failuresToOpen = FAILURES_TO_OPEN,
  ) {}

  get state(): CircuitState {
    if (this.failures < this.failuresToOpen) {
      return "closed";
    }
    if (this.clock.now() < this.openUntilMs) {
      return "open";
    }
    return this.peers === undefined || this.turn === "given" ? "half-open" : "awaiting";
  }

  /** How long it stays open, in milliseconds. */
  get waitMs(): number {
    return Math.max(0, this.openUntilMs - this.clock.now());
  }

  /** Nobody here has failed: others could not reach the host. */
  get isTold(): boolean {
    return this.word === "told";
  }

  connected(): void {
    const isNews = this.failures >= this.failuresToOpen || this.word === "disputed";
    this.restart();
    if (isNews) {
      this.peers?.closed();
    }
  }

  /** What was known does not count any more. */
  restart(): void {
    this.failures = 0;
    this.openUntilMs = 0;
    this.word = "own";
    this.turn = "none";
  }

  /** It opens at once: enough is known. */
  trip(): void {
    this.failures = Math.max(this.failures, this.failuresToOpen - 1);
    this.openUntilMs = 0;
    this.failed();
  }

  /** @param concernsOthers whether the host would fail others, too */
  failed(concernsOthers = true): void {
    // Attempts that were under way together when it opened are one failure of the host, not a reason to wait longer.
    if (this.state === "open") {
      return;
    }
    this.failures++;
    this.word = "own";
    const backoffMs = Math.min(
      FIRST_BACKOFF_MS * 2 ** Math.max(0, this.failures - this.failuresToOpen),
      MAX_BACKOFF_MS,
    );
    // Jitter, so that a thousand hosts that fell together do not rise together.
    const forMs = backoffMs * (0.5 + this.random() / 2);
    this.openUntilMs = this.clock.now() + forMs;
    if (!concernsOthers) {
      this.pass();
    } else if (this.failures >= this.failuresToOpen) {
      this.turn = "none";
      this.peers?.opened(forMs, this.failures);
    }
  }

  // --- what others say -----------------------------------------------------------------------------------------

  /** They could not reach the host, and try again after so long. */
  toldDown(forMs: number, failures: number): void {
    if (this.state === "closed") {
      this.word = "told";
      // Too few failures here to open it: what they would have made of it is not added to what others say.
      this.openUntilMs = 0;
    }
    this.failures = Math.max(this.failures, failures, this.failuresToOpen);
    this.openUntilMs = Math.max(this.openUntilMs, this.clock.now() + forMs);
    this.turn = "none";
  }

  /** The same, while connections work here: the next one that stands says so. */
  dispute(): void {
    this.word = "disputed";
  }

  /** They reached it. Whoever failed here finds out at once; whoever only was told forgets it. */
  toldUp(): void {
    if (this.word !== "own") {
      this.restart();
    } else if (this.state !== "closed") {
      this.openUntilMs = this.clock.now();
      this.turn = "given";
    }
  }

  giveTurn(): void {
    if (this.state === "awaiting") {
      this.turn = "given";
    }
  }

  /** Somebody waits for the host: asks for the turn, once. */
  wish(): void {
    if (this.turn === "none" && this.state === "awaiting") {
      this.turn = "wished";
      this.peers?.wish();
    }
  }

  /** The turn is not taken, or nothing was learnt of the host by it. */
  pass(): void {
    if (this.turn === "given") {
      this.peers?.pass();
    }
    this.turn = "none";
  }
}
