/**
 * The requests of one host while they wait and while they are at work: what the actor makes of a call, the pool queues and a
 * session carries out. Each knows the slots that wait for it and settles every one of them exactly once.
 */
import type { RecipientResult, Reply } from "../../src/api.js";
import { type Failure, isFailure } from "../../src/errors.js";
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import type { Answer, RelayJob } from "../../src/messages/contract.js";
import type { GatewayPort, RelayPhases } from "../../src/messages/host-actor.js";
import { NO_TAG } from "../../src/messages/tenant.js";
import type { Task as PoolTask } from "../pool/task.js";
import { Queued } from "../pool/task-queue.js";
import type { Progress } from "../wire/progress.js";
import { isRetrySafe } from "./retry.js";

/** What a task asks of its actor. */
export interface TaskOwner {
  readonly hostIndex: number;
  readonly answers: GatewayPort;
  readonly phases: RelayPhases;
  now(): number;
  /** A task waited so long for its connection. */
  waited(ms: number): void;
  /** A task was on a connection for so long. */
  worked(task: Task, ms: number): void;
  /** Lets a task wait for its one automatic retry, on a connection that never served. */
  retry(task: PoolTask): void;
  /** Lets a message wait for its next transaction, before messages that have had none. */
  goOn(task: PoolTask): void;
  /** A message that was sent to some of its recipients cannot be sent to so many others. */
  unserved(recipients: number, failure: Failure | undefined): void;
  /** `reply`: the one that ended the transaction; `endings`: those of all transactions, where there were several. */
  relaySettled(
    task: { readonly job: RelayJob; readonly startedMs: number },
    recipients?: readonly RecipientResult[],
    reply?: Reply,
    endings?: ReadonlySet<Reply>,
  ): void;
  questionSettled(task: LookupRequest, answer: Answer | Failure, speaksOfUs: boolean): void;
}

/** No slot. */
const NOBODY = -1;

export abstract class Task extends Queued {
  abstract readonly kind: "relay" | AddressLookupKind | "auth";
  /** On whose behalf, see src/messages/client.ts. */
  abstract readonly client: string;
  /** Whose it is, see src/messages/tenant.ts. */
  tag = NO_TAG;
  /** When nobody waits for it any more. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** When it first came into its queue: whatever waits too long goes first. */
  readonly enqueuedMs: number;
  protected waitsSinceMs: number;
  /** It is on a connection. */
  isStarted = false;
  protected isSettled = false;
  /** It is on its second try, which is made on a connection that nobody has used: others may be as dead as its first. */
  private wasRetried = false;
  startedMs = 0;

  constructor(protected readonly owner: TaskOwner) {
    super();
    this.enqueuedMs = owner.now();
    this.waitsSinceMs = this.enqueuedMs;
  }

  /** It leaves its queue for a connection. `connection` is that one's number. */
  start(connection: number): void {
    this.isStarted = true;
    this.startedMs = this.owner.now();
    this.owner.waited(this.startedMs - this.waitsSinceMs);
    this.owner.phases.countInFlight(this.owner.hostIndex, this.waiting);
    this.started(connection);
  }

  /** Settles it; nothing was sent for it. */
  abstract drop(failure: Failure): void;
  /** Slots that wait for it. */
  abstract get waiting(): number;
  /** Somebody needs its outcome. */
  protected get isWanted(): boolean {
    return true;
  }
  protected started(_connection: number): void {}

  /** Its connection is gone: it waits for another one, once, where that is safe. */
  lost(failure: Failure, progress: Progress): void {
    if (!this.mayGoAgain(progress)) {
      this.failed(failure);
      return;
    }
    this.wasRetried = true;
    this.leave();
    this.requeue();
  }

  /** It was tried, and this came of it. */
  failed(failure: Failure): void {
    this.drop(failure);
  }

  private mayGoAgain(progress: Progress): boolean {
    if (!isRetrySafe(progress) || this.wasRetried || this.isSettled || !this.isWanted) {
      return false;
    }
    return this.owner.now() < this.deadlineMs && this.toQueued();
  }

  /** Tells the gateway's thread that nothing of it is on a connection any more; false: it was withdrawn. */
  protected toQueued(): boolean {
    return true;
  }

  /** {@link TaskOwner.retry} */
  protected abstract requeue(): void;

  protected leave(): void {
    if (!this.isStarted) {
      return;
    }
    this.isStarted = false;
    this.owner.phases.countInFlight(this.owner.hostIndex, -this.waiting);
    this.owner.worked(this, this.owner.now() - this.startedMs);
  }
}

/** A lookup or a login: many may wait for its one answer. A refresh in the background has nobody who waits. */
export abstract class LookupRequest extends Task {
  /** The slot that asked first, and those that joined it; most questions have one who waits. */
  private firstSlot = NOBODY;
  private joined: number[] | undefined;

  constructor(
    owner: TaskOwner,
    /** Under which its answer is cached. */
    readonly key: string,
    readonly client: string,
    /** Nobody waits for it: it is asked in the background, and may be joined. */
    public isRefresh: boolean,
  ) {
    super(owner);
    this.deadlineMs = isRefresh ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  }

  join(slot: number, deadlineMs: number): void {
    if (this.firstSlot === NOBODY && this.joined === undefined) {
      this.firstSlot = slot;
    } else if (this.joined === undefined) {
      this.joined = [slot];
    } else {
      this.joined.push(slot);
    }
    // Who joins a refresh makes it a question like any other.
    if (this.isRefresh) {
      this.deadlineMs = Number.NEGATIVE_INFINITY;
    }
    this.isRefresh = false;
    // Nobody needs the answer after the latest deadline of those who wait.
    if (deadlineMs > this.deadlineMs) {
      this.deadlineMs = deadlineMs;
    }
    if (this.isStarted) {
      this.owner.phases.countInFlight(this.owner.hostIndex, 1);
    }
  }

  /** One who waited gave up. True: nobody is left, and it was not sent yet: it should leave its queue. */
  part(slot: number, failure: Failure): boolean {
    const at = this.joined?.indexOf(slot) ?? -1;
    if (slot === this.firstSlot) {
      this.firstSlot = NOBODY;
    } else if (at !== -1) {
      this.joined!.splice(at, 1);
    } else {
      return false;
    }
    if (this.isStarted) {
      this.owner.phases.countInFlight(this.owner.hostIndex, -1);
    }
    this.owner.answers.failed(slot, failure);
    return this.waiting === 0 && !this.isStarted && !this.isRefresh;
  }

  /** Calls `visit` with every slot that waits now. */
  forEachSlot(visit: (slot: number) => void): void {
    if (this.firstSlot !== NOBODY) {
      visit(this.firstSlot);
    }
    if (this.joined !== undefined) {
      for (const slot of this.joined) {
        visit(slot);
      }
    }
  }

  drop(failure: Failure): void {
    this.settle(failure, false);
  }

  /** Tells everyone who waits. `ageMs`: of an answer that came from the cache after all. */
  tell(answer: Answer | Failure, ageMs: number | undefined): void {
    const { firstSlot, joined } = this;
    this.firstSlot = NOBODY;
    this.joined = undefined;
    if (firstSlot !== NOBODY) {
      this.tellOne(firstSlot, answer, "remote", ageMs);
    }
    if (joined !== undefined) {
      for (const slot of joined) {
        this.tellOne(slot, answer, "shared", ageMs);
      }
    }
  }

  private tellOne(
    slot: number,
    answer: Answer | Failure,
    source: "remote" | "shared",
    ageMs: number | undefined,
  ): void {
    if (isFailure(answer)) {
      this.owner.answers.failed(slot, answer);
    } else {
      this.owner.answers.answered(slot, answer, ageMs === undefined ? source : "cache", ageMs ?? 0);
    }
  }

  get waiting(): number {
    return (this.firstSlot === NOBODY ? 0 : 1) + (this.joined?.length ?? 0);
  }

  protected override get isWanted(): boolean {
    return this.isRefresh || this.waiting > 0;
  }

  protected settle(answer: Answer | Failure, speaksOfUs: boolean): void {
    if (this.isSettled) {
      return;
    }
    this.leave();
    this.isSettled = true;
    this.owner.questionSettled(this, answer, speaksOfUs);
  }
}
