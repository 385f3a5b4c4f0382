/**
 * One remote host: receives its requests from the worker's mailbox, hands messages to the pool, questions to lookups.ts and what
 * operators want to whom it concerns.
 */
import type { RecipientResult, Reply } from "../../src/api.js";
import type { HostSettings } from "../../src/config/settings.js";
import type { Failure } from "../../src/errors.js";
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import type { AnswerMarks } from "../../src/messages/answer-marks.js";
import type { AdoptedAnswer, Answer, RelayJob, UserCredentials } from "../../src/messages/contract.js";
import type { HealthHint } from "../../src/messages/health.js";
import type { GatewayPort, HostActor, RelayPhases } from "../../src/messages/host-actor.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { observe } from "../../src/messages/host-stats.js";
import type { ConnectionSight, HostOrder, TraceOrder, TracePart } from "../../src/messages/operating.js";
import type { PlaceGrant, SharedThing } from "../../src/messages/places.js";
import { NO_TAG } from "../../src/messages/tenant.js";
import type { TokenGrant } from "../../src/messages/tokens.js";
import type { HostStats } from "../../src/stats.js";
import type { PoolOwner } from "../pool/opener.js";
import { Pool } from "../pool/pool.js";
import type { Task as PoolTask } from "../pool/task.js";
import type { World } from "../world.js";
import { ClusterShares } from "./cluster-shares.js";
import { Counters } from "./counters.js";
import { HostCache, type Storage } from "./host-cache.js";
import { HostTrace } from "./host-trace.js";
import { Lessons } from "./lessons.js";
import { CLOSED, Lookups, type RequestsBySlot } from "./lookups.js";
import type { Question } from "./questions.js";
import { RelayRequest } from "./relay-request.js";
import type { Task, TaskOwner } from "./tasks.js";
import { warnOfWeakSettings } from "./weak-settings.js";

export interface ActorOptions {
  readonly settings: HostSettings;
  readonly hostname: string | undefined;
  readonly hostIndex: number;
  readonly answers: GatewayPort;
  readonly phases: RelayPhases;
  readonly world: World;
  /** Where the actors of a thread find their requests again, by slot: no two of them hold one slot. */
  readonly bySlot?: RequestsBySlot;
  /** Tells the gateway's thread which copies of cached answers still hold; without them none is made. */
  readonly marks?: AnswerMarks;
  /** Where the cache outlives the thread. */
  readonly storage?: Storage;
  /** The host was removed, and this one has not finished what it had. */
  readonly predecessor?: HostActor | undefined;
}

const NO_DOMAINS: HostStats["catchAll"] = { asked: 0, verified: 0, acceptsAll: 0 };

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
  private readonly shares: ClusterShares;
  private settings: HostSettings;
  private readonly kept: HostCache;
  /** No Map: see wire/smtp/active-work.ts for what one costs whose entries come and go. */
  private readonly bySlot: RequestsBySlot;
  private relaysAtHand = 0;
  private isClosed = false;
  private readonly counters = new Counters();
  private readonly log: HostLog = {
    write: (level, event, message, fields) => this.answers.log(level, event, this.settings.id, message, fields),
  };
  private readonly lookups: Lookups;
  private readonly lessons: Lessons;
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
    this.lessons = new Lessons(settings);
    const former = options.predecessor instanceof Actor ? options.predecessor : undefined;
    const poolOwner: PoolOwner = {
      dialled: (outcome) => {
        if (outcome.failure === undefined) {
          observe(this.counters.durations.connect, outcome.durationMs);
        }
        this.answers.connected({ hostId: settings.id, ...outcome });
      },
      tokenWanted: (refused) => this.answers.tokenWanted(this.hostIndex, settings.id, refused),
    };
    this.pool = new Pool(world, settings, options.hostname, poolOwner, this.log, former?.pool);
    const { pool, kept, counters, bySlot, log } = this;
    this.lookups = new Lookups({ settings, owner: this, world, pool, kept, counters, bySlot, log });
    this.trace = new HostTrace(this.pool.tap, world.wheel);
    this.shares = new ClusterShares(this.pool, this.lookups.refusals, world.wheel, settings.id, {
      want: (id, demand) => this.answers.placesWanted(id, demand),
      tell: (news) => this.answers.healthFound(settings.id, news),
    });
    this.shares.follow(settings, former?.shares);
    warnOfWeakSettings(this.settings, this.log);
  }

  // --- requests ------------------------------------------------------------------------------------------------

  lookup(slot: number, kind: AddressLookupKind, value: string, deadlineMs: number, client: string, tag = NO_TAG): void {
    this.lookups.lookup(slot, kind, value, deadlineMs, client, tag);
  }

  authenticate(slot: number, credentials: UserCredentials, deadlineMs: number, client: string, tag = NO_TAG): void {
    this.lookups.authenticate(slot, credentials, deadlineMs, client, tag);
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
      this.lookups.cancelHeld(slot, { code, message: GIVEN_UP[code] });
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
    this.lookups.cancel(slot, task, failure);
  }

  // --- control -------------------------------------------------------------------------------------------------

  /** What an operator orders. */
  operate(order: HostOrder): void {
    if (order === "reconnect") {
      this.lookups.forgetRefusals();
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

  adopt(adopted: AdoptedAnswer): void {
    this.kept.adopt(adopted);
  }

  forget(filter: { recipient?: string; username?: string }): number {
    if (filter.recipient === undefined && filter.username === undefined) {
      this.lookups.domains?.forget();
    }
    this.lookups.forgotten(filter);
    return this.kept.forget(filter);
  }

  stats(): HostStats {
    const { queued, connections, rate, opener } = this.pool;
    const { opened, failures: connectFailures, addresses } = opener;
    return {
      id: this.settings.id,
      address: this.settings.address,
      port: this.settings.port,
      protocol: this.settings.protocol,
      ...this.pool.condition,
      ...this.stopped,
      circuit: this.pool.circuitState,
      connections,
      opened,
      connectFailures,
      guesses: this.lookups.guesses,
      queued,
      inFlight: this.lookups.size + this.relaysAtHand - queued,
      // The gateway's thread knows these: it also settles what never comes here.
      turnedAway: 0,
      failures: {},
      limits: { concurrency: this.settings.concurrency, queue: this.settings.limits.queue },
      ...this.counters.snapshot(),
      ...(rate === undefined ? {} : { rate }),
      ...(addresses === undefined ? {} : { addresses }),
      cache: this.kept.answers.sizes(),
      catchAll: this.lookups.domains?.stats() ?? NO_DOMAINS,
      harvest: this.lookups.harvest,
      learned: { ...this.lessons.counts },
      restarts: 0,
    };
  }

  reconfigure(settings: HostSettings): void {
    this.settings = settings;
    this.kept.reconfigure(settings);
    this.lessons.reconfigure(settings, this.now());
    this.lookups.reconfigure(settings);
    this.shares.follow(settings);
    this.pool.reconfigure(settings);
    warnOfWeakSettings(this.settings, this.log);
  }

  grantPlaces(of: SharedThing, grant: PlaceGrant): void {
    this.shares.grant(of, grant);
  }

  hint(hint: HealthHint): void {
    this.shares.hint(hint);
  }

  giveToken(grant: TokenGrant): void {
    this.pool.giveToken(grant);
  }

  async close(drainMs: number): Promise<void> {
    this.isClosed = true;
    this.lookups.close();
    await this.pool.close(drainMs, CLOSED);
    this.shares.stop();
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
    observe(this.counters.durations[task.kind], ms);
    this.pool.worked(task.kind, ms);
  }

  retry(task: PoolTask): void {
    this.pool.resubmit(task);
  }

  goOn(task: PoolTask): void {
    this.pool.submit(task);
  }

  unserved(recipients: number, failure: Failure | undefined): void {
    const why = failure?.message ?? "Its content is too large to be kept (32 MiB), or it was given up.";
    const message = `A message was not sent to all of its recipients: the others are deferred. ${why}`;
    this.log.write("warn", "recipients-unserved", message, { recipients, code: failure?.code });
  }

  relaySettled(
    { job, startedMs }: RelayRequest,
    recipients?: readonly RecipientResult[],
    reply?: Reply,
    endings?: ReadonlySet<Reply>,
  ): void {
    this.bySlot[job.slot] = undefined;
    this.relaysAtHand--;
    this.counters.relaySettled(recipients);
    if (recipients !== undefined) {
      this.lessons.learn(this.kept.answers, job, recipients, endings ?? reply, startedMs);
    }
  }

  questionSettled(task: Question, answer: Answer | Failure, speaksOfUs: boolean): void {
    this.lookups.settled(task, answer, speaksOfUs);
  }

  // --- inside --------------------------------------------------------------------------------------------------

  /** Where somebody wants it not to be used, that is its state. */
  private get stopped(): Partial<Pick<HostStats, "state">> {
    if (this.isClosed) {
      return { state: "draining" };
    }
    return this.pool.isPaused ? { state: "paused" } : {};
  }
}
