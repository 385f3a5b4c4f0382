/** The demo's questions: every kind, with the answer that is right. Asked once from the hosts, and once more from the caches. */
import type { LookupAnswer } from "../../api.js";
import { RelaypostError } from "../../errors.js";
import { isLoginOnly } from "../../messages/protocols.js";
import type { RemoteHost, RemoteHosts } from "../../remote-hosts.js";
import { ASKED_DOMAIN, LISTS, PASSWORDS } from "./directory.js";
import type { Party } from "./relaying.js";

/** A question and its right answer; `undefined`: the host has no definite one, which must be an error. */
interface Question {
  readonly text: string;
  readonly ask: (host: RemoteHost) => Promise<LookupAnswer>;
  readonly isFound: boolean | undefined;
}

const HOW_MANY = 60;

/** What a protocol can be asked. */
function questionsFor(host: RemoteHost): Question[] {
  const questions: Question[] = [];
  for (const [username, secret] of PASSWORDS) {
    if (!username.includes("@")) {
      continue;
    }
    const text = `auth ${username}`;
    questions.push({ text, ask: (each) => each.authenticate({ username, secret }), isFound: true });
    questions.push({ text, ask: (each) => each.authenticate({ username, secret: `${secret}!` }), isFound: false });
  }
  if (isLoginOnly(host.protocol)) {
    return questions;
  }
  // The directory has 40 of them.
  for (let index = 0; index < HOW_MANY; index++) {
    const address = `person${index}@${ASKED_DOMAIN}`;
    questions.push({ text: `rcpt ${address}`, ask: (each) => each.verifyRecipient(address), isFound: index < 40 });
  }
  questions.push({ text: "vrfy person7", ask: (each) => each.verify("person7"), isFound: true });
  questions.push({ text: "vrfy stranger", ask: (each) => each.verify("stranger"), isFound: false });
  questions.push({ text: "vrfy secretive", ask: (each) => each.verify("secretive"), isFound: undefined });
  questions.push({ text: "expn staff", ask: (each) => each.expand("staff"), isFound: true });
  questions.push({ text: "expn strangers", ask: (each) => each.expand("strangers"), isFound: false });
  return questions;
}

/** Each question by two callers at once, who must hear the same; only one asks what has no answer, so that the server's count is known. */
function callsFor(host: RemoteHost): Question[] {
  return questionsFor(host).flatMap((question) => (question.isFound === undefined ? [question] : [question, question]));
}

/** How many times {@link askAll} settles a question for a host. */
export function callCount(host: RemoteHost): number {
  return callsFor(host).length;
}

/** Asks everything. Returns what was not right. */
export async function askAll(
  { host, tally }: Party,
  expected: "remote" | "cache",
  settled: () => void,
): Promise<string[]> {
  const wrong: string[] = [];
  const askOne = async ({ text, ask, isFound }: Question) => {
    const startMs = performance.now();
    try {
      const answer = await ask(host);
      tally.lookups[answer.source]++;
      if (answer.found !== isFound) {
        wrong.push(`${host.id}: ${text}: found = ${answer.found}, which is wrong`);
      }
      if (expected === "cache" && answer.source !== "cache") {
        wrong.push(`${host.id}: ${text}: not from the cache`);
      }
      if (text === "expn staff" && answer.values.length !== LISTS.get("staff")?.length) {
        wrong.push(`${host.id}: ${text}: ${answer.values.length} members`);
      }
    } catch (error) {
      if (isFound !== undefined || !(error instanceof RelaypostError)) {
        wrong.push(`${host.id}: ${text}: ${error}`);
      } else {
        tally.unanswered++;
      }
    } finally {
      tally.took(performance.now() - startMs);
      settled();
    }
  };
  await Promise.all(callsFor(host).map(askOne));
  return wrong;
}

/** `in-list`: the answers are in the caches by now, and an IMAP host has none. Returns what was not right. */
export async function askLists(hosts: RemoteHosts, { host, tally }: Party): Promise<string[]> {
  const list = `remote/${host.id}`;
  const [known, unknown] = [`person1@${ASKED_DOMAIN}`, `person50@${ASKED_DOMAIN}`];
  if (isLoginOnly(host.protocol)) {
    const code = await hosts.inList(list, known).then(
      () => "none",
      (error) => (error as RelaypostError).code,
    );
    return code === "NOT_SUPPORTED" ? [] : [`in-list = "${list}": error ${code}, NOT_SUPPORTED is right`];
  }
  const wrong: string[] = [];
  if (!(await hosts.inList(list, known))) {
    wrong.push(`in-list = "${list}": ${known} is not in it`);
  }
  if (await hosts.inList(list, unknown)) {
    wrong.push(`in-list = "${list}": ${unknown} is in it`);
  }
  tally.lookups.cache += 2;
  return wrong;
}
