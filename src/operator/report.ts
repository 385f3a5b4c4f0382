/** What the operator's model says of a host: types only. Made by monitor.ts, shown by the page, `top` and `ctl`. */
import type { Protocol, Reply } from "../api.js";
import type { ErrorCode } from "../errors.js";
import type { LogLevel } from "../messages/host-log.js";
import type { HostStats } from "../stats.js";
import type { Lines } from "./history.js";

/** What is wrong with a host, or that nothing is. docs/runbook.md has a section for each. */
export type DiagnosisCause =
  | "worker-failed"
  | "worker-lost"
  | "paused"
  | "dns"
  | "unreachable"
  | "tls-expired"
  | "tls-name"
  | "tls-unknown-ca"
  | "tls-failed"
  | "tls-missing"
  | "account-refused"
  | "token-server"
  | "blocked"
  | "refused-at-greeting"
  | "too-many-connections"
  | "hung"
  | "address-down"
  | "protocol"
  | "cluster-lost"
  | "rate-limited"
  | "waiting-for-place"
  | "overloaded"
  | "slow"
  | "recovering"
  | "idle"
  | "healthy";

/** How bad it is: `down`, the host serves nobody; `degraded`, it serves fewer or later than asked; `notice`, worth knowing. */
export type Severity = "down" | "degraded" | "notice" | "healthy";

/** One sentence each: what is wrong with a host, why we think so, and what relaypost does about it. */
export interface Diagnosis {
  hostId: string;
  cause: DiagnosisCause;
  severity: Severity;
  what: string;
  /** The evidence, with numbers. */
  why: string;
  /** What relaypost does now. */
  now: string;
}

/** Something that happened to a host: a record of the log, kept for people who come later. */
export interface HostEvent {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly hostId: string;
  readonly level: LogLevel;
  /** As in the log. */
  readonly event: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What connections to a host failed of, in its own words where it spoke. */
export interface HostFailure {
  readonly code: ErrorCode;
  readonly message: string;
  /** The message of the underlying error. */
  readonly cause?: string;
  readonly reply?: Reply;
  /** Connections that stood when the last one failed: the host serves some of us. */
  readonly standing: number;
  /** The first and the last of a run of failures of one code, in milliseconds since the epoch, and how many there were. */
  readonly sinceMs: number;
  readonly atMs: number;
  readonly count: number;
}

/** One host at a glance. */
export interface HostReport {
  readonly id: string;
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  readonly concurrency: number;
  readonly state: HostStats["state"];
  readonly diagnosis: Diagnosis;
  /** A second, over the last ten. */
  readonly messageRate: number;
  readonly lookupRate: number;
  readonly queued: number;
  readonly inFlight: number;
  readonly connections: HostStats["connections"];
  /** Of the last hour: lookups answered without the host, from 0 to 1; null where nothing was asked. */
  readonly hitRatio: number | null;
  /** Of the last minute, in milliseconds, from a request's first command to its verdict; null where there was none. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Recipients of the last hour of whom nobody can know. */
  readonly uncertain: number;
}

/** The last minute and the last hour of a host. */
export interface HostLines {
  readonly seconds: Lines;
  readonly minutes: Lines;
}

/** Requests a second of a host in the last hour or minute, in equal steps; null where nobody looked. */
export interface Spark {
  readonly span: "hour" | "minute";
  readonly values: readonly (number | null)[];
}
