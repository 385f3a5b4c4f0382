/**
 * The main thread's end of one worker thread: takes requests from router.ts, sends them in batches, and settles each of them
 * exactly once: by the worker's answer, a deadline, an abort, or a crash of the worker. The states of a request's slot:
 *
 * ```
 * free ─► pending ─► free                  answered
 *            ├─────► abandoned ─► free     deadline or abort before the message was sent: rejected at once
 *            └─► late ─► free              deadline or abort after that; the worker answered within the grace time
 *                  └──► abandoned ─► free  … or it did not: uncertain
 * ```
 */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Content, LookupAnswer, RecipientResult, RelayResult, Reply, RequestOptions } from "../api.js";
import { type Failure, RelaypostError } from "../errors.js";
import { AnswerReader, type AnswerSink } from "../messages/answers.js";
import { type Batch, NONE } from "../messages/batch.js";
import type { LookupKind, UserCredentials } from "../messages/contract.js";
import type { LogLevel } from "../messages/host-log.js";
import { PART_OCTETS, type RelayHead, RequestWriter } from "../messages/requests.js";
import { MAX_SLOTS, SharedState } from "../messages/shared-state.js";
import { Timer, type TimerWheel } from "../timer-wheel.js";
import { AbortWatch } from "./abort-watch.js";
import { isStream, LargeContent, type PartSink, StreamedContent } from "./content.js";
import { KeepAlive } from "./keep-alive.js";
import type { WriteLog } from "./log.js";
import { captureSettlers, lastReject, lastResolve } from "./settlers.js";
import { type Lane, type Slot, SlotTable } from "./slot.js";
import { isConnectTraced, traceConnection } from "./tracing.js";

/** How long a worker may take to say what became of a message that was given up after its terminator went out. */
const GRACE_MS = 150;
/** A turn that fills so many numbers posts before it ends. */
const FULL_BATCH = 1 << 16;

/** Memory kept for parts of contents: as much as two streams have on their way. */
const MOST_SPARE_PARTS = 8;

type GiveUpCode = "DEADLINE_EXCEEDED" | "ABORTED";

export class Mailbox implements AnswerSink, PartSink {
  /** What both threads see. Renewed with each worker. */
  cells = SharedState.create();
  /** Batches posted to this worker. */
  posted = 0;
  /** Called with each batch: the worker owes something now. */
  onPost: () => void = () => {};

  private readonly slots = new SlotTable();
  private readonly writer = new RequestWriter();
  private readonly reader = new AnswerReader(this);
  private readonly aborts: AbortWatch<Slot>;
  private port: MessagePort | undefined;
  /** Counts the batches of all workers; see `Slot.batch`. */
  private batch = 0;
  private isArmed = false;
  private isReading = false;
  private readonly keepAlive: KeepAlive;
  private readonly spareParts: ArrayBuffer[] = [];

  /**
   * @param mostResends how often a lookup is retried on a new worker
   * @param keepsAlive whether requests in progress keep the process alive, because the threads do not
   */
  constructor(
    private readonly wheel: TimerWheel,
    private readonly writeLog: WriteLog,
    private readonly mostResends: number,
    keepsAlive: boolean,
  ) {
    this.keepAlive = new KeepAlive(keepsAlive);
    this.aborts = new AbortWatch((slot, signal) => this.giveUp(slot, "ABORTED", signal.reason));
  }

  /** Requests that the worker has not answered, those included that it does not know yet. */
  get owed(): number {
    return this.slots.taken;
  }

  /** No slot is left. */
  get isFull(): boolean {
    return this.slots.taken >= MAX_SLOTS;
  }

  lookup(lane: Lane, kind: LookupKind, value: string, options: RequestOptions | undefined): Promise<LookupAnswer> {
    const promise = new Promise<LookupAnswer>(captureSettlers);
    const slot = this.open(lane);
    slot.kind = kind;
    slot.value = value;
    slot.resends = 0;
    this.writer.lookup(slot.index, lane.host, kind, value, options?.timeoutMs ?? NONE);
    this.arm();
    if (options !== undefined) {
      this.limit(slot, options);
    }
    return promise;
  }

  authenticate(lane: Lane, credentials: UserCredentials, options: RequestOptions | undefined): Promise<LookupAnswer> {
    const promise = new Promise<LookupAnswer>(captureSettlers);
    const slot = this.open(lane);
    slot.kind = "auth";
    slot.credentials = credentials;
    this.cells.queue(slot.index);
    slot.resends = 0;
    this.writer.authenticate(slot.index, lane.host, credentials, options?.timeoutMs ?? NONE);
    this.arm();
    if (options !== undefined) {
      this.limit(slot, options);
    }
    return promise;
  }

  /** @param octets the content's length in UTF-8; 0 for a stream */
  relay(
    lane: Lane,
    head: RelayHead,
    content: Content,
    octets: number,
    options: RequestOptions | undefined,
  ): Promise<RelayResult> {
    const promise = new Promise<RelayResult>(captureSettlers);
    const slot = this.open(lane);
    slot.kind = "relay";
    slot.recipients = head.recipients;
    slot.octets = octets;
    lane.octets += octets;
    this.cells.queue(slot.index);
    let inline: string | Uint8Array | null = null;
    if (isStream(content)) {
      slot.content = new StreamedContent(slot.index, this, content);
    } else if (octets > PART_OCTETS) {
      slot.content = new LargeContent(slot.index, this, content);
    } else {
      inline = content;
    }
    this.writer.relay(slot.index, lane.host, head, inline, octets, options?.timeoutMs ?? NONE);
    this.arm();
    if (options !== undefined) {
      this.limit(slot, options);
    }
    return promise;
  }

  /** A worker is there that knows the hosts: sends what has gathered. */
  connect(port: MessagePort): void {
    this.port = port;
    this.posted = 0;
    port.on("message", this.receive);
    port.unref();
    this.keepAlive.keep(this.slots.taken > 0, this.port);
    this.flush();
  }

  /**
   * The worker crashed, or is stopped. Relays are settled: rejected with `failure` if nobody can have received them, else uncertain.
   * Then the mailbox gathers requests for the next worker.
   *
   * @param resend whether lookups, and what was not sent to a worker yet, are kept for the next one
   */
  disconnect(failure: Failure, resend: boolean): void {
    // Answers that are on their way still would meet slots that belong to others by then.
    this.port?.off("message", this.receive);
    this.port?.close();
    this.port = undefined;
    const { cells } = this;
    this.cells = SharedState.create();
    if (!resend) {
      this.writer.clear();
      this.batch++;
    }
    for (const slot of this.slots.occupied()) {
      this.disconnectSlot(slot, failure, cells, resend);
    }
    this.keepAlive.keep(this.slots.taken > 0, this.port);
  }

  /** Takes in every answer that was posted before now; nothing where it is called while one is being taken in. */
  catchUp(): void {
    while (!this.isReading) {
      const received = this.port === undefined ? undefined : receiveMessageOnPort(this.port);
      if (received === undefined) {
        return;
      }
      this.receive(received.message);
    }
  }

  /** Asks the worker for a heartbeat. */
  probe(): void {
    this.writer.probe();
    this.arm();
  }

  /** Posts what has gathered. */
  readonly flush = (): void => {
    this.isArmed = false;
    if (this.port === undefined || this.writer.isEmpty) {
      return;
    }
    this.batch++;
    this.posted++;
    this.cells.setTraced(isConnectTraced());
    this.writer.flush(this.post);
    this.onPost();
  };

  // AnswerSink

  answered(index: number, answer: LookupAnswer): void {
    const slot = this.slots.at(index);
    if (slot.state === "pending") {
      const { resolve } = slot;
      this.settle(slot);
      resolve(answer);
    }
    this.release(slot);
  }

  recipientsOf(index: number): readonly string[] {
    return this.slots.at(index).recipients;
  }

  relayed(index: number, recipients: RecipientResult[], reply: Reply | undefined, connection: number): void {
    const slot = this.slots.at(index);
    if (slot.state !== "abandoned") {
      const { resolve } = slot;
      this.settle(slot);
      resolve(reply === undefined ? { recipients, connection } : { recipients, reply, connection });
    }
    this.release(slot);
  }

  failed(index: number, failure: Failure): void {
    const slot = this.slots.at(index);
    if (slot.state !== "abandoned") {
      const { reject, contentError } = slot;
      const error =
        failure.code === "CONTENT_FAILED" && contentError !== undefined
          ? new RelaypostError(failure.code, failure.message, { hostId: slot.lane.hostId, cause: contentError })
          : RelaypostError.from({ hostId: slot.lane.hostId, ...failure });
      this.settle(slot);
      reject(error);
    }
    this.release(slot);
  }

  wantContent(index: number): void {
    this.slots.at(index).content?.credit();
  }

  recycled(buffer: ArrayBuffer): void {
    if (this.spareParts.length < MOST_SPARE_PARTS) {
      this.spareParts.push(buffer);
    }
  }

  connected(hostId: string, connection: number, durationMs: number, failure: Failure | undefined): void {
    traceConnection(hostId, connection, durationMs, failure);
  }

  log(level: LogLevel, event: string, hostId: string, message: string, fields: Record<string, unknown>): void {
    this.writeLog(level, event, hostId, message, fields);
  }

  // PartSink

  spare(): ArrayBuffer {
    return this.spareParts.pop() ?? (Buffer.allocUnsafeSlow(PART_OCTETS).buffer as ArrayBuffer);
  }

  part(index: number, buffer: ArrayBuffer, octets: number, isLast: boolean): void {
    const slot = this.slots.at(index);
    const counted = Math.min(octets, slot.octets);
    slot.octets -= counted;
    slot.lane.octets -= counted;
    this.writer.contentPart(index, buffer, octets, isLast);
    this.arm();
  }

  contentFailed(index: number, error: unknown): void {
    this.slots.at(index).contentError = error;
    this.writer.contentFailed(index, error instanceof Error ? error.message : String(error));
    this.arm();
  }

  private readonly receive = (batch: Batch): void => {
    this.isReading = true;
    try {
      this.reader.read(batch);
    } finally {
      this.isReading = false;
    }
  };

  private readonly post = (batch: Batch, transfer: ArrayBuffer[]): void => {
    if (transfer.length === 0) {
      this.port!.postMessage(batch);
    } else {
      this.port!.postMessage(batch, transfer);
    }
  };

  private arm(): void {
    if (this.writer.size >= FULL_BATCH && this.port !== undefined) {
      this.flush();
    }
    if (this.isArmed) {
      return;
    }
    this.isArmed = true;
    setImmediate(this.flush);
  }

  /** Takes a slot for the promise made last. */
  private open(lane: Lane): Slot {
    const slot = this.slots.take();
    if (this.slots.taken === 1) {
      this.keepAlive.keep(true, this.port);
    }
    slot.state = "pending";
    slot.lane = lane;
    slot.resolve = lastResolve as Slot["resolve"];
    slot.reject = lastReject;
    slot.batch = this.batch;
    slot.dueMs = Number.POSITIVE_INFINITY;
    lane.pending++;
    return slot;
  }

  private limit(slot: Slot, options: RequestOptions): void {
    const { timeoutMs, signal } = options;
    if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
      slot.dueMs = this.wheel.now() + timeoutMs;
      slot.timer ??= new Timer(() => this.expire(slot));
      this.wheel.set(slot.timer, timeoutMs);
    }
    if (signal === undefined) {
      return;
    }
    slot.signal = signal;
    this.aborts.add(signal, slot);
  }

  private expire(slot: Slot): void {
    if (slot.state === "pending") {
      this.giveUp(slot, "DEADLINE_EXCEEDED", undefined);
    } else if (slot.state === "late") {
      this.abandonUncertain(slot);
    }
  }

  private giveUp(slot: Slot, code: GiveUpCode, cause: unknown): void {
    if (slot.state !== "pending") {
      return;
    }
    this.writer.cancel(slot.index, code);
    this.arm();
    if (slot.kind === "relay" && !this.cells.withdraw(slot.index)) {
      slot.state = "late";
      slot.timer ??= new Timer(() => this.expire(slot));
      this.wheel.set(slot.timer, GRACE_MS);
      return;
    }
    const { reject, lane } = slot;
    this.settle(slot);
    slot.state = "abandoned";
    const message =
      code === "ABORTED"
        ? "The request was aborted before it was answered."
        : "The request was not answered within its timeoutMs.";
    reject(new RelaypostError(code, message, { hostId: lane.hostId, cause }));
  }

  private abandonUncertain(slot: Slot): void {
    const { resolve } = slot;
    this.settle(slot);
    slot.state = "abandoned";
    resolve(slot.uncertain());
  }

  private disconnectSlot(slot: Slot, failure: Failure, cells: SharedState, resend: boolean): void {
    const isUnsent = slot.batch === this.batch;
    if (isUnsent) {
      // Still in the batch that the next worker gets; what was given up is in it too, and cancelled there.
      if (slot.state === "pending") {
        this.cells.queue(slot.index);
      }
      return;
    }
    if (slot.state === "abandoned") {
      this.release(slot);
      return;
    }
    if (resend && slot.mayBeResent(cells, this.mostResends)) {
      this.resend(slot);
      return;
    }
    const isNotDelivered = slot.kind !== "relay" || cells.withdraw(slot.index);
    const { resolve, reject, lane } = slot;
    const uncertain = slot.uncertain();
    this.settle(slot);
    this.release(slot);
    if (isNotDelivered) {
      reject(RelaypostError.from({ ...failure, hostId: lane.hostId }));
    } else {
      resolve(uncertain);
    }
  }

  private resend(slot: Slot): void {
    slot.resends++;
    slot.batch = this.batch;
    const timeoutMs =
      slot.dueMs === Number.POSITIVE_INFINITY ? NONE : Math.max(0, Math.ceil(slot.dueMs - this.wheel.now()));
    const { index, lane, credentials } = slot;
    this.cells.queue(index);
    if (credentials !== undefined) {
      this.writer.authenticate(index, lane.host, credentials, timeoutMs);
    } else {
      this.writer.lookup(index, lane.host, slot.kind as LookupKind, slot.value, timeoutMs);
    }
  }

  /** Lets go of everything that belongs to the caller, who is told next. */
  private settle(slot: Slot): void {
    const { lane, timer, signal, content } = slot;
    lane.pending--;
    lane.octets -= slot.octets;
    if (timer !== undefined && timer.dueMs !== Number.POSITIVE_INFINITY) {
      this.wheel.clear(timer);
    }
    if (signal !== undefined) {
      this.aborts.remove(signal, slot);
    }
    if (content !== undefined) {
      content.stop();
    }
    slot.forget();
  }

  /** The worker is done with the slot. */
  private release(slot: Slot): void {
    this.slots.free(slot);
    if (this.slots.taken === 0) {
      this.keepAlive.keep(false, this.port);
    }
  }
}
