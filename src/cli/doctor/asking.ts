/**
 * Asks a host what may be asked without harm, through the library itself: what holds here holds for a gateway. No message is sent, and
 * no password but the connection's own and those that are made up here. Called by doctor.ts and login-asking.ts.
 */
import { randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import { judgeRefusal } from "../../../workers/wire/smtp/rcpt-verdict.js";
import type { LookupAnswer } from "../../api.js";
import type { HostSettings, Settings } from "../../config/settings.js";
import { RelaypostError } from "../../errors.js";
import type { RemoteHost, RemoteHosts } from "../../remote-hosts.js";
import { withHosts } from "../hosts.js";
import type { Answers, Endurance, Outcome } from "./finding.js";

/** Enough for a mean, and few enough for a host that counts refusals. */
const QUESTIONS = 5;
const MOST_PROBES = 100;
/** Slower than usual: by so many times, and by more than what chance does. */
const SLOW = 5;
const LEAST_SLOW_MS = 250;
const USUAL_OF = 5;
/** A host that says nothing is known by then. */
const PATIENCE_MS = 30_000;
const NO_LIMIT = 1_000_000;

/** What to ask with. */
export interface AskingOptions {
  /** An address that exists. */
  readonly recipient?: string;
  /** Where nobody is to be found; default: that of `recipient`, or the host's own. */
  readonly domain: string;
  readonly signal: AbortSignal;
}

/** The answers to a handful of questions. */
export function ask(settings: Settings, host: HostSettings, options: AskingOptions): Promise<Answers> {
  const { recipient, domain, signal } = options;
  return opened(settings, asking(host), signal, async (remote, remotes) => {
    const unknown = await outcomeOf(remote.verifyRecipient(nobody(domain), limits(signal)));
    for (let asked = 1; asked < QUESTIONS && unknown.kind !== "no-answer"; asked++) {
      await outcomeOf(remote.verifyRecipient(nobody(domain), limits(signal)));
    }
    const known =
      recipient === undefined ? undefined : await outcomeOf(remote.verifyRecipient(recipient, limits(signal)));
    const vrfy = await outcomeOf(remote.verify(recipient ?? "postmaster", limits(signal)));
    const expn = await outcomeOf(remote.expand(recipient ?? "postmaster", limits(signal)));
    const { counts, sumMs } = (await remotes.stats()).hosts[host.id]!.durations.rcpt;
    const count = counts.reduce((sum, each) => sum + each, 0);
    return {
      unknown,
      ...(known === undefined ? {} : { known }),
      vrfy,
      expn,
      ...(count === 0 ? {} : { lookupMs: sumMs / count }),
    };
  });
}

/** Asks about recipients that nobody has, one after the other on one connection, until the host has enough, or for a hundred of them. */
export function tryRecipients(settings: Settings, host: HostSettings, options: AskingOptions): Promise<Endurance> {
  const { domain, signal } = options;
  return tryEndurance(settings, host, signal, {
    of: "unknown recipients",
    most: MOST_PROBES,
    next: (remote) => remote.verifyRecipient(nobody(domain), limits(signal)),
  });
}

/** Questions whose answer is no. */
export interface Ordeal {
  readonly of: Endurance["of"];
  readonly most: number;
  next(remote: RemoteHost): Promise<LookupAnswer>;
}

/** One after the other on one connection, until the host has enough, or for as many as there may be. */
export function tryEndurance(
  settings: Settings,
  host: HostSettings,
  signal: AbortSignal,
  { of, most, next }: Ordeal,
): Promise<Endurance> {
  const enduring = {
    ...host.limits,
    errors: NO_LIMIT,
    requests: NO_LIMIT,
    refusals: NO_LIMIT,
    pipeline: 1,
    // Answers are to come as late as the host gives them, and no later.
    guesses: 0,
  };
  return opened(settings, { ...asking(host), limits: enduring }, signal, async (remote, remotes) => {
    const usual: number[] = [];
    let slow: { readonly from: number; readonly ms: number } | undefined;
    for (let asked = 0; ; asked++) {
      const usualMs = medianOf(usual);
      if (asked === most || signal.aborted) {
        return { of, asked, usualMs };
      }
      const startMs = performance.now();
      const outcome = await outcomeOf(next(remote));
      const tookMs = performance.now() - startMs;
      const { opened: connections } = (await remotes.stats()).hosts[host.id]!;
      if (connections > 1 || outcome.kind === "no-answer") {
        return { of, asked, closedAfter: asked, usualMs };
      }
      if (usual.length >= Math.min(USUAL_OF, most / 3) && tookMs > Math.max(SLOW * usualMs, usualMs + LEAST_SLOW_MS)) {
        // One alone may be the network's doing, or this machine's.
        if (slow !== undefined) {
          return { of, asked: asked + 1, slowFrom: slow.from, usualMs, slowMs: slow.ms };
        }
        slow = { from: asked + 1, ms: tookMs };
        continue;
      }
      slow = undefined;
      // The first one has its connection to open.
      if (asked > 0 && usual.length < USUAL_OF) {
        usual.push(tookMs);
      }
    }
  });
}

/** One connection, nothing cached, nothing shared with others. */
export function asking(host: HostSettings): HostSettings {
  const { cluster: _shared, lookups: _detection, ...own } = host;
  // A host that takes its time is not to be taken for one that hangs.
  const timeouts = { ...host.timeouts, lookupMs: Math.max(host.timeouts.lookupMs, PATIENCE_MS) };
  return { ...own, lookup: true, concurrency: 1, timeouts, cache: { ...host.cache, entries: 0 } };
}

/** The host, for as long as it is used. */
export function opened<T>(
  { runtime }: Settings,
  host: HostSettings,
  signal: AbortSignal,
  use: (remote: RemoteHost, remotes: RemoteHosts) => Promise<T>,
): Promise<T> {
  const settings: Settings = { runtime, hosts: new Map([[host.id, host]]), warnings: [] };
  return withHosts(
    settings,
    signal,
    () => {},
    (remotes) => use(remotes.host(host.id), remotes),
  );
}

/** What came of a question. */
export async function outcomeOf(question: Promise<LookupAnswer>): Promise<Outcome> {
  try {
    const { found, mailbox, reply } = await question;
    // One such refusal is an answer to a caller, who has no other; here it is none.
    if (!found && reply !== undefined && judgeRefusal(reply) === "policy") {
      return { kind: "no-answer", code: "REPLY_PERMANENT", message: "The refusal is about us.", reply };
    }
    // A mailbox that takes no mail now is one that exists.
    const kind = found || mailbox !== undefined ? "found" : "not-found";
    return { kind, ...(reply === undefined ? {} : { reply }) };
  } catch (error) {
    if (!(error instanceof RelaypostError) || error.code === "ABORTED") {
      throw error;
    }
    const { code, message, reply } = error;
    return { kind: "no-answer", code, message, ...(reply === undefined ? {} : { reply }) };
  }
}

/** Never asked before, and never to be given out. */
export function nobody(domain: string): string {
  return `relaypost-doctor-${randomUUID()}@${domain}`;
}

/** For each question. */
export function limits(signal: AbortSignal) {
  return { signal, timeoutMs: PATIENCE_MS };
}

function medianOf(times: readonly number[]): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
