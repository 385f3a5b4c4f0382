/**
 * One remote host: receives its requests from the worker's mailbox; answers from the cache what is known, makes equal
 * questions in flight one, and hands the rest to the pool.
 */
import type { HostStats, RecipientResult } from "../../src/api.js";
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import type { AnswerMarks } from "../../src/messages/answer-marks.js";
import type { Answer, RelayJob, UserCredentials } from "../../src/messages/contract.js";
import type { GatewayPort, HostActor, RelayPhases } from "../../src/messages/host-actor.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { observe } from "../../src/messages/host-stats.js";
import type { ConnectionSight, HostOrder, TraceOrder, TracePart } from "../../src/messages/operating.js";
import type { PlaceGrant } from "../../src/messages/places.js";
import { Pool, type PoolOwner } from "../pool/pool.js";
import type { Task as PoolTask } from "../pool/task.js";
import type { World } from "../world.js";
import type { AnswerCache } from "./cache.js";
import { type CacheHit, NO_MARK } from "./cache-entry.js";
import { lookupKey } from "./cache-keys.js";
import { Counters } from "./counters.js";
import { HostCache, type Storage } from "./host-cache.js";
import { HostTrace } from "./host-trace.js";
import { PendingLookups } from "./pending-lookups.js";
import { PolicyRefusals } from "./policy-refusals.js";
import { AddressLookup, LoginLookup, type Question } from "./questions.js";
import { SharedPlaces } from "./shared-places.js";
import { RelayRequest, type Task, type TaskOwner } from "./tasks.js";
import { warnOfWeakSettings } from "./weak-settings.js";

export interface ActorOptions {
  readonly settings: HostSettings;
  readonly hostname: string | undefined;
  readonly hostIndex: number;
  readonly answers: GatewayPort;
  readonly phases: RelayPhases;
  readonly world: World;
  /** Where the actors of a thread find their requests again, by slot: no two of them hold one slot. */
  readonly bySlot?: SlotTable;
  /** Tells the gateway's thread which copies of cached answers still hold; without them none is made. */
  readonly marks?: AnswerMarks;
  /** Where the cache outlives the thread. */
  readonly storage?: Storage;
  /** The host was removed, and this one has not finished what it had. */
  readonly predecessor?: HostActor | undefined;
}

/** Requests that are not settled. */
export type SlotTable = (RelayRequest | Question | undefined)[];

const CLOSED: Failure = {
  code: "MAILBOX_CLOSED",
  message: "The remote host was closed before the request was served.",
};

const GIVEN_UP = {
  ABORTED: "The request was given up by its signal.",
  DEADLINE_EXCEEDED: "The deadline passed before the host had answered.",
} as const;

export class Actor implements HostActor, TaskOwner {
  readonly hostIndex: number;
  readonly answers: GatewayPort;
  readonly phases: RelayPhases;
  private readonly world: World;
  private readonly pool: Pool;
  private readonly places: SharedPlaces;
  private settings: HostSettings;
  private readonly kept: HostCache;
  /** No Map: see wire/smtp/active-work.ts for what one costs whose entries come and go. */
  private readonly bySlot: SlotTable;
  private relaysAtHand = 0;
  private readonly questions = new PendingLookups();
  /** Asked of the host as it was before the settings changed: who asks now shall not have their answers. */
  private readonly former = new Set<Question>();
  private isClosed = false;
  private readonly counters = new Counters();
  private readonly log: HostLog = {
    write: (level, event, message, fields) => this.answers.log(level, event, this.settings.id, message, fields),
  };
  private readonly refusals = new PolicyRefusals(this.log);
  private readonly trace: HostTrace;

  constructor(options: ActorOptions) {
    this.hostIndex = options.hostIndex;
    this.answers = options.answers;
    this.phases = options.phases;
    this.world = options.world;
    this.bySlot = options.bySlot ?? [];
    const { settings, world, marks, storage } = options;
    this.settings = settings;
    this.kept = new HostCache({ settings, world, marks, storage, log: this.log });
    const former = options.predecessor instanceof Actor ? options.predecessor : undefined;
    const poolOwner: PoolOwner = {
      dialled: (connection, durationMs, failure, tls) => {
        if (failure === undefined) {
          observe(this.counters.durations.connect, durationMs);
        }
        this.answers.connected(settings.id, connection, durationMs, failure, tls);
      },
    };
    this.pool = new Pool(world, settings, options.hostname, poolOwner, this.log, former?.pool);
    this.trace = new HostTrace(this.pool.tap, world.wheel);
    this.places = new SharedPlaces(this.pool, world.wheel, (demand) => this.answers.placesWanted(settings.id, demand));
    this.places.follow(settings.cluster !== undefined, former?.places);
    warnOfWeakSettings(this.settings, this.log);
  }

  // --- requests ------------------------------------------------------------------------------------------------

  lookup(slot: number, kind: AddressLookupKind, value: string, deadlineMs: number, client: string): void {
    const key = lookupKey(kind, value) + this.cache.clientSuffix(client);
    const hit = this.cache.get(key);
    if (hit !== undefined) {
      this.serveCached(slot, kind, hit);
      if (hit.shouldRefresh) {
        this.refresh(key, () => new AddressLookup(this, key, kind, value, client, true));
      }
      return;
    }
    this.ask(slot, deadlineMs, this.questions.get(key) ?? new AddressLookup(this, key, kind, value, client, false));
  }

  authenticate(slot: number, credentials: UserCredentials, deadlineMs: number, client: string): void {
    const key = this.cache.authKey(credentials) + this.cache.clientSuffix(client);
    const hit = this.cache.get(key);
    if (hit !== undefined) {
      this.serveCached(slot, "auth", hit);
      if (hit.shouldRefresh) {
        this.refresh(key, () => new LoginLookup(this, key, credentials, client, true));
      }
      return;
    }
    this.ask(slot, deadlineMs, this.questions.get(key) ?? new LoginLookup(this, key, credentials, client, false));
  }

  relay(job: RelayJob): void {
    if (this.isClosed) {
      this.answers.failed(job.slot, CLOSED);
      return;
    }
    const task = new RelayRequest(this, job);
    this.bySlot[job.slot] = task;
    this.relaysAtHand++;
    this.pool.submit(task);
  }

  contentPart(slot: number, bytes: Uint8Array, last: boolean): void {
    const task = this.bySlot[slot];
    if (task instanceof RelayRequest) {
      task.contentPart(bytes, last);
    }
  }

  contentFailed(slot: number, message: string): void {
    const task = this.bySlot[slot];
    if (!(task instanceof RelayRequest)) {
      return;
    }
    this.pool.withdraw(task);
    task.contentFailed({
      code: "CONTENT_FAILED",
      message: `The content could not be read: ${message}. Nothing was delivered.`,
    });
  }

  cancel(slot: number, code: "DEADLINE_EXCEEDED" | "ABORTED"): void {
    const task = this.bySlot[slot];
    if (task === undefined) {
      return;
    }
    if (code === "DEADLINE_EXCEEDED") {
      this.pool.gaveUp(task);
    }
    const failure = { code, message: GIVEN_UP[code] };
    if (task instanceof RelayRequest) {
      if (this.pool.withdraw(task)) {
        task.drop(failure);
      } else {
        task.cancel(failure);
      }
      return;
    }
    this.bySlot[slot] = undefined;
    this.counters.failed(kindOf(task), 1);
    if (task.part(slot, failure) && this.pool.withdraw(task)) {
      this.questions.delete(task);
    }
  }

  // --- control -------------------------------------------------------------------------------------------------

  /** What an operator orders. */
  operate(order: HostOrder): void {
    if (order === "reconnect") {
      this.refusals.clear();
    }
    this.pool[order]();
  }

  connections(): ConnectionSight[] {
    return this.pool.sights();
  }

  startTrace(order: TraceOrder): void {
    this.trace.start(order);
  }

  fetchTrace(): TracePart {
    return this.trace.fetch();
  }

  forget(filter: { recipient?: string; username?: string }): number {
    return this.kept.forget(filter);
  }

  stats(): HostStats {
    const { queued, connections, rate } = this.pool;
    return {
      id: this.settings.id,
      address: this.settings.address,
      port: this.settings.port,
      protocol: this.settings.protocol,
      ...this.pool.condition,
      ...this.stopped,
      circuit: this.pool.circuitState,
      connections,
      opened: this.pool.opened,
      connectFailures: this.pool.connectFailures,
      queued,
      inFlight: this.questions.size + this.former.size + this.relaysAtHand - queued,
      // The gateway's thread knows these: it also settles what never comes here.
      turnedAway: 0,
      failures: {},
      limits: { concurrency: this.settings.concurrency, queue: this.settings.limits.queue },
      ...this.counters.snapshot(),
      ...(rate === undefined ? {} : { rate }),
      cache: this.cache.sizes,
      restarts: 0,
    };
  }

  reconfigure(settings: HostSettings): void {
    this.settings = settings;
    this.kept.reconfigure(settings);
    this.refusals.clear();
    for (const task of this.questions.all()) {
      if (task.isStarted) {
        this.questions.delete(task);
        this.former.add(task);
      }
    }
    this.places.follow(settings.cluster !== undefined);
    this.pool.reconfigure(settings);
    warnOfWeakSettings(this.settings, this.log);
  }

  grantPlaces(grant: PlaceGrant): void {
    this.places.grant(grant);
  }

  async close(drainMs: number): Promise<void> {
    this.isClosed = true;
    await this.pool.close(drainMs, CLOSED);
    this.places.stop();
    await this.kept.close();
  }

  // --- for the tasks -------------------------------------------------------------------------------------------

  now(): number {
    return this.world.clock.now();
  }

  waited(ms: number): void {
    observe(this.counters.durations.queue, ms);
  }

  worked(task: Task, ms: number): void {
    observe(this.counters.durations[task.kind === "login" ? "auth" : task.kind], ms);
    this.pool.worked(task.kind, ms);
  }

  retry(task: PoolTask): void {
    this.pool.resubmit(task);
  }

  relaySettled(task: RelayRequest, recipients: readonly RecipientResult[] | undefined): void {
    this.bySlot[task.job.slot] = undefined;
    this.relaysAtHand--;
    this.counters.relaySettled(recipients);
  }

  questionSettled(task: Question, answer: Answer | Failure, speaksOfUs: boolean): void {
    this.questions.delete(task);
    const isFormer = this.former.delete(task);
    const { waiting } = task;
    task.forEachSlot(this.forgetSlot);
    if ("code" in answer) {
      this.settleFailed(task, answer, waiting);
      return;
    }
    if (speaksOfUs && !isFormer && this.refusals.count(task.key, this.settings.limits.refusals)) {
      this.counters.failed(kindOf(task), waiting);
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
    if (task.kind === "login" && answer.found) {
      this.pool.passwordWasRight(task.credentials.username);
    }
    this.counters.answered(kindOf(task), answer.found, waiting);
    task.tell(answer, undefined);
  }

  // --- inside --------------------------------------------------------------------------------------------------

  private get cache(): AnswerCache {
    return this.kept.answers;
  }

  private keep(task: Question, answer: Answer): void {
    if (task instanceof LoginLookup) {
      this.cache.put(task.key, answer, { isAuth: true, username: task.credentials.username });
    } else {
      this.cache.put(task.key, answer);
    }
  }

  /** Where somebody wants it not to be used, that is its state. */
  private get stopped(): Partial<Pick<HostStats, "state">> {
    if (this.isClosed) {
      return { state: "draining" };
    }
    return this.pool.isPaused ? { state: "paused" } : {};
  }

  private readonly forgetSlot = (slot: number): void => {
    this.bySlot[slot] = undefined;
  };

  private serveCached(slot: number, kind: AddressLookupKind | "auth", hit: CacheHit): void {
    this.counters.served(kind, hit);
    this.answers.answered(slot, hit.answer, "cache", hit.ageMs, hit.mark === NO_MARK ? undefined : hit);
  }

  /** Lets the slot wait for a question: one that is at work already, or one to begin. */
  private ask(slot: number, deadlineMs: number, task: Question): void {
    if (this.isClosed) {
      this.answers.failed(slot, CLOSED);
      return;
    }
    const { isRefresh } = task;
    task.join(slot, deadlineMs);
    this.bySlot[slot] = task;
    if (isRefresh) {
      return this.pool.promote(task);
    }
    if (task.waiting > 1 || this.questions.has(task.key)) {
      return;
    }
    this.questions.add(task);
    this.pool.submit(task);
  }

  private refresh(key: string, create: () => Question): void {
    if (this.isClosed || this.questions.has(key) || this.pool.isRefusing) {
      return;
    }
    const task = create();
    this.questions.add(task);
    this.pool.submit(task);
  }

  private settleFailed(task: Question, failure: Failure, waiting: number): void {
    const stale = failure.code === "DEADLINE_EXCEEDED" || failure === CLOSED ? undefined : this.cache.stale(task.key);
    if (stale === undefined) {
      this.counters.failed(kindOf(task), waiting);
      task.tell(failure, undefined);
    } else {
      this.counters.served(kindOf(task), stale, waiting);
      task.tell(stale.answer, stale.ageMs);
    }
  }
}

function kindOf(task: Question): AddressLookupKind | "auth" {
  return task instanceof AddressLookup ? task.kind : "auth";
}
