/** The causes for which connections to a host fail, by the code and the words of the last failure. A part of the table in causes.ts. */
import type { CauseEntry, Sentences } from "./cause-entry.js";
import { addressesDown, type Evidence, presentFailure, recentEvents, recentFailure, standing } from "./evidence.js";
import type { HostFailure } from "./report.js";
import { clause, counted, span } from "./words.js";

const BLOCKED_WITHIN_MS = 300_000;

/** What the host may say at its greeting, or to a recipient, when it is our address that it does not like. */
const REPUTATION =
  /block(?:ed|list)|black ?list|deny ?list|reputation|spamhaus|\bdnsbl\b|\brbl\b|barracuda|banned|poor score/i;
const TOO_MANY = /too many|connection limit|concurren|\b4\.7\.0\b.*connections|exceeded.*connections/i;

/** What an account logs in with. */
const SHOWN_BY = { password: "auth.secret", token: "an access token of auth.oauth2", certificate: "tls.cert" };

/** A cause that is told by the failure that keeps the host from being used. */
function failing(
  cause: CauseEntry["cause"],
  isIt: (failure: HostFailure, words: string, evidence: Evidence) => boolean,
  what: (evidence: Evidence, failure: HostFailure) => string,
): CauseEntry {
  return {
    cause,
    severity: "down",
    explain(evidence): Sentences | undefined {
      const failure = presentFailure(evidence);
      if (failure === undefined || !isIt(failure, wordsOf(failure), evidence)) {
        return undefined;
      }
      return { what: what(evidence, failure), why: attempts(failure, evidence), now: retrying(evidence) };
    },
  };
}

/** Where it listens, as an operator would look for it. */
function place({ settings: { address, port } }: Evidence): string {
  return port === 0 ? address : `${address}, port ${port}`;
}

/** All that was said of a failure, for its words to be found in. */
function wordsOf({ message, cause = "", reply }: HostFailure): string {
  return `${message} ${cause} ${reply?.text ?? ""}`;
}

function attempts(failure: HostFailure, { nowMs }: Evidence): string {
  const { count, sinceMs, atMs, message, reply } = failure;
  const saidBy = reply === undefined ? message : `${clause(message)}, by the reply ${reply.code} ${reply.text}`;
  const said = reply !== undefined && message.includes(reply.text.split("\n", 1)[0]!) ? message : saidBy;
  const since = count === 1 ? "" : ` within ${span(atMs - sinceMs)}`;
  return `${counted(count, "attempt")} to connect failed${since}, the last one ${span(nowMs - atMs)} ago: ${clause(said)}.`;
}

/** What becomes of requests while no connection can be made. */
function retrying(evidence: Evidence): string {
  const { stats, settings } = evidence;
  const { staleIfErrorMs } = settings.cache;
  const stale = staleIfErrorMs === 0 ? "" : `; cached answers serve for up to ${span(staleIfErrorMs)} past their time`;
  switch (stats.circuit) {
    case "open":
      return `Requests are refused at once until one connection has tried again, ${nextTry(evidence)}${stale}.`;
    case "half-open":
      return `The next request makes one connection, which finds out whether the host is back; if it fails, requests are refused again${stale}.`;
    default:
      return `Each request tries again; after three failures in a row requests are refused at once${stale}.`;
  }
}

function nextTry({ stats: { retryAt }, nowMs }: Evidence): string {
  return retryAt === undefined ? "at the latest after a minute" : `in ${span(Math.max(0, retryAt - nowMs))}`;
}

/** In the order in which they are asked. */
export const connectionCauses: readonly CauseEntry[] = [
  failing(
    "dns",
    ({ code }) => code === "DNS_FAILED",
    ({ settings: { id, address } }) => `The name of ${id}, ${address}, cannot be resolved.`,
  ),
  failing(
    "tls-expired",
    ({ code }, words) => code === "TLS_FAILED" && /expired/i.test(words),
    ({ settings: { id } }) => `The TLS certificate of ${id} has expired.`,
  ),
  failing(
    "tls-name",
    ({ code }, words) => code === "TLS_FAILED" && /altname/i.test(words),
    ({ settings: { id, tls } }) =>
      `The TLS certificate of ${id} is for another name than ${tls.serverName} (tls.server-name).`,
  ),
  failing(
    "tls-unknown-ca",
    ({ code }, words) => code === "TLS_FAILED" && /self.signed|UNABLE_TO_(?:VERIFY|GET_ISSUER)/i.test(words),
    ({ settings: { id } }) => `The TLS certificate of ${id} is signed by nobody whom we trust (tls.ca).`,
  ),
  failing(
    "tls-failed",
    ({ code }) => code === "TLS_FAILED",
    ({ settings: { id, tls } }) =>
      `TLS with ${id} fails${tls.implicit ? "; perhaps it speaks plain text first (tls.implicit = false)" : ""}.`,
  ),
  failing(
    "tls-missing",
    ({ code }) => code === "MISSING_STARTTLS",
    ({ settings: { id } }) => `${id} offers no STARTTLS, and tls.starttls = "require" asks for it.`,
  ),
  failing(
    "account-refused",
    ({ code }) => code === "AUTH_FAILED" || code === "MISSING_AUTH",
    ({ settings: { id, auth } }, { code }) =>
      code === "AUTH_FAILED"
        ? `${id} refuses our account${auth === undefined ? "" : ` (auth.username, ${SHOWN_BY[auth.by ?? "password"]})`}.`
        : `${id} offers no way to log in that our account may use.`,
  ),
  failing(
    "token-server",
    ({ code }) => code === "TOKEN_FAILED",
    ({ settings: { id, oauth2 } }) =>
      `There is no access token for our account at ${id}: ${oauth2 === undefined ? "its token server" : new URL(oauth2.tokenUrl).host} gives none (auth.oauth2).`,
  ),
  {
    cause: "blocked",
    severity: "down",
    explain(evidence): Sentences | undefined {
      const failure = presentFailure(evidence);
      const atGreeting = failure?.code === "HOST_UNAVAILABLE" && REPUTATION.test(wordsOf(failure));
      const event = recentEvents(evidence, "host-blocked", BLOCKED_WITHIN_MS).at(-1);
      if (!atGreeting && event === undefined) {
        return undefined;
      }
      const { settings, nowMs } = evidence;
      return {
        what: `${settings.id} blocks us: it refuses our address, not the recipients.`,
        why: atGreeting
          ? attempts(failure, evidence)
          : `${counted(settings.limits.refusals, "recipient")} in a row were refused for reasons that are about this client (limits.refusals), last ${span(nowMs - event!.atMs)} ago.`,
        now: atGreeting
          ? retrying(evidence)
          : "Lookups have no answer until it accepts a recipient again; messages are still handed over, and its refusals are passed on.",
      };
    },
  },
  {
    cause: "too-many-connections",
    severity: "degraded",
    explain(evidence): Sentences | undefined {
      const failure = recentFailure(evidence);
      if (failure?.code !== "HOST_UNAVAILABLE" || addressesDown(evidence).length > 0) {
        return undefined;
      }
      const stand = standing(evidence);
      if (failure.standing === 0 && !TOO_MANY.test(wordsOf(failure))) {
        return undefined;
      }
      const { settings } = evidence;
      return {
        what: `${settings.id} takes fewer connections than the ${settings.concurrency} that concurrency allows.`,
        why: `${attempts(failure, evidence).slice(0, -1)}, while ${counted(stand, "connection")} ${stand === 1 ? "stands" : "stand"}.`,
        now: "It works with fewer connections and tries one more every five seconds.",
      };
    },
  },
  failing(
    "refused-at-greeting",
    ({ code }) => code === "HOST_UNAVAILABLE",
    (evidence) => `${evidence.settings.id} takes connections at ${place(evidence)}, and turns us away.`,
  ),
  failing(
    "hung",
    ({ code }) => code === "COMMAND_TIMEOUT",
    (evidence) => `${evidence.settings.id} takes connections at ${place(evidence)}, and says nothing.`,
  ),
  failing(
    "protocol",
    ({ code }) => code === "REMOTE_PROTOCOL",
    ({ settings: { id, protocol } }) =>
      `What answers at the address of ${id} does not speak ${protocol.toUpperCase()}.`,
  ),
  failing(
    "unreachable",
    () => true,
    (evidence) => `${evidence.settings.id} cannot be reached at ${place(evidence)}.`,
  ),
];
