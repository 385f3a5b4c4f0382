/**
 * What an operator may ask of a remote host and do with it: the half of {@link RemoteHost} that sends nothing for callers. Checks every
 * argument; src/operator/ knows what is wrong with the host, src/runtime/operations.ts changes what it does.
 */
import type { Reply } from "./api.js";
import { RelaypostError } from "./errors.js";
import type { ConnectionSight, TraceLine } from "./messages/operating.js";
import { withoutAddresses } from "./operator/addresses.js";
import type { DisplayOptions, Monitor } from "./operator/monitor.js";
import type { Diagnosis } from "./operator/report.js";
import { refused, typeNameOf } from "./request/address.js";
import type { By, Operations, PauseOptions, TraceOptions } from "./runtime/operations.js";
import type { Route } from "./runtime/router.js";
import type { ShadowDifference, ShadowReport } from "./stats.js";

const MOST_TRACE_LINES = 10_000;
const MOST_TRACE_MS = 3_600_000;

export abstract class OperatedHost {
  readonly #route: Route;
  readonly #monitor: Monitor;
  readonly #operations: Operations;

  /** @internal */
  constructor(route: Route, monitor: Monitor, operations: Operations) {
    this.#route = route;
    this.#monitor = monitor;
    this.#operations = operations;
  }

  /**
   * What is wrong with the host, why we think so, and what relaypost does about it: one sentence each.
   * The first call begins to look at the counters of all hosts once a second, until `close()`; the next ones know more.
   *
   * @param options `addresses`: whether a reply's text may repeat a recipient's address; default `false`
   * @throws RelaypostError UNKNOWN_HOST when it was removed
   */
  async diagnosis(options: DisplayOptions = {}): Promise<Diagnosis> {
    const { id } = this.#route;
    const found = await this.#monitor.diagnosis(id, options);
    if (found !== undefined) {
      return found;
    }
    throw new RelaypostError("UNKNOWN_HOST", `The remote host ${id} was removed.`, { hostId: id });
  }

  /**
   * What its shadow (`remote.<id>.shadow`) has found out: how often the other host agreed, and the last differences.
   *
   * @param options `addresses`: whether differences name the recipient or user, and the text of replies may; default `false`
   * @throws RelaypostError NOT_SUPPORTED where it has no shadow
   */
  shadowReport({ addresses = false }: DisplayOptions = {}): ShadowReport {
    const { id, shadow } = this.#route;
    if (shadow === undefined) {
      throw new RelaypostError("NOT_SUPPORTED", `A report needs remote.${id}.shadow.`, { hostId: id });
    }
    const report = shadow.report();
    return addresses ? report : { ...report, differences: report.differences.map(withoutPeople) };
  }

  /** Its connections one by one, as they are now. */
  connections(): Promise<ConnectionSight[]> {
    return this.#operations.connections(this.#route);
  }

  /**
   * Drops cached answers: those about a recipient, those about a user, or all of them.
   *
   * @returns how many were dropped
   * @throws RelaypostError INVALID_ARGUMENT
   */
  async forget(options: { recipient?: string; username?: string } & By = {}): Promise<number> {
    if (typeof options !== "object" || options === null) {
      throw refused("filter", `must be an object, not ${typeNameOf(options)}`);
    }
    const { by, ...filter } = options;
    for (const key of ["recipient", "username"] as const) {
      const value = filter[key];
      if (value !== undefined && typeof value !== "string") {
        throw refused(key, `must be a string, not ${typeNameOf(value)}`);
      }
    }
    return this.#operations.forget(this.#route, filter, by);
  }

  /**
   * Stops using the host: requests wait or are refused, connections finish what they have and QUIT. Answers that are in the cache
   * are given as long as requests wait.
   *
   * @throws RelaypostError INVALID_ARGUMENT
   */
  async pause(options: PauseOptions = {}): Promise<void> {
    const { requests, forMs } = options;
    if (requests !== undefined && requests !== "wait" && requests !== "refuse") {
      throw refused("requests", 'must be "wait" or "refuse"');
    }
    checkSpan("forMs", forMs, 2 ** 31 - 1);
    await this.#operations.pause(this.#route, options);
  }

  /** Ends a pause. */
  async resume({ by }: By = {}): Promise<void> {
    await this.#operations.resume(this.#route, by);
  }

  /** Forgets what was learnt of the host (that it is down, its addresses, how many connections it bears), and replaces its connections. */
  async reconnect({ by }: By = {}): Promise<void> {
    await this.#operations.reconnect(this.#route, by);
  }

  /**
   * The dialogue with the host, line by line while it happens, on all its connections; credentials and contents are left out.
   * It ends by itself. Recipients' addresses are in it. A host has one trace at a time: a second one ends the first.
   *
   * @throws RelaypostError INVALID_ARGUMENT
   */
  trace(options: TraceOptions = {}): AsyncIterable<TraceLine> {
    const { recipient, lines, forMs } = options;
    if (recipient !== undefined && typeof recipient !== "string") {
      throw refused("recipient", `must be a string, not ${typeNameOf(recipient)}`);
    }
    checkSpan("lines", lines, MOST_TRACE_LINES);
    checkSpan("forMs", forMs, MOST_TRACE_MS);
    return this.#operations.trace(this.#route, options);
  }
}

function withoutPeople({ subject: _, here, there, ...rest }: ShadowDifference): ShadowDifference {
  const masked = (reply: Reply): Reply => ({ ...reply, text: withoutAddresses(reply.text) });
  return { ...rest, ...(here && { here: masked(here) }), ...(there && { there: masked(there) }) };
}

function checkSpan(name: string, value: number | undefined, most: number): void {
  if (value !== undefined && !(Number.isFinite(value) && value >= 1 && value <= most)) {
    throw refused(name, `must be a number from 1 to ${most}`);
  }
}
