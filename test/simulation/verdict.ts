/** Judges a run: what the gateway was told, against what the servers wrote down. Each line it gives is a broken promise. */
import type { RecipientResult, Reply } from "../../src/api.js";
import type { CacheSettings } from "../../src/config/settings.js";
import { networkOfClient } from "../../src/messages/client.js";
import { codeOf, passwordOf } from "./directory.js";
import { isSplit, type Judged } from "./judged.js";
import type { SaidReply } from "./ledger.js";
import { judgeRepeats, RANDOM_RECIPIENT } from "./repeats.js";
import type { Outcome, SimRequest, Work } from "./requests.js";

type Answered = Extract<Outcome, { kind: "answered" }>;
type Relayed = Extract<Outcome, { kind: "relayed" }>;

/** Longest that a reply may have been on its way before it was kept. */
const MOST_TRAVEL_MS = 20_000;
/** Longest that a request may take where nothing goes wrong. */
const CALM_MS = 30_000;
const SPEAKS_OF_US = new Set([554, 521]);

export function judge(run: Judged): string[] {
  const broken: string[] = [];
  for (const request of run.requests) {
    new Judgement(run, request, broken).judge();
  }
  judgeRepeats(run, broken);
  judgeLimits(run, broken);
  judgeStickiness(run, broken);
  return broken;
}

class Judgement {
  constructor(
    private readonly run: Judged,
    private readonly request: SimRequest,
    private readonly broken: string[],
  ) {}

  judge(): void {
    const { request } = this;
    const { outcome, work } = request;
    if (outcome === undefined) {
      return this.blame("was never settled");
    }
    if (request.settlements !== 1) {
      this.blame(`was settled ${request.settlements} times`);
    }
    if (this.run.scenario.isCalm) {
      this.judgeCalm(outcome);
    }
    if (work.kind === "relay") {
      this.judgeRelay(work, outcome);
    } else if (outcome.kind === "failed") {
      this.judgeShield(work, outcome.failure.code);
    } else if (outcome.kind === "answered") {
      this.judgeAnswer(work, outcome);
    } else if (outcome.kind === "relayed") {
      this.blame("was answered as a message");
    }
  }

  /** Where nothing goes wrong, everything is answered and soon, unless the server does not offer what it takes. */
  private judgeCalm(outcome: Outcome): void {
    const { settledMs, issuedMs } = this.request;
    if (settledMs - issuedMs > CALM_MS) {
      this.blame(`took ${settledMs - issuedMs} ms although nothing went wrong`);
    }
    if (outcome.kind !== "failed" || /^MISSING_|^HARVEST_SUSPECTED$/.test(outcome.failure.code)) {
      return;
    }
    this.blame(`failed although nothing went wrong: ${JSON.stringify(outcome.failure)}`);
  }

  private blame(what: string): void {
    this.broken.push(`${this.request.name} ${what}`);
  }

  // --- relays ----------------------------------------------------------------------------------------------------

  private judgeRelay(work: Extract<Work, { kind: "relay" }>, outcome: Outcome): void {
    const message = this.run.ledger.messages.get(String(this.request.number));
    const { job, stream } = work;
    const deliveries = message?.deliveries ?? [];
    for (const address of new Set(job.recipients)) {
      const copies = job.recipients.filter((each) => each === address).length;
      for (const [what, counts] of Object.entries({ delivered: deliveries, "sent to its end": message?.ends ?? [] })) {
        const count = countOf(counts, address, job.recipients);
        if (count > copies) {
          this.blame(`was ${what} ${count} times for ${address}, which it has ${copies} times`);
        }
      }
    }
    if (stream !== undefined && stream.failsAt !== -1 && deliveries.length > 0) {
      this.blame("was delivered although its source failed");
    }
    if (outcome.kind === "answered") {
      return this.blame("was answered as a question");
    }
    if (outcome.kind === "failed") {
      if (deliveries.length > 0) {
        this.blame(`failed with ${outcome.failure.code} and was delivered`);
      }
      return;
    }
    if (outcome.recipients.length !== job.recipients.length) {
      this.blame("has results for other recipients than its own");
    }
    outcome.recipients.forEach((result, index) => {
      if (result.address !== job.recipients[index]) {
        this.blame(`has the result of ${result.address} at ${index}`);
      }
      this.judgeRecipient(result, index, work, outcome);
    });
    for (const address of new Set(job.recipients)) {
      const told = (status: string): number =>
        outcome.recipients.filter((each) => each.address === address && each.status === status).length;
      const delivered = countOf(deliveries, address, job.recipients);
      if (told("delivered") > delivered || delivered > told("delivered") + told("uncertain")) {
        this.blame(`has ${told("delivered")} deliveries to ${address}, and the server ${delivered}`);
      }
    }
  }

  /** Whether one transaction was not enough for it, or may have been said not to be. */
  private mayBeSplit({ job }: Extract<Work, { kind: "relay" }>): boolean {
    return isSplit(this.run, job.recipients);
  }

  private judgeRecipient(
    result: RecipientResult,
    index: number,
    work: Extract<Work, { kind: "relay" }>,
    outcome: Relayed,
  ): void {
    const { status, reply } = result;
    const what = `recipient ${index} ${status}`;
    if (status === "uncertain") {
      if (this.run.scenario.isCalm) {
        this.blame(`${what} although nothing went wrong`);
      }
      return;
    }
    if (reply === undefined) {
      // Nothing was sent for it after others were served.
      return status === "deferred" && this.mayBeSplit(work) ? undefined : this.blame(`${what} without a reply`);
    }
    const wanted = reply.code < 300 ? "delivered" : reply.code < 500 ? "deferred" : "refused";
    if (status !== wanted) {
      this.blame(`${what} by ${reply.code}`);
    }
    const said = this.run.ledger.find(reply.text);
    if (said === undefined || !said.peer.isPairable) {
      return;
    }
    const { recipients } = work.job;
    const isOwn = said.index === -1 || recipients[said.index] === recipients[index];
    const isMine = said.subject === String(this.request.number) && isOwn;
    const kinds = status === "delivered" ? ["final"] : ["mail", "rcpt", "data", "final"];
    if (!isMine || said.code !== reply.code || !kinds.includes(said.kind)) {
      this.blame(`${what} by the reply to ${describe(said)}`);
    }
    const final = this.run.ledger.find(outcome.reply?.text ?? "");
    if (final !== undefined && final.subject !== String(this.request.number)) {
      this.blame(`has the reply "${outcome.reply?.text}"`);
    }
  }

  // --- questions -------------------------------------------------------------------------------------------------

  private judgeAnswer(work: Exclude<Work, { kind: "relay" }>, { answer, source, ageMs }: Answered): void {
    const { reply, found } = answer;
    const said = this.run.ledger.find(reply.text);
    if (said === undefined || !said.peer.isPairable) {
      return;
    }
    const kind = work.kind === "login" ? "login" : work.lookup === "rcpt" ? "probe" : work.lookup;
    const subject = work.kind === "login" ? work.credentials.username : Buffer.from(work.value).toString("latin1");
    const isLearned = kind === "probe" && source === "cache" && this.mayTeach(said, subject);
    if (!isLearned && (said.kind !== kind || said.subject !== subject)) {
      return this.blame(`was answered by the reply to ${describe(said)}`);
    }
    if (!mayAnswer(kind, found, said, reply)) {
      this.blame(`was answered ${found ? "found" : "not found"} by ${said.code}`);
    }
    if (work.kind === "login" && found !== (work.credentials.secret === passwordOf(work.credentials.username))) {
      this.blame(`was answered ${found} to ${work.credentials.secret}`);
    }
    if (work.kind === "lookup" && found && codeOf(work.value).code !== 250) {
      this.blame("was found and is not there");
    }
    this.judgeCertainty(work, answer.certainty);
    const { reconfiguredMs } = this.run;
    const isLater = reconfiguredMs !== undefined && this.request.issuedMs > reconfiguredMs;
    if (isLater && said.peer.host === "first") {
      this.blame(`was answered (${source}) with what the former host had said`);
    }
    if (source === "cache") {
      this.judgeAge(work, said, answer.found, reply, ageMs);
    } else if (ageMs !== 0) {
      this.blame(`is fresh and ${ageMs} ms old`);
    }
    if (work.kind === "login" || kind === "probe" || !found) {
      return;
    }
    const wanted = kind === "vrfy" ? work.value : `${work.value},other.${work.value}`;
    if (answer.values.join() !== wanted) {
      this.blame(`has the values ${answer.values}`);
    }
  }

  /** Only a client is a suspect, and only one who was told of as many unknown recipients before, or is asking. */
  private judgeShield(work: Work, code: string): void {
    const harvest = this.run.scenario.settings.lookups?.harvest;
    if (code !== "HARVEST_SUSPECTED") {
      return;
    }
    if (harvest === undefined || work.kind !== "lookup" || work.client === "") {
      return this.blame("was refused as a harvester's");
    }
    const network = networkOfClient(work.client);
    const told = this.run.requests.filter(
      ({ work: other, outcome, settledMs }) =>
        other.kind === "lookup" &&
        networkOfClient(other.client) === network &&
        outcome?.kind === "answered" &&
        !outcome.answer.found &&
        settledMs <= this.request.settledMs,
    );
    if (told.length < harvest.unknown) {
      this.blame(`was refused as a harvester's, who was told of ${told.length} unknown recipients`);
    }
  }

  /** The servers know their recipients, and say no to a random one. */
  private judgeCertainty(work: Work, certainty: Answered["answer"]["certainty"]): void {
    const { ledger, scenario } = this.run;
    const random = [...ledger.questions].filter(([key]) => RANDOM_RECIPIENT.test(key)).flatMap(([, tries]) => tries);
    // Who says a reply too many has said yes to somebody, as far as can be told.
    if (certainty === "accepts-all" && random.every(({ peer }) => peer.isPairable)) {
      this.blame("was said to be accepted as everybody would be");
    }
    const isToBeKnown = scenario.settings.lookups !== undefined && work.kind === "lookup" && work.lookup === "rcpt";
    if (certainty !== undefined && !isToBeKnown) {
      this.blame(`is ${certainty}, which nobody was to find out`);
    }
    if (certainty === "verified" && random.length === 0) {
      this.blame("is verified, and no random recipient was asked for");
    }
  }

  /** Whether a message was told so of that very recipient: by the reply to its RCPT, to its end, or LMTP's to the recipient alone. */
  private mayTeach({ kind, subject, index, code }: SaidReply, address: string): boolean {
    const relay = this.run.requests.find(({ number, work }) => work.kind === "relay" && String(number) === subject);
    const recipients = relay?.work.kind === "relay" ? relay.work.job.recipients : [];
    const isOwn = index === -1 ? recipients.includes(address) && code < 300 : recipients[index] === address;
    return isOwn && (kind === "final" || (kind === "rcpt" && code >= 500));
  }

  private judgeAge(
    work: Exclude<Work, { kind: "relay" }>,
    said: SaidReply,
    found: boolean,
    reply: Reply,
    ageMs: number,
  ): void {
    const { request, run } = this;
    const { cache } = run.scenario.settings;
    const trueAgeMs = request.settledMs - said.saidMs;
    const isLogin = work.kind === "login";
    const mostMs = ttlMs(cache, found, isLogin) + (found && (!isLogin || cache.staleAuth) ? cache.staleIfErrorMs : 0);
    if (cache.entries === 0) {
      this.blame("was answered from a cache that is switched off");
    }
    if (ageMs > mostMs) {
      this.blame(`was answered from the cache after ${ageMs} ms; ${mostMs} are allowed`);
    }
    if (trueAgeMs > ageMs + MOST_TRAVEL_MS) {
      this.blame(`is ${trueAgeMs} ms old and was called ${ageMs}`);
    }
    if (
      !found &&
      (SPEAKS_OF_US.has(said.code) ||
        (work.kind === "lookup" && work.lookup === "rcpt" && reply.enhanced?.startsWith("5.7.") === true))
    ) {
      this.blame(`was answered from the cache by a refusal that speaks of us: ${said.code} ${reply.enhanced}`);
    }
  }
}

/** What is counted for the recipients with one address. */
function countOf(counts: readonly number[], address: string, recipients: readonly string[]): number {
  return recipients.reduce((sum, each, index) => sum + (each === address ? (counts[index] ?? 0) : 0), 0);
}

/** The table "Meaning of replies". */
function mayAnswer(kind: string, found: boolean, { code }: SaidReply, reply: Reply): boolean {
  if (kind === "login") {
    return found ? code === 235 : code === 535;
  }
  if (reply.code !== code) {
    return false;
  }
  if (kind === "probe") {
    return found ? code >= 200 && code < 300 : code >= 500 && ![500, 502, 503, 530].includes(code);
  }
  return found ? code === 250 || (kind === "vrfy" && code === 251) : [550, 551, 553].includes(code);
}

function ttlMs(cache: CacheSettings, found: boolean, isLogin: boolean): number {
  if (!found) {
    return cache.negativeTtlMs;
  }
  return isLogin ? Math.min(cache.positiveTtlMs, cache.authTtlMs) : cache.positiveTtlMs;
}

/** Where nothing goes wrong and no address is full, a recipient is asked for at one address. */
function judgeStickiness({ ledger, scenario }: Judged, broken: string[]): void {
  const { sticky } = scenario.settings;
  if (sticky === undefined || !scenario.isCalm) {
    return;
  }
  for (const [question, attempts] of ledger.questions) {
    const addresses = new Set(attempts.map(({ peer }) => peer.address));
    if (addresses.size > 1 && !question.startsWith("login")) {
      broken.push(`${question} was asked at ${[...addresses].join(" and ")}`);
    }
  }
}

/** `limits.requests` and `limits.errors` are promises to the peer. */
function judgeLimits({ ledger, scenario }: Judged, broken: string[]): void {
  const { limits } = scenario.settings;
  for (const peer of ledger.peers) {
    if (!peer.isPairable) {
      continue;
    }
    if (peer.requests > limits.requests) {
      broken.push(`connection ${peer.number} had ${peer.requests} requests; ${limits.requests} are allowed`);
    }
    if (peer.refusals > limits.errors) {
      broken.push(`connection ${peer.number} had ${peer.refusals} refusals; ${limits.errors} are allowed`);
    }
  }
}

function describe({ kind, subject, index, code, peer }: SaidReply): string {
  return `${kind} of ${subject}, recipient ${index}, ${code}, on connection ${peer.number}`;
}
