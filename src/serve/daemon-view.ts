/** What the daemon shows of itself to those who ask by HTTP. Made by daemon.ts, read by pages.ts and daemon-metrics.ts. Types only. */

/** One listener now. */
export interface ListenerCounts {
  readonly protocol: string;
  /** Where it listens. */
  readonly address: string;
  /** Clients now. */
  readonly clients: number;
  /** Answers given so far; of a gateway, messages answered. */
  readonly answers: number;
  readonly refusedLogins: number;
}

/** The reloads of the file (SIGHUP). */
export interface ReloadCounts {
  readonly succeeded: number;
  readonly failed: number;
  /** The last one, or the start of the daemon. Milliseconds since the epoch. */
  readonly lastAtMs: number;
  readonly hasLastSucceeded: boolean;
}

/** The daemon as others see it. Each call looks again. */
export interface DaemonView {
  /** Whether it takes work. */
  readonly isReady: () => boolean;
  readonly listeners: () => Readonly<Record<string, ListenerCounts>>;
  readonly reloads: () => ReloadCounts;
}
