/** The verbs of the control listener, each a method of RemoteHosts or RemoteHost. Called by control.ts. */
import type { LogLevel } from "../messages/host-log.js";
import { withoutAddresses } from "../operator/addresses.js";
import type { RemoteHost, RemoteHosts } from "../remote-hosts.js";
import { refused } from "../request/address.js";

/** What may be asked; each verb reads what it needs, and its method checks it. */
export interface ControlRequest {
  readonly id?: unknown;
  readonly recipient?: string;
  readonly username?: string;
  readonly requests?: "wait" | "refuse";
  readonly forMs?: number;
  readonly lines?: number;
  readonly level?: LogLevel;
  readonly by?: unknown;
}

interface VerbContext {
  readonly remotes: RemoteHosts;
  /** Whether recipients may be shown. */
  readonly addresses: boolean;
  /** Who asks. */
  readonly by: string;
  readonly signal: AbortSignal;
}

/** One value of JSON a line. */
type Verb = (context: VerbContext, request: ControlRequest) => AsyncIterable<unknown> | Iterable<Promise<unknown>>;

const LAST_EVENTS = 20;

/** All of them. */
export const VERBS = {
  async *hosts({ remotes, addresses }) {
    yield* await remotes.reports({ addresses });
  },
  async *why({ remotes, addresses }, request) {
    const host = hostOf(remotes, request);
    const events = remotes.events({ hostId: host.id, addresses }).slice(-LAST_EVENTS);
    yield { ...(await host.diagnosis({ addresses })), events };
  },
  async *connections({ remotes }, request) {
    yield* await hostOf(remotes, request).connections();
  },
  async *shadow({ remotes, addresses }, request) {
    yield hostOf(remotes, request).shadowReport({ addresses });
  },
  async *forget({ remotes, by }, request) {
    const { recipient, username } = request;
    const filter = {
      ...(recipient === undefined ? {} : { recipient }),
      ...(username === undefined ? {} : { username }),
    };
    yield { forgotten: await hostOf(remotes, request).forget({ ...filter, by }) };
  },
  async *pause({ remotes, by }, request) {
    const { requests, forMs } = request;
    const options = { ...(requests === undefined ? {} : { requests }), ...(forMs === undefined ? {} : { forMs }) };
    await hostOf(remotes, request).pause({ ...options, by });
    yield { done: "paused" };
  },
  async *resume({ remotes, by }, request) {
    await hostOf(remotes, request).resume({ by });
    yield { done: "resumed" };
  },
  async *reconnect({ remotes, by }, request) {
    await hostOf(remotes, request).reconnect({ by });
    yield { done: "reconnected" };
  },
  async *trace({ remotes, by, addresses, signal }, request) {
    const { recipient, lines, forMs } = request;
    const options = {
      ...(recipient === undefined ? {} : { recipient }),
      ...(lines === undefined ? {} : { lines }),
      ...(forMs === undefined ? {} : { forMs }),
    };
    for await (const line of hostOf(remotes, request).trace({ ...options, by, signal })) {
      yield addresses ? line : { ...line, text: withoutAddresses(line.text) };
    }
  },
  async *"log-level"({ remotes, by }, { level }) {
    await remotes.setLogLevel(level as LogLevel, { by });
    yield { done: `the log's level is ${level}` };
  },
} satisfies Record<string, Verb>;

function hostOf(remotes: RemoteHosts, { id }: ControlRequest): RemoteHost {
  if (typeof id !== "string") {
    throw refused("id", "must be the id of a host");
  }
  return remotes.host(id);
}
