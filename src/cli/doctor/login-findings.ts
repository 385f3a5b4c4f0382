/** What a host's answers about passwords say: whether it judges them, what it tells whom, and how long it takes. Pure; called by doctor.ts. */
import type { HostSettings } from "../../config/settings.js";
import { doorFinding, wordsOf } from "./answer-findings.js";
import type { Finding, LoginAnswers, LoginTry } from "./finding.js";

const topic = "login";
/** A wrong password is answered late on purpose then. */
const DELAY_MS = 500;
/** One of two answers is slower than the other by more than chance: so many times, and so many milliseconds. */
const SLOWER = 3;
const SLOWER_MS = 50;
/** An answer that takes half of the longest silence may take all of it the next time. */
const NEAR = 2;

export function loginFindings(settings: HostSettings, answers: LoginAnswers): Finding[] {
  const { stranger, user } = answers;
  // What is on offer has been complained of already.
  if (stranger.outcome.kind === "no-answer" && stranger.outcome.code === "MISSING_AUTH") {
    return [];
  }
  const barred = doorFinding(settings, stranger.outcome);
  if (barred !== undefined) {
    return [barred];
  }
  const tries = user === undefined ? [stranger] : [stranger, user];
  const found = tries.flatMap((each) => verdictFindings(settings, each, each === user));
  if (found.length > 0) {
    return found;
  }
  return [...(user === undefined ? [] : [tellingFinding(settings, stranger, user)]), ...delayFindings(settings, tries)];
}

/** A password that was made up has one right answer. */
function verdictFindings(settings: HostSettings, { outcome }: LoginTry, isUser: boolean): Finding[] {
  const who = isUser ? "the user who is said to exist" : "a user that nobody is";
  if (outcome.kind === "found") {
    const message = `It lets in ${who}, with a password that was made up: whatever it says of passwords means nothing.`;
    return [{ severity: "error", topic, message, put: "lookup = false" }];
  }
  if (outcome.kind === "no-answer") {
    const message = `It gives no answer about a wrong password of ${who}: ${wordsOf(settings, outcome)}`;
    return [{ severity: "error", topic, message }];
  }
  return [];
}

/** Whoever guesses passwords learns from a difference who exists. */
function tellingFinding(settings: HostSettings, stranger: LoginTry, user: LoginTry): Finding {
  const [saidOfNobody, saidOfUser] = [stranger, user].map(({ outcome }) => wordsOf(settings, outcome));
  if (saidOfNobody !== saidOfUser) {
    const message = `It tells who exists: of a user that nobody is it says ${saidOfNobody} Of a wrong password of one who exists, ${saidOfUser}`;
    return { severity: "note", topic, message };
  }
  const [less, more] = [stranger.ms, user.ms].sort((one, other) => one - other) as [number, number];
  // Where answers are late on purpose, each is later than the one before.
  if (more > Math.max(SLOWER * less, less + SLOWER_MS) && more < DELAY_MS) {
    const message = `It says the same of a user that nobody is and of a wrong password, but not in the same time (${stranger.ms.toFixed(0)} and ${user.ms.toFixed(0)} ms): who exists may be told by that.`;
    return { severity: "note", topic, message };
  }
  const message = `It says the same of a user that nobody is and of a wrong password: ${saidOfNobody}`;
  return { severity: "note", topic, message };
}

function delayFindings({ concurrency, timeouts }: HostSettings, tries: readonly LoginTry[]): Finding[] {
  const ms = Math.max(...tries.map((each) => each.ms));
  if (ms < DELAY_MS) {
    return [];
  }
  const perSecond = ((concurrency * 1000) / ms).toFixed(1);
  const message = `It answers a wrong password after ${(ms / 1000).toFixed(1)} s, and the connection waits for so long: concurrency = ${concurrency} has room for ${perSecond} of them a second.`;
  if (ms < timeouts.lookupMs / NEAR) {
    return [{ severity: "note", topic, message }];
  }
  const risk = `${message} A host that says nothing for ${timeouts.lookupMs / 1000} s (timeouts.lookup) counts as down.`;
  return [{ severity: "warning", topic, message: risk, put: `timeouts.lookup = "${Math.ceil((2 * ms) / 1000)}s"` }];
}
