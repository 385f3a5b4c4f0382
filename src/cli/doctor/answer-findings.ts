/** What the host's answers say: whether lookups mean anything there, and how many of them it bears. Pure; called by doctor.ts. */
import type { HostSettings } from "../../config/settings.js";
import { hostWords } from "../../serve/wording.js";
import type { Answers, Endurance, Finding, Outcome } from "./finding.js";

export function answerFindings(settings: HostSettings, { unknown, known, vrfy, expn }: Answers): Finding[] {
  // Whoever may not come in was asked nothing at all.
  const barred = doorFinding(settings, unknown);
  if (barred !== undefined) {
    return [barred];
  }
  return [...recipientFindings(settings, unknown, known), ...commandFindings(settings, { VRFY: vrfy, EXPN: expn })];
}

/** The account is refused, or one is missing, or no connection is given. */
export function doorFinding(settings: HostSettings, outcome: Outcome): Finding | undefined {
  if (outcome.kind !== "no-answer") {
    return undefined;
  }
  const said = wordsOf(settings, outcome);
  switch (outcome.code) {
    case "AUTH_FAILED":
      return { severity: "error", topic: "login", message: `It refuses the account of auth: ${said}` };
    case "TOKEN_FAILED":
      return { severity: "error", topic: "login", message: `The account of auth.oauth2 has no access token: ${said}` };
    case "CONNECT_FAILED":
    case "CONNECT_TIMEOUT":
    case "HOST_UNAVAILABLE":
    case "REMOTE_CLOSED":
    case "REMOTE_PROTOCOL":
    case "COMMAND_TIMEOUT":
    case "DEADLINE_EXCEEDED":
      return { severity: "error", topic: "connection", message: `It does not serve us: ${said}` };
    default:
      break;
  }
  if (outcome.reply?.code === 530) {
    const message = `It wants a login before anything else: ${said}`;
    return { severity: "error", topic: "login", message, put: 'auth = { username = "…", secret-file = "…" }' };
  }
  return undefined;
}

function recipientFindings(settings: HostSettings, unknown: Outcome, known: Outcome | undefined): Finding[] {
  const found: Finding[] = [];
  const add = (severity: Finding["severity"], message: string, put?: string) =>
    found.push({ severity, topic: "recipients", message, ...(put === undefined ? {} : { put }) });
  switch (unknown.kind) {
    case "found":
      addCatchAll(settings, add);
      break;
    case "not-found":
      if (!settings.lookup) {
        add("note", "It tells known recipients from unknown ones: it can be asked.", "lookup = true");
      }
      break;
    default:
      add(
        known === undefined || known.kind === "found" ? "warning" : "error",
        `It gives no answer about a recipient that nobody has: ${wordsOf(settings, unknown)}${known === undefined ? " Name one that exists (--recipient) to know whether this is its domain." : ""}`,
      );
  }
  if (known?.kind === "not-found") {
    add("error", `It refuses the recipient that is said to exist: ${wordsOf(settings, known)}`);
  } else if (known?.kind === "no-answer" && unknown.kind !== "no-answer") {
    add("error", `It gives no answer about the recipient that is said to exist: ${wordsOf(settings, known)}`);
  }
  return found;
}

function addCatchAll(
  { lookup, lookups }: HostSettings,
  add: (severity: Finding["severity"], message: string, put?: string) => void,
): void {
  const what =
    "It accepts a recipient that nobody can have: a catch-all, at least for this domain. Lookups there mean nothing";
  if (lookup && lookups?.detectsCatchAll !== true) {
    add(
      "warning",
      `${what}. Let it be found out for each domain, or set lookup = false.`,
      'lookups.catch-all = "detect"',
    );
  } else {
    add("note", lookup ? `${what}, and answers say so (lookups.catch-all).` : `${what}.`);
  }
}

function commandFindings(settings: HostSettings, outcomes: Readonly<Record<"VRFY" | "EXPN", Outcome>>): Finding[] {
  return Object.entries(outcomes).map(([command, outcome]): Finding => {
    const said = wordsOf(settings, outcome);
    const message =
      outcome.kind === "no-answer" ? `${command} tells nothing there: ${said}` : `${command} is answered: ${said}`;
    return { severity: "note", topic: "recipients", message };
  });
}

/** Beside what the configuration would do to it. */
export function enduranceFindings({ limits }: HostSettings, endurance: Endurance): Finding[] {
  const { of, asked, closedAfter, slowFrom, usualMs, slowMs } = endurance;
  const topic = "limits";
  if (closedAfter === undefined && slowFrom === undefined) {
    const message = `It bears ${asked} ${of} in a row on one connection, ${usualMs.toFixed(1)} ms each.`;
    return [{ severity: "note", topic, message }];
  }
  const borne = Math.max(1, closedAfter ?? slowFrom! - 1);
  const what =
    closedAfter === undefined
      ? `answers more slowly from the ${slowFrom}th of ${of} in a row on (${usualMs.toFixed(1)} ms, then ${slowMs!.toFixed(0)} ms)`
      : `has enough of a connection after ${closedAfter} ${of} in a row`;
  if (limits.errors <= borne) {
    const message = `It ${what}. With limits.errors = ${limits.errors} a connection is closed before that.`;
    return [{ severity: "note", topic, message }];
  }
  const message = `It ${what}, and limits.errors = ${limits.errors} lets it come to that.`;
  return [{ severity: "warning", topic, message, put: `limits.errors = ${borne}` }];
}

export function wordsOf({ protocol }: HostSettings, outcome: Outcome): string {
  const said = hostWords(outcome.reply, protocol).replace(/\.$/, "");
  if (outcome.kind !== "no-answer") {
    return said === "" ? "without words." : `${said}.`;
  }
  const { code, message } = outcome;
  return said === "" ? `${code}, ${message}` : `${said} (${code}).`;
}
