/** How fast the host answers, and what a wanted rate needs. Pure; called by doctor.ts. docs/command-line.md explains the arithmetic. */
import type { HostSettings } from "../../config/settings.js";
import type { Endurance, Finding } from "./finding.js";

/** Times that a message needs: its envelope, then its content and the verdict; without PIPELINING each command has its own. */
const EXCHANGES = { pipelined: 2, single: 5 } as const;
/** Nothing is ever spread evenly. */
const HEADROOM = 1.5;
const MOST_PIPELINE = 50;

/** What the suggestion rests on. */
export interface PaceEvidence {
  /** One exchange with the host. */
  readonly exchangeMs: number;
  readonly isPipelining: boolean;
  readonly endurance: Endurance | undefined;
}

/** What keeps up with a rate. */
export interface Pace {
  readonly exchangeMs: number;
  readonly concurrency: number;
  /** For lookups. */
  readonly pipeline: number;
}

/**
 * @param perSecond messages, and as many lookups
 * @param connections those that it may have now
 */
export function paceFor(
  perSecond: number,
  connections: number,
  { exchangeMs, isPipelining, endurance }: PaceEvidence,
): Pace {
  const exchanges = isPipelining ? EXCHANGES.pipelined : EXCHANGES.single;
  // Little's law: so many are with the host at a time.
  const together = (perSecond * HEADROOM * exchangeMs) / 1000;
  const borne = endurance?.closedAfter ?? (endurance?.slowFrom === undefined ? MOST_PIPELINE : endurance.slowFrom - 1);
  const most = isPipelining ? Math.max(1, Math.min(MOST_PIPELINE, borne)) : 1;
  const pipeline = Math.min(most, Math.max(1, Math.ceil(together / connections)));
  return {
    exchangeMs,
    concurrency: Math.max(1, Math.ceil(together * exchanges), Math.ceil(together / pipeline)),
    pipeline,
  };
}

/** What logins at a rate rest on: how long a connection takes to stand, and the exchange of one login. */
export interface LoginPaceEvidence {
  readonly connectMs: number;
  readonly loginMs: number;
  /** UNAUTHENTICATE: a connection lives through a right password. */
  readonly isReused: boolean;
}

/** @param perSecond logins, most of them with the right password */
export function loginPaceFor(perSecond: number, { connectMs, loginMs, isReused }: LoginPaceEvidence): Pace {
  const exchangeMs = loginMs + (isReused ? 0 : connectMs);
  return { exchangeMs, concurrency: Math.max(1, Math.ceil((perSecond * HEADROOM * exchangeMs) / 1000)), pipeline: 1 };
}

/** Where the configuration has fewer connections than that. */
export function loginPaceFindings({ concurrency }: HostSettings, perSecond: number, pace: Pace): Finding[] {
  const basis = `At ${pace.exchangeMs.toFixed(1)} ms for a login, ${perSecond} right ones a second need about ${pace.concurrency} connections`;
  return [connectionsFinding(concurrency, pace, basis)];
}

function connectionsFinding(concurrency: number, pace: Pace, basis: string): Finding {
  const topic = "pace";
  return concurrency >= pace.concurrency
    ? { severity: "note", topic, message: `${basis}, and concurrency = ${concurrency} allows them.` }
    : { severity: "warning", topic, message: `${basis}.`, put: `concurrency = ${pace.concurrency}` };
}

/** Where the configuration has less than that. */
export function paceFindings({ concurrency, limits }: HostSettings, perSecond: number, pace: Pace): Finding[] {
  const topic = "pace";
  const basis = `At ${pace.exchangeMs.toFixed(1)} ms for an exchange, ${perSecond} messages a second need about ${pace.concurrency} connections`;
  const found: Finding[] = [connectionsFinding(concurrency, pace, basis)];
  const inFlight = Math.min(limits.pipeline, limits.errors);
  if (inFlight < pace.pipeline) {
    const key = limits.errors < pace.pipeline ? "errors" : "pipeline";
    const message = `As many lookups need ${pace.pipeline} of them in flight on a connection, and limits.${key} allows ${limits[key]}.`;
    found.push({ severity: "warning", topic, message, put: `limits.${key} = ${pace.pipeline}` });
  }
  return found;
}
