/**
 * Asks for things: so many requests a second, of every kind, with deadlines, aborts and broken streams; and holds each answer
 * against what must be true of it. `main.ts` says when to be gentle.
 */
import { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import {
  type Client,
  type Content,
  type LookupAnswer,
  RelaypostError,
  type RelayResult,
  type RemoteHost,
} from "../../src/index.js";
import { CANARY, holdsCanary } from "./canary.js";
import { onBehalfOf } from "./clients.js";
import { CONTENTS, forwardPath, reversePath } from "./contents.js";
import type { Gauges } from "./gauges.js";
import { HOSTS, USERS } from "./hosts.js";
import { MOST_RECIPIENTS, REJECTED, RESOLVED, SETTLEMENT_OCTETS, STATUSES } from "./ledger.js";
import type { Random } from "./random.js";
import type { Servers } from "./servers.js";

/** What the library promises about the time behind a deadline. */
const PROMISED_MS = 250;
const TICK_MS = 10;
const HAND_OVER_MS = 200;
/** While it is gentle it stays within what the machine can do: no more than so many wait for their answers. */
const GENTLE_LIMIT = 150;
/** A rejected relay reached nobody, so that a gateway sends it again: as the same message, so that the ledger sees whether that was true. */
const MOST_RESUBMISSIONS = 3;
const MAIL_HOSTS = HOSTS.filter(({ protocol }) => protocol !== "imap").map(({ id }) => id);
const USER_NAMES = Object.keys(USERS);

/** A failure of a request that nothing disturbed. */
export interface Complaint {
  readonly askedMs: number;
  readonly what: string;
}

/** How a request is limited, and whose it is. */
interface Limits {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly client?: Client;
}

export class Load {
  /** No deadline that might pass, no abort, no broken stream. */
  isGentle = true;
  /** Requests so far, and those that are not settled. */
  asked = 0;
  unsettled = 0;
  /** Those of each host. */
  readonly unsettledOf = new Map<string, number>();
  /** Relays so far: their numbers run from 0. */
  relays = 0;
  /** How often one of them was sent again after it had been rejected. */
  resubmitted = 0;
  /** Those that will be, soon. */
  awaitingResubmission = 0;
  resubmits = true;
  /** When each request was served that was asked for gently. */
  readonly servedMs: number[] = [];
  readonly outcomes = new Map<string, number>();
  /** Failures of requests that were asked for gently. */
  readonly complaints: Complaint[] = [];
  /** The longest time behind a deadline, less the lateness of the event loop. */
  worstDelayMs = 0;
  private settlements: Buffer[] = [];
  private readonly timers: NodeJS.Timeout[] = [];

  /** @param host the hosts that are asked */
  constructor(
    public host: (id: string) => RemoteHost,
    private readonly servers: Servers,
    private readonly gauges: Gauges,
    private readonly random: Random,
    private readonly breach: (promise: string, what: string) => void,
  ) {}

  start(perSecond: number): void {
    let owed = 0;
    let lastMs = performance.now();
    this.timers.push(
      setInterval(() => {
        const nowMs = performance.now();
        // After a pause of the machine there is no flood.
        owed += Math.min(nowMs - lastMs, 100) * (perSecond / 1000);
        lastMs = nowMs;
        for (; owed >= 1; owed--) {
          if (!this.isGentle || this.unsettled < GENTLE_LIMIT) {
            void this.askAnything();
          }
        }
      }, TICK_MS),
      setInterval(() => void this.handOver(), HAND_OVER_MS),
    );
  }

  async stop(): Promise<void> {
    for (const timer of this.timers.splice(0)) {
      clearInterval(timer);
    }
    await this.handOver();
  }

  /** Gives the ledger what was settled since the last time. */
  async handOver(): Promise<void> {
    const batch = Buffer.concat(this.settlements);
    this.settlements = [];
    if (batch.length > 0) {
      await this.servers.settle(batch);
    }
  }

  askAnything(): Promise<void> {
    const { random } = this;
    const dice = random.fraction();
    if (dice < 0.55) {
      return this.relay(random.pick(MAIL_HOSTS), random.integer(0, CONTENTS.length - 1));
    }
    if (dice < 0.8) {
      return this.verify(random.pick(MAIL_HOSTS));
    }
    if (dice < 0.85) {
      return this.lookUpByName();
    }
    return this.authenticate(random.pick(["login", "login", "secure", "filter"]));
  }

  /** Everything that the host's queue takes, and more, at once. */
  burst(hostId: string): void {
    for (let count = 0; count < 1_000; count++) {
      void (hostId === "login" ? this.authenticate(hostId) : this.relay(hostId, count % 3));
    }
  }

  async relay(hostId: string, number: number): Promise<void> {
    const id = this.relays++;
    const count = this.random.chance(0.15) ? MOST_RECIPIENTS : this.random.integer(1, 3);
    const to = Array.from({ length: count }, (_, index) => forwardPath(id, index));
    const envelope = { from: reversePath(id, number), to };
    const settlement = Buffer.alloc(SETTLEMENT_OCTETS);
    settlement.writeUInt32LE(id);
    const ask = (limits: Limits) => this.host(hostId).relay(envelope, this.contentOf(number), limits);
    let rejection: RelaypostError | undefined;
    for (let left = MOST_RESUBMISSIONS; ; left--) {
      rejection = undefined;
      await this.watch(`relay ${hostId}`, id, ask, {
        resolved: (result) => this.takeResult(result, id, to, settlement),
        rejected: (error) => {
          rejection = error;
        },
      });
      if (rejection === undefined || left === 0 || !(await this.resubmit(rejection))) {
        break;
      }
    }
    if (rejection !== undefined) {
      settlement[4] = REJECTED;
    }
    this.settlements.push(settlement);
  }

  private takeResult({ recipients }: RelayResult, id: number, to: readonly string[], settlement: Buffer): string {
    settlement[4] = RESOLVED;
    recipients.forEach(({ status, address }, index) => {
      settlement[5 + index] = STATUSES.indexOf(status);
      if (address !== to[index]) {
        this.breach("results stand in the order of the recipients", `m${id}`);
      }
    });
    if (recipients.length !== to.length) {
      this.breach("each recipient has a result", `m${id}`);
    }
    return recipients.every(({ status }) => status === "delivered") ? "delivered" : describeMix(recipients);
  }

  /** True, after a while: the message is sent again. */
  private async resubmit({ retryable }: RelaypostError): Promise<boolean> {
    if (!retryable || !this.resubmits || !this.random.chance(0.5)) {
      return false;
    }
    this.awaitingResubmission++;
    await pause(this.random.spread(10, 500));
    this.awaitingResubmission--;
    this.resubmitted++;
    return true;
  }

  verify(hostId: string): Promise<void> {
    const isKnown = this.random.chance(0.7);
    const number = this.random.integer(0, 300);
    const address = `${isKnown ? "yes" : "no"}${number}@chaos.example`;
    return this.lookUp(`rcpt ${hostId}`, number, isKnown, (limits) =>
      this.host(hostId).verifyRecipient(address, limits),
    );
  }

  private lookUpByName(): Promise<void> {
    const isKnown = this.random.chance(0.5);
    const name = isKnown ? "yes" : `no${this.random.integer(0, 100)}`;
    if (this.random.chance(0.5)) {
      return this.lookUp("vrfy plain", 0, isKnown, (limits) => this.host("plain").verify(name, limits));
    }
    return this.lookUp("expn plain", 0, isKnown, (limits) => this.host("plain").expand(name, limits));
  }

  private authenticate(hostId: string): Promise<void> {
    const isRight = this.random.chance(0.6);
    const number = this.random.integer(0, USER_NAMES.length - 1);
    const username = USER_NAMES[number]!;
    const secret = isRight ? USERS[username]! : `wrong ${CANARY} ${this.random.integer(0, 1_000)}`;
    return this.lookUp(`auth ${hostId}`, number, isRight, (limits) =>
      this.host(hostId).authenticate({ username, secret }, limits),
    );
  }

  private lookUp(
    name: string,
    number: number,
    isTrue: boolean,
    ask: (limits: Limits) => Promise<LookupAnswer>,
  ): Promise<void> {
    return this.watch(name, number, ask, {
      resolved: (answer: LookupAnswer) => {
        if (answer.found !== isTrue) {
          const { found, source, ageMs, reply } = answer;
          this.breach("answers are true", `${name}: ${JSON.stringify({ found, source, ageMs, reply })}`);
        }
        return isTrue ? "found" : "not found";
      },
      rejected: () => {},
    });
  }

  /**
   * Asks, waits, and holds the outcome against its deadline.
   *
   * @param name what is asked, a space, and the host
   * @param number by which its client is known
   */
  private async watch<T>(
    name: string,
    number: number,
    ask: (limits: Limits) => Promise<T>,
    take: { resolved: (value: T) => string; rejected: (error: RelaypostError) => void },
  ): Promise<void> {
    const { isGentle } = this;
    const { limits, timer } = this.chooseLimits();
    const [, hostId] = name.split(" ") as [string, string];
    const askedMs = performance.now();
    this.asked++;
    this.count(hostId, 1);
    let outcome: string;
    try {
      outcome = take.resolved(await ask({ ...limits, ...onBehalfOf(number) }));
    } catch (error) {
      if (!(error instanceof RelaypostError)) {
        this.breach("every error is a RelaypostError", `${name}: ${error}`);
      }
      outcome = error instanceof RelaypostError ? error.code : "foreign error";
      if (holdsCanary(`${error} ${JSON.stringify(error)}`)) {
        this.breach("no password stands in an error", name);
      }
      if (outcome === "INVALID_ARGUMENT") {
        this.breach("right arguments are taken", `${name}: ${error}`);
      }
      take.rejected(error as RelaypostError);
    }
    this.count(hostId, -1);
    clearTimeout(timer);
    if (limits.timeoutMs !== undefined) {
      this.holdAgainst(askedMs + limits.timeoutMs, name);
    }
    const isGood = outcome === "delivered" || outcome === "found" || outcome === "not found";
    if (isGentle && isGood) {
      this.servedMs.push(performance.now());
    }
    if (isGentle && !isGood) {
      this.complaints.push({ askedMs, what: `${name}: ${outcome}` });
    }
    const key = `${name.split(" ")[0]}: ${outcome}`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
  }

  private count(hostId: string, delta: number): void {
    this.unsettled += delta;
    this.unsettledOf.set(hostId, (this.unsettledOf.get(hostId) ?? 0) + delta);
  }

  private chooseLimits(): { limits: Limits; timer?: NodeJS.Timeout } {
    const { random, isGentle } = this;
    if (isGentle) {
      return { limits: random.chance(0.5) ? { timeoutMs: 20_000 } : {} };
    }
    const timeoutMs = Math.round(random.spread(20, 6_000));
    const limits = random.chance(0.8) ? { timeoutMs } : {};
    if (!random.chance(0.06)) {
      return { limits };
    }
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), random.spread(1, 800));
    return { limits: { ...limits, signal: controller.signal }, timer };
  }

  private holdAgainst(dueMs: number, name: string): void {
    const settledMs = performance.now();
    if (settledMs - dueMs <= PROMISED_MS) {
      this.worstDelayMs = Math.max(this.worstDelayMs, settledMs - dueMs);
      return;
    }
    // The tick that was late with this one is counted first.
    setTimeout(() => {
      const lagMs = this.gauges.lagBetween(dueMs - PROMISED_MS, settledMs);
      const delayMs = settledMs - dueMs - lagMs;
      this.worstDelayMs = Math.max(this.worstDelayMs, delayMs);
      if (delayMs <= PROMISED_MS) {
        return;
      }
      const what = `${name}: ${Math.round(settledMs - dueMs)} ms behind it, the event loop ${Math.round(lagMs)} ms late`;
      this.breach("every request is settled 250 ms behind its deadline", what);
    }, 5 * TICK_MS);
  }

  private contentOf(number: number): Content {
    const { octets } = CONTENTS[number]!;
    const dice = this.random.fraction();
    if (dice < 0.7) {
      return octets;
    }
    if (dice < 0.8) {
      return octets.toString();
    }
    const breaksAt = !this.isGentle && this.random.chance(0.15) ? this.random.integer(0, octets.length) : -1;
    const source = stream(octets, this.random.integer(1, 9_000), breaksAt, !this.isGentle && this.random.chance(0.1));
    return dice < 0.9 ? Readable.from(source) : source;
  }
}

/** A source of the octets in steps; one that breaks, and one that takes its time. */
async function* stream(octets: Buffer, step: number, breaksAt: number, isSlow: boolean): AsyncGenerator<Buffer> {
  for (let at = 0; at < octets.length; at += step) {
    if (breaksAt >= at && breaksAt < at + step) {
      throw new Error("the stream broke, as it was meant to");
    }
    if (isSlow) {
      await pause(20);
    }
    yield octets.subarray(at, at + step);
  }
}

function describeMix(recipients: RelayResult["recipients"]): string {
  return [...new Set(recipients.map(({ status }) => status))].sort().join("+");
}
