/**
 * The lookups of one host: answered from the cache where that knows, made one where equal ones are in flight, and otherwise handed to
 * the pool. Receives them from actor.ts, and keeps what the host answers.
 */
import type { HostSettings } from "../../src/config/settings.js";
import { type Failure, isFailure } from "../../src/errors.js";
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import { NO_CLIENT } from "../../src/messages/client.js";
import type { Answer, UserCredentials } from "../../src/messages/contract.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { outranks } from "../../src/messages/tenant.js";
import type { HostStats } from "../../src/stats.js";
import type { Pool } from "../pool/pool.js";
import type { World } from "../world.js";
import type { AnswerCache } from "./cache.js";
import { type CacheHit, NO_MARK } from "./cache-entry.js";
import { lookupKey } from "./cache-keys.js";
import { CatchAll, CatchAllProbe } from "./catch-all.js";
import type { Counters } from "./counters.js";
import { HARVEST_SUSPECTED, HarvestShield } from "./harvest-shield.js";
import type { HostCache } from "./host-cache.js";
import { LateAnswers } from "./late-answers.js";
import { PendingLookups } from "./pending-lookups.js";
import { PolicyRefusals } from "./policy-refusals.js";
import { AddressLookup, LoginLookup, type Question } from "./questions.js";
import type { RelayRequest } from "./relay-request.js";
import type { TaskOwner } from "./tasks.js";

/** Requests that are not settled. */
export type RequestsBySlot = (RelayRequest | Question | undefined)[];

export const CLOSED: Failure = {
  code: "MAILBOX_CLOSED",
  message: "The remote host was closed before the request was served.",
};

/** What {@link Lookups} work with. */
export interface LookupParts {
  readonly settings: HostSettings;
  readonly owner: TaskOwner;
  readonly world: World;
  readonly pool: Pool;
  readonly kept: HostCache;
  readonly counters: Counters;
  readonly bySlot: RequestsBySlot;
  readonly log: HostLog;
}

export class Lookups {
  private settings: HostSettings;
  private readonly questions = new PendingLookups();
  /** Asked of the host as it was before the settings changed: who asks now shall not have their answers. */
  private readonly former = new Set<Question>();
  readonly refusals: PolicyRefusals;
  private readonly late: LateAnswers;
  private isClosed = false;
  private catchAll: CatchAll | undefined;
  private shield: HarvestShield | undefined;

  constructor(private readonly parts: LookupParts) {
    this.settings = parts.settings;
    this.catchAll = this.makeCatchAll();
    this.shield = this.makeShield();
    this.refusals = new PolicyRefusals(parts.world.clock, parts.log);
    this.late = new LateAnswers(parts.world, parts.log);
  }

  /** Questions that are not answered. */
  get size(): number {
    return this.questions.size + this.former.size;
  }

  lookup(slot: number, kind: AddressLookupKind, value: string, deadlineMs: number, client: string, tag: string): void {
    const { shield } = this;
    // What comes while a host drains is asked of nobody: there is nothing to hold back.
    if (shield === undefined || client === NO_CLIENT || this.isClosed) {
      this.answer(slot, kind, value, deadlineMs, client, tag);
      return;
    }
    // What is known to exist is told in any case.
    const isFound = this.cache.isFound(this.keyOf(kind, value, client));
    const ask = (): void => this.answer(slot, kind, value, deadlineMs, client, tag);
    const outcome = isFound ? "free" : shield.meet(slot, kind, client, ask);
    if (outcome === "free") {
      ask();
    } else if (outcome === "refused") {
      this.failHeld(slot, kind, HARVEST_SUSPECTED);
    }
  }

  authenticate(slot: number, credentials: UserCredentials, deadlineMs: number, client: string, tag: string): void {
    const { owner } = this.parts;
    const key = this.cache.authKey(credentials) + this.cache.clientSuffix(client);
    const hit = this.cache.get(key);
    if (hit !== undefined) {
      this.serveCached(slot, "auth", hit);
      if (hit.shouldRefresh) {
        this.refresh(key, () => new LoginLookup(owner, key, credentials, client, true));
      }
      return;
    }
    const pending = this.questions.get(key);
    const task = pending ?? new LoginLookup(owner, key, credentials, client, false);
    if (pending === undefined) {
      task.tag = tag;
    }
    this.ask(slot, deadlineMs, task, tag);
  }

  /** One who waited gave up. */
  cancel(slot: number, task: Question, failure: Failure): void {
    const { bySlot, counters, pool } = this.parts;
    bySlot[slot] = undefined;
    this.shield?.parted(slot);
    counters.failed(task.kind, 1);
    if (task.part(slot, failure) && pool.withdraw(task)) {
      this.questions.delete(task);
    }
  }

  /** The same for one who waits for nothing but the end of a delay. */
  cancelHeld(slot: number, failure: Failure): void {
    const kind = this.shield?.release(slot);
    if (kind !== undefined) {
      this.failHeld(slot, kind, failure);
    }
  }

  /** See {@link TaskOwner.questionSettled}. */
  settled(task: Question, answer: Answer | Failure, speaksOfUs: boolean): void {
    if (task instanceof LoginLookup && !this.isClosed && !isFailure(answer) && !answer.found) {
      const { guesses } = this.settings.limits;
      if (this.late.holds(task, guesses, () => this.conclude(task, answer, speaksOfUs))) {
        return;
      }
    }
    this.conclude(task, answer, speaksOfUs);
  }

  private conclude(task: Question, answer: Answer | Failure, speaksOfUs: boolean): void {
    const { counters, pool } = this.parts;
    if (task instanceof CatchAllProbe) {
      task.answeredWith(task, answer, speaksOfUs);
      return;
    }
    this.questions.delete(task);
    const isFormer = this.former.delete(task);
    const { waiting } = task;
    task.forEachSlot(this.forgetSlot);
    const { shield } = this;
    if (shield !== undefined) {
      const verdict = isFailure(answer) || speaksOfUs ? undefined : doesExist(answer);
      task.forEachSlot((slot) => shield.settled(slot, task.key, verdict));
    }
    if (isFailure(answer)) {
      this.settleFailed(task, answer, waiting);
      return;
    }
    if (speaksOfUs && !isFormer && this.refusals.count(task.key, this.settings.limits.refusals)) {
      counters.failed(task.kind, waiting);
      task.tell(
        {
          code: "HOST_UNAVAILABLE",
          message: "The host refuses every recipient for reasons that speak of us; it gives no verdict on them.",
          reply: answer.reply,
        },
        undefined,
      );
      return;
    }
    if (task.kind === "rcpt" && !isFormer && !speaksOfUs) {
      this.refusals.verdictGiven(answer.found, this.settings.limits.refusals);
    }
    if (!speaksOfUs && !isFormer) {
      this.keep(task, answer);
    }
    if (task.kind === "auth" && answer.found) {
      pool.passwordWasRight(task.credentials.username);
    }
    counters.answered(task.kind, answer.found, waiting);
    task.tell(isFormer ? answer : this.judged(task, answer), undefined);
  }

  /** Wrong passwords told late so far. */
  get guesses(): number {
    return this.late.count;
  }

  /** The run of refusals that speak of us is over: an operator says so. */
  forgetRefusals(): void {
    this.refusals.clear();
  }

  /** What was asked before says nothing of the host as it is configured now. */
  reconfigure(settings: HostSettings): void {
    this.late.flush();
    this.settings = settings;
    this.refusals.clear();
    this.catchAll = this.makeCatchAll();
    this.shield?.close((slot, kind) => this.failHeld(slot, kind, HARVEST_SUSPECTED));
    this.shield = this.makeShield();
    for (const task of this.questions.all()) {
      if (task.isStarted) {
        this.questions.delete(task);
        this.former.add(task);
      }
    }
  }

  /** What was asked before is not kept any more, and who asks from now on has the host's answer of now. */
  forgotten({ recipient, username }: { recipient?: string; username?: string }): void {
    const isAll = recipient === undefined && username === undefined;
    for (const task of this.questions.all()) {
      const isMeant =
        task instanceof LoginLookup
          ? task.credentials.username === username
          : recipient !== undefined && task.key.startsWith(lookupKey(task.kind, recipient));
      if (task.isStarted && (isAll || isMeant)) {
        this.questions.delete(task);
        this.former.add(task);
      }
    }
  }

  /** What `stats()` says of harvesters. */
  get harvest(): HostStats["harvest"] {
    return this.shield?.stats() ?? { suspects: 0, late: 0, refused: 0 };
  }

  /** What is known of domains, where that is found out. */
  get domains(): CatchAll | undefined {
    return this.catchAll;
  }

  /** From now on only what is known is answered. */
  close(): void {
    this.isClosed = true;
    this.late.flush();
    this.shield?.close((slot, kind) => this.failHeld(slot, kind, CLOSED));
  }

  /** From the cache, or by asking. */
  private answer(
    slot: number,
    kind: AddressLookupKind,
    value: string,
    deadlineMs: number,
    client: string,
    tag: string,
  ): void {
    const { owner } = this.parts;
    const key = this.keyOf(kind, value, client);
    const hit = this.cache.get(key);
    if (this.shield !== undefined && client !== NO_CLIENT) {
      this.shield.asks(slot, client, key, hit === undefined ? undefined : doesExist(hit.answer));
    }
    if (hit === undefined) {
      const pending = this.questions.get(key);
      const task = pending ?? new AddressLookup(owner, key, kind, value, client, false);
      if (pending === undefined) {
        task.tag = tag;
      }
      this.ask(slot, deadlineMs, task, tag);
      return;
    }
    if (kind === "rcpt" && hit.answer.found && this.catchAll !== undefined) {
      this.serveFound(slot, value, hit, this.catchAll);
    } else {
      this.serveCached(slot, kind, hit);
    }
    if (hit.shouldRefresh) {
      this.refresh(key, () => new AddressLookup(owner, key, kind, value, client, true));
    }
  }

  private keyOf(kind: AddressLookupKind, value: string, client: string): string {
    return lookupKey(kind, value) + this.cache.clientSuffix(client);
  }

  private failHeld(slot: number, kind: AddressLookupKind, failure: Failure): void {
    this.parts.counters.failed(kind, 1);
    this.parts.owner.answers.failed(slot, failure);
  }

  private get cache(): AnswerCache {
    return this.parts.kept.answers;
  }

  private keep(task: Question, answer: Answer): void {
    if (task instanceof LoginLookup) {
      this.cache.put(task.key, answer, { isAuth: true, username: task.credentials.username });
    } else {
      this.cache.put(task.key, answer);
    }
  }

  private readonly forgetSlot = (slot: number): void => {
    this.parts.bySlot[slot] = undefined;
  };

  private serveCached(slot: number, kind: AddressLookupKind | "auth", hit: CacheHit): void {
    const { counters, owner } = this.parts;
    counters.served(kind, hit);
    owner.answers.answered(slot, hit.answer, "cache", hit.ageMs, hit.mark === NO_MARK ? undefined : hit);
  }

  /** A recipient that is found: how sure that is may change sooner than the answer, and the callers' copies must not outlive it. */
  private serveFound(slot: number, value: string, hit: CacheHit, catchAll: CatchAll): void {
    const { counters, owner } = this.parts;
    const { certainty, untilMs } = catchAll.ofFound(value);
    const { mark, version, storedMs, goodForMs } = hit;
    const isCopied = mark !== NO_MARK && untilMs !== undefined;
    const kept = isCopied ? { mark, version, storedMs, goodForMs: Math.min(goodForMs, untilMs - storedMs) } : undefined;
    counters.served("rcpt", hit);
    owner.answers.answered(slot, { ...hit.answer, certainty }, "cache", hit.ageMs, kept);
  }

  /** An answer, with how sure it is where anybody finds that out. */
  private judged(task: Question, answer: Answer): Answer {
    if (this.catchAll === undefined || task.kind !== "rcpt" || !answer.found) {
      return answer;
    }
    return { ...answer, certainty: this.catchAll.ofFound(task.value).certainty };
  }

  private makeShield(): HarvestShield | undefined {
    const harvest = this.settings.lookups?.harvest;
    return harvest === undefined ? undefined : new HarvestShield(harvest, this.parts.world, this.parts.log);
  }

  private makeCatchAll(): CatchAll | undefined {
    const { lookups, bareRecipients } = this.settings;
    if (lookups?.detectsCatchAll !== true) {
      return undefined;
    }
    const { world, owner, log } = this.parts;
    const ask = (probe: CatchAllProbe): boolean => {
      const isPossible = !this.isClosed && !this.parts.pool.isRefusing;
      if (isPossible) {
        this.parts.pool.submit(probe);
      }
      return isPossible;
    };
    return new CatchAll({ world, owner, log, hasBareRecipients: bareRecipients, ask });
  }

  /** Lets the slot wait for a question: one that is at work already, or one to begin. */
  private ask(slot: number, deadlineMs: number, task: Question, tag: string): void {
    const { owner, pool, bySlot } = this.parts;
    if (this.isClosed) {
      owner.answers.failed(slot, CLOSED);
      return;
    }
    const { isRefresh } = task;
    task.join(slot, deadlineMs);
    bySlot[slot] = task;
    if (isRefresh || outranks(tag, task.tag)) {
      return pool.promote(task, tag);
    }
    if (task.waiting > 1 || this.questions.has(task.key)) {
      return;
    }
    this.questions.add(task);
    pool.submit(task);
  }

  private refresh(key: string, create: () => Question): void {
    const { pool } = this.parts;
    if (this.isClosed || this.questions.has(key) || pool.isRefusing) {
      return;
    }
    const task = create();
    this.questions.add(task);
    pool.submit(task);
  }

  private settleFailed(task: Question, failure: Failure, waiting: number): void {
    const { counters } = this.parts;
    const stale = failure.code === "DEADLINE_EXCEEDED" || failure === CLOSED ? undefined : this.cache.stale(task.key);
    if (stale === undefined) {
      counters.failed(task.kind, waiting);
      task.tell(failure, undefined);
    } else {
      counters.served(task.kind, stale, waiting);
      task.tell(this.judged(task, stale.answer), stale.ageMs);
    }
  }
}

/** Of a mailbox that takes no mail now, too. */
function doesExist({ found, mailbox }: Answer): boolean {
  return found || mailbox !== undefined;
}
