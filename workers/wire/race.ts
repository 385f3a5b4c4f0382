/**
 * Happy Eyeballs (RFC 8305): connects to the addresses of one host side by side, each a little after the one before it, and keeps the
 * first connection that stands. The others are closed before a byte is said. Runs for the pool's dialer, on sockets or a test's
 * stand-ins for them.
 */
import type { Failure } from "../../src/errors.js";
import { Timer, type TimerWheel } from "../../src/timer-wheel.js";

/** RFC 8305 5, the Connection Attempt Delay: so long is an address waited for before the next one is tried too. */
export const HEAD_START_MS = 250;

/** What an attempt to connect tells the race, once, and not before it has returned. */
export interface AttemptOutcome<T> {
  stands(connection: T): void;
  fails(failure: Failure): void;
}

export interface RaceOptions<T> {
  /** At least one, best first. */
  readonly addresses: readonly string[];
  /** For all of them together. */
  readonly withinMs: number;
  readonly wheel: TimerWheel;
  /** Starts to connect; the result ends the attempt, without a word to the peer. */
  readonly connect: (address: string, outcome: AttemptOutcome<T>) => () => void;
  /** Nothing has come of any of them in time; `address` was tried last. */
  readonly timedOut: (address: string) => Failure;
}

/** Who hears of a race's end. */
export interface RaceWatcher<T> {
  /** One of the addresses could not be reached; the others are tried still. */
  failed(address: string): void;
  /** `overtaken`: those that had a head start and have neither failed nor answered. */
  won(address: string, connection: T, overtaken: readonly string[]): void;
  /** No address could be reached: what the last one said. */
  lost(failure: Failure): void;
}

export class Race<T> {
  /** Those that are on their way, with what ends them. */
  private readonly running = new Map<string, () => void>();
  private started = 0;
  private state: "running" | "over" = "running";
  private failure: Failure | undefined;
  private readonly headStart = new Timer(() => this.startNext());
  private readonly limit = new Timer(() => this.timeIsUp());
  /** With little time for many addresses, each has its share. */
  private readonly headStartMs: number;

  constructor(
    private readonly options: RaceOptions<T>,
    private readonly watcher: RaceWatcher<T>,
  ) {
    this.headStartMs = Math.min(HEAD_START_MS, options.withinMs / options.addresses.length);
  }

  begin(): void {
    const { wheel, withinMs } = this.options;
    wheel.set(this.limit, withinMs);
    this.startNext();
  }

  /** Ends it without a result. */
  cancel(): void {
    this.finish();
  }

  private startNext(): void {
    const { addresses, wheel, connect } = this.options;
    const address = addresses[this.started++]!;
    this.running.set(
      address,
      connect(address, {
        stands: (connection) => this.stands(address, connection),
        fails: (failure) => this.failed(address, failure),
      }),
    );
    if (this.started < addresses.length) {
      wheel.set(this.headStart, this.headStartMs);
    }
  }

  private stands(address: string, connection: T): void {
    if (this.state === "over") {
      return;
    }
    this.running.delete(address);
    const { addresses } = this.options;
    const overtaken = [...this.running.keys()].filter((other) => addresses.indexOf(other) < addresses.indexOf(address));
    this.finish();
    this.watcher.won(address, connection, overtaken);
  }

  /** The next one need not wait any more. */
  private failed(address: string, failure: Failure): void {
    if (this.state === "over") {
      return;
    }
    this.failure = failure;
    this.running.delete(address);
    this.watcher.failed(address);
    if (this.started < this.options.addresses.length) {
      this.startNext();
    } else if (this.running.size === 0) {
      this.lose(failure);
    }
  }

  private timeIsUp(): void {
    const { addresses, timedOut } = this.options;
    this.lose(this.failure ?? timedOut(addresses[this.started - 1]!));
  }

  private lose(failure: Failure): void {
    this.finish();
    this.watcher.lost(failure);
  }

  private finish(): void {
    this.state = "over";
    this.options.wheel.clear(this.headStart);
    this.options.wheel.clear(this.limit);
    for (const end of this.running.values()) {
      end();
    }
    this.running.clear();
  }
}
