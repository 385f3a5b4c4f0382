/** Asks a host about passwords that are made up, each of them wrong: whether it can judge them, and what it tells of its users. Called by doctor.ts. */
import { randomUUID } from "node:crypto";
import type { HostSettings, Settings } from "../../config/settings.js";
import type { RemoteHosts } from "../../remote-hosts.js";
import { asking, limits, nobody, opened, outcomeOf, tryEndurance } from "./asking.js";
import type { Endurance, LoginAnswers, LoginTry } from "./finding.js";

/** Servers lock out whoever guesses for longer, and wait longer before each answer. */
const MOST_TRIES = 10;

export interface LoginAskingOptions {
  /** Somebody who exists: one wrong password is tried. */
  readonly user?: string;
  /** Where nobody is to be found. */
  readonly domain: string;
  readonly signal: AbortSignal;
}

/** One wrong password of a user that nobody is, and one of the user who is named. */
export function askLogins(
  settings: Settings,
  host: HostSettings,
  { user, domain, signal }: LoginAskingOptions,
): Promise<LoginAnswers> {
  return opened(settings, asking(host), signal, async (remote, remotes) => {
    const attempt = async (username: string): Promise<LoginTry> => {
      const beforeMs = await timeOfLogins(remotes, host);
      const outcome = await outcomeOf(remote.authenticate({ username, secret: randomUUID() }, limits(signal)));
      return { outcome, ms: (await timeOfLogins(remotes, host)) - beforeMs };
    };
    const stranger = await attempt(nobody(domain));
    const isServed = stranger.outcome.kind !== "no-answer" || stranger.outcome.reply !== undefined;
    const named = user === undefined || !isServed ? {} : { user: await attempt(user) };
    const { connect } = (await remotes.stats()).hosts[host.id]!.durations;
    const connections = connect.counts.reduce((sum, each) => sum + each, 0);
    return { stranger, ...named, connectMs: connect.sumMs / Math.max(1, connections) };
  });
}

/** Wrong passwords of users that nobody is, one after the other on one connection, until the host has enough. */
export function tryPasswords(
  settings: Settings,
  host: HostSettings,
  { domain, signal }: LoginAskingOptions,
): Promise<Endurance> {
  return tryEndurance(settings, host, signal, {
    of: "wrong passwords",
    most: MOST_TRIES,
    next: (remote) => remote.authenticate({ username: nobody(domain), secret: randomUUID() }, limits(signal)),
  });
}

async function timeOfLogins(remotes: RemoteHosts, { id }: HostSettings): Promise<number> {
  return (await remotes.stats()).hosts[id]!.durations.auth.sumMs;
}
