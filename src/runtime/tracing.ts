/**
 * Tracing channels (node:diagnostics_channel), so that observers need no wrapper around every call: `relaypost:relay` and
 * `relaypost:lookup` surround each request, `relaypost:connect` tells of each connection. Used by remote-hosts.ts and mailbox.ts,
 * which look for subscribers before they do anything else.
 */
import { type TracingChannel, tracingChannel } from "node:diagnostics_channel";
import type { Envelope, LookupAnswer, RelayResult } from "../api.js";
import { RelaypostError } from "../errors.js";
import type { LookupKind } from "../lookup-kinds.js";
import type { DialOutcome } from "../messages/dial-outcome.js";

/** What subscribers of `relaypost:relay` are handed. Node adds `result` before `asyncEnd`, or `error`. */
export interface RelayTrace {
  readonly hostId: string;
  readonly kind: "relay";
  /** How many recipients the envelope has. */
  readonly recipients: number;
  /** The caller's own name for the request, where it gave one. */
  readonly id?: string;
  readonly result?: RelayResult;
  readonly error?: unknown;
}

/** What subscribers of `relaypost:lookup` are handed. */
export interface LookupTrace {
  readonly hostId: string;
  readonly kind: LookupKind;
  /** The address, list or user name. Never a secret. */
  readonly value: string;
  /** The caller's own name for the request, where it gave one. */
  readonly id?: string;
  readonly result?: LookupAnswer;
  readonly error?: unknown;
}

/** What subscribers of `relaypost:connect` are handed: `start` and `asyncEnd` come together when it is over, since it happens in another thread. */
export interface ConnectTrace {
  readonly hostId: string;
  /** Counted from 1 for each host. */
  readonly connection: number;
  /** From the dial to a session that is ready, or to the failure. */
  readonly durationMs: number;
  /** TLS version, such as `TLSv1.3`; missing where there is none. */
  readonly tls?: string;
  readonly error?: unknown;
}

export const relayChannel: TracingChannel<unknown, RelayTrace> = tracingChannel("relaypost:relay");
export const lookupChannel: TracingChannel<unknown, LookupTrace> = tracingChannel("relaypost:lookup");
const connectChannel: TracingChannel<unknown, ConnectTrace> = tracingChannel("relaypost:connect");

/** Surrounds one relay; for when somebody listens. */
export function traceRelay(
  hostId: string,
  envelope: Envelope,
  id: string | undefined,
  relay: () => Promise<RelayResult>,
): Promise<RelayResult> {
  // Not checked yet: a wrong envelope is traced, too.
  const to: unknown = envelope?.to;
  const context: RelayTrace = { hostId, kind: "relay", recipients: Array.isArray(to) ? to.length : 1, ...named(id) };
  return relayChannel.tracePromise(relay, context);
}

/** Surrounds one lookup; for when somebody listens. */
export function traceLookup(
  hostId: string,
  kind: LookupTrace["kind"],
  value: string,
  id: string | undefined,
  lookup: () => Promise<LookupAnswer>,
): Promise<LookupAnswer> {
  return lookupChannel.tracePromise(lookup, { hostId, kind, value, ...named(id) });
}

function named(id: string | undefined): { id?: string } {
  return id === undefined ? {} : { id };
}

/** Whether the workers should tell of their connections. */
export function isConnectTraced(): boolean {
  return connectChannel.hasSubscribers;
}

/** Publishes what a worker tells of one connection. */
export function traceConnection({ hostId, connection, durationMs, failure, tls }: DialOutcome): void {
  const error = failure === undefined ? undefined : RelaypostError.from({ hostId, ...failure });
  const trace: ConnectTrace = {
    hostId,
    connection,
    durationMs,
    ...(tls === null ? {} : { tls }),
    ...(error === undefined ? {} : { error }),
  };
  connectChannel.start.publish(trace);
  connectChannel.end.publish(trace);
  if (error !== undefined) {
    connectChannel.error.publish(trace);
  }
  connectChannel.asyncStart.publish(trace);
  connectChannel.asyncEnd.publish(trace);
}
