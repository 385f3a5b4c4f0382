/**
 * The calls by which the gateway's thread controls a worker, on a port of their own: they stay quick behind a flood of requests.
 * Called by src/runtime/supervisor.ts, answered by workers/host-worker.ts. They never throw: comlink would drop an error's code.
 */
import type { MessagePort } from "node:worker_threads";
import type { HostSettings } from "../config/settings.js";
import type { HostStats } from "../stats.js";
import type { HealthHint } from "./health.js";
import type { LogLevel } from "./host-log.js";
import type { ConnectionSight, HostOrder, TraceOrder, TracePart } from "./operating.js";
import type { PlaceGrant, SharedThing } from "./places.js";
import type { SharedMemory } from "./shared-state.js";
import type { TokenGrant } from "./tokens.js";

/** A host and its number in its thread. */
export interface NumberedHost {
  readonly host: number;
  readonly settings: HostSettings;
  /** The number of the same host as it was when it was removed, while that finishes what it has: together they keep to `concurrency`. */
  readonly former?: number | undefined;
  /** An operator paused it. */
  readonly isPaused?: boolean;
}

/** What a worker thread can be asked for. */
export interface WorkerControl {
  /** Creates the actors. Requests for them may follow at once. `hostname`: `runtime.hostname`, where one is known. */
  startHosts(hosts: readonly NumberedHost[], hostname: string | undefined): void;
  reconfigure(host: number, settings: HostSettings): void;
  /** Finishes the host's work in hand for at most `drainMs`, then settles the rest. Its number is free afterwards. */
  closeHost(host: number, drainMs: number): Promise<void>;
  /** The same for all hosts of the thread. */
  close(drainMs: number): Promise<void>;
  stats(): { readonly host: number; readonly stats: HostStats }[];
  /** What the host may take of what gateways share; it says at once what it has and could use. */
  grantPlaces(host: number, of: SharedThing, grant: PlaceGrant): void;
  /** What other gateways say of the host. */
  hint(host: number, hint: HealthHint): void;
  /** The access token that its connections log in by, or why there is none. */
  giveToken(host: number, grant: TokenGrant): void;
  forget(host: number, filter: { recipient?: string; username?: string }): number;
  operate(host: number, order: HostOrder): void;
  connections(host: number): ConnectionSight[];
  startTrace(host: number, order: TraceOrder): void;
  fetchTrace(host: number): TracePart;
  /** Records below it are not sent from now on. */
  setLogLevel(level: LogLevel | "silent"): void;
  ping(): void;
}

/** What the worker's task starts with. */
export interface WorkerStart {
  /** Requests in, answers out. */
  readonly data: MessagePort;
  /** {@link WorkerControl}. */
  readonly control: MessagePort;
  readonly memory: SharedMemory;
  /** Whether the task lasts as long as the thread, so that the process stays alive. */
  readonly isEndless: boolean;
  /** Records below it are not sent. */
  readonly logLevel: LogLevel | "silent";
}
