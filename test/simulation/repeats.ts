/** Judges what a simulated host was sent more than once. Serves verdict.ts. */
import { isSplit, type Judged } from "./judged.js";
import type { Attempt, Ledger } from "./ledger.js";

/** Who is asked for to find out whether a host accepts every recipient of its domain. */
export const RANDOM_RECIPIENT = /^rcpt:relaypost[0-9a-f]{24}@((?:second\.|third\.)?sim)$/;

/**
 * The one automatic retry, and no other: only when a connection failed that had served or rested before, and on one that had not.
 * Credentials are never shown again by ourselves, not even when the worker is lost.
 */
export function judgeRepeats(run: Judged, broken: string[]): void {
  const { ledger, requests, hasCrash } = run;
  for (const { number, work } of requests) {
    const message = ledger.messages.get(String(number));
    // The transactions of one that is split are no repetitions; that nobody is served twice is judged by its recipients.
    if (message !== undefined && work.kind === "relay" && !isSplit(run, work.job.recipients)) {
      judgeRepeat(`relay ${number}`, message.attempts, broken);
    }
  }
  judgeRandomRecipients(ledger, hasCrash, broken);
  const counts = new Map<string, number>();
  for (const { work } of requests) {
    if (work.kind === "relay") {
      continue;
    }
    const key =
      work.kind === "login"
        ? `login:${work.credentials.username}`
        : `${work.lookup}:${Buffer.from(work.value).toString("latin1")}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  for (const [key, attempts] of ledger.questions) {
    // A refresh has its request too: the one that the cache answered.
    if (key.startsWith("login:") && attempts.length > counts.get(key)!) {
      broken.push(`${key}: the credentials were shown again`);
    }
    // Only of what was asked for once can be said that its second time was a repetition.
    if (counts.get(key) === 1 && !hasCrash) {
      judgeRepeat(key, attempts, broken);
    }
  }
}

/** One domain is asked about once a day, by each worker and after each change of the settings or `forget()` of everything. */
function judgeRandomRecipients({ questions }: Ledger, hasCrash: boolean, broken: string[]): void {
  const counts = new Map<string, number>();
  for (const [key, attempts] of questions) {
    const domain = RANDOM_RECIPIENT.exec(key)?.[1];
    if (domain !== undefined) {
      counts.set(domain, (counts.get(domain) ?? 0) + 1);
      judgeRepeat(key, attempts, broken);
    }
  }
  for (const [domain, count] of counts) {
    if (count > (hasCrash ? 4 : 3)) {
      broken.push(`${count} random recipients of ${domain} were asked for`);
    }
  }
}

function judgeRepeat(what: string, attempts: readonly Attempt[], broken: string[]): void {
  const [first, second] = attempts;
  if (first === undefined || second === undefined) {
    return;
  }
  if (attempts.length > 2) {
    broken.push(`${what} was sent ${attempts.length} times`);
  }
  if (first.peer.answers === 0 && !first.hasRested) {
    broken.push(`${what} was sent again after a connection that had neither served nor rested`);
  }
  if (second.before > 0 || second.hasRested) {
    broken.push(`${what} was sent again on a connection that was used before, or had rested`);
  }
}
