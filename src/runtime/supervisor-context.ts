/** What supervisors of worker threads share, and what they tell of threads that are lost or ended. Made by fleet.ts, for supervisor.ts. */
import type { ResourceLimits } from "node:worker_threads";
import type { RuntimeSettings } from "../config/settings.js";
import type { Failure } from "../errors.js";
import type { HealthNews } from "../messages/health.js";
import type { PlaceDemand } from "../messages/places.js";
import type { Clock, TimerWheel } from "../timer-wheel.js";
import type { Log } from "./log.js";
import type { TokenPort } from "./token-port.js";

/** What all supervisors share. */
export interface SupervisorContext {
  /** See {@link ThreadOptions}. */
  readonly entry: URL;
  readonly runtime: RuntimeSettings;
  /** What each thread's heap may take at most. */
  readonly heap: ResourceLimits;
  readonly log: Log;
  readonly wheel: TimerWheel;
  /** For back-offs. */
  readonly clock: Clock;
  readonly random: () => number;
  /** Whether the threads keep the process alive. */
  readonly keepsAlive: boolean;
  /** Who grants the places that gateways share. */
  readonly places: PlaceSource;
  readonly tokens: Pick<TokenPort, "wanted">;
}

/** Where a worker's share of the places comes from: it hears of workers, and of what they could use. */
export interface PlaceSource {
  wanted(leaseId: string, demand: PlaceDemand): void;
  /** What it found out of its host, see `GatewayPort.healthFound`. */
  healthFound(hostId: string, news: HealthNews): void;
  /** A worker that knows the host runs, with no connection yet. */
  workerStarted(hostId: string): void;
  /** It ended, and its connections with it. */
  workerEnded(hostId: string): void;
}

export const LOST: Failure = {
  code: "WORKER_LOST",
  message: "The host's worker thread was lost; another one takes its place.",
};
export const UNAVAILABLE: Failure = {
  code: "HOST_UNAVAILABLE",
  message: "The host's worker thread was lost too often; it is tried again later.",
};
export const CLOSED: Failure = { code: "MAILBOX_CLOSED", message: "The remote hosts were closed." };
