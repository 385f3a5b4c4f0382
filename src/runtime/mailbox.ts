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
import type { Content, LookupAnswer, RelayResult, RequestKind, RequestOptions } from "../api.js";
import { type Failure, RelaypostError } from "../errors.js";
import type { AddressLookupKind } from "../lookup-kinds.js";
import { AnswerReader } from "../messages/answers.js";
import { type Batch, NONE } from "../messages/batch.js";
import { NO_CLIENT } from "../messages/client.js";
import type { AdoptedAnswer, UserCredentials } from "../messages/contract.js";
import { PART_OCTETS, type RelayHead } from "../messages/requests.js";
import { MAX_SLOTS, SharedState } from "../messages/shared-state.js";
import type { TimerWheel } from "../timer-wheel.js";
import { type AnsweredSlots, AnswerReceiver, type WorkerWishes } from "./answer-receiver.js";
import { isStream, LargeContent, StreamedContent } from "./content.js";
import { KeepAlive } from "./keep-alive.js";
import type { WriteLog } from "./log.js";
import { Outbox } from "./outbox.js";
import { PartSender } from "./part-sender.js";
import { type HostLoad, type Slot, SlotTable } from "./slot.js";
import { type LimitedSlots, SlotLimits } from "./slot-limits.js";
import type { TenantTag } from "./tenant-loads.js";
import { isConnectTraced } from "./tracing.js";

/** How long a worker may take to say what became of a message that was given up after its terminator went out. */
const GRACE_MS = 150;

type GiveUpCode = "DEADLINE_EXCEEDED" | "ABORTED";

/** For whoever has no wishes to hear. */
const DEAF: WorkerWishes = { places() {}, health() {}, token() {} };

export class Mailbox implements AnsweredSlots, LimitedSlots {
  /** What both threads see. Renewed with each worker. */
  cells = SharedState.create();
  /** What has gathered for the worker. */
  readonly outbox = new Outbox(() => this.cells.setTraced(isConnectTraced()));

  private readonly slots = new SlotTable();
  private readonly writer = this.outbox.writer;
  private readonly reader: AnswerReader;
  private readonly limits: SlotLimits;
  private readonly parts: PartSender;
  /** Where the worker is heard, to its end. */
  private port: MessagePort | undefined;
  private isReading = false;
  private readonly keepAlive: KeepAlive;

  /**
   * @param mostResends how often a lookup is retried on a new worker
   * @param keepsAlive whether requests in progress keep the process alive, because the threads do not
   */
  constructor(
    wheel: TimerWheel,
    writeLog: WriteLog,
    private readonly mostResends: number,
    keepsAlive: boolean,
    wishes: WorkerWishes = DEAF,
  ) {
    this.keepAlive = new KeepAlive(keepsAlive);
    this.limits = new SlotLimits(wheel, this);
    this.parts = new PartSender(this.slots, this.writer, () => this.outbox.arm());
    this.reader = new AnswerReader(new AnswerReceiver(this.slots, this, this.parts, writeLog, wishes));
  }

  /** Requests that the worker has not answered, those included that it does not know yet. */
  get owed(): number {
    return this.slots.taken;
  }

  /** Batches posted to this worker. */
  get posted(): number {
    return this.outbox.posted;
  }

  /** No slot is left. */
  get isFull(): boolean {
    return this.slots.taken >= MAX_SLOTS;
  }

  lookup(
    load: HostLoad,
    kind: AddressLookupKind,
    value: string,
    client: string,
    options: RequestOptions | undefined,
    tag?: TenantTag,
  ): Promise<LookupAnswer> {
    const slot = this.open(load, kind, client, tag);
    const promise = new Promise<LookupAnswer>(slot.executor);
    slot.value = value;
    this.writer.lookup(slot.index, load.host, kind, value, options?.timeoutMs ?? NONE);
    this.opened(slot, options);
    return promise;
  }

  authenticate(
    load: HostLoad,
    credentials: UserCredentials,
    client: string,
    options: RequestOptions | undefined,
    tag?: TenantTag,
  ): Promise<LookupAnswer> {
    const slot = this.open(load, "auth", client, tag);
    const promise = new Promise<LookupAnswer>(slot.executor);
    slot.credentials = credentials;
    this.cells.queue(slot.index);
    this.writer.authenticate(slot.index, load.host, credentials, options?.timeoutMs ?? NONE);
    this.opened(slot, options);
    return promise;
  }

  /** @param octets the content's length in UTF-8; 0 for a stream */
  relay(
    load: HostLoad,
    head: RelayHead,
    content: Content,
    octets: number,
    client: string,
    options: RequestOptions | undefined,
    tag?: TenantTag,
  ): Promise<RelayResult> {
    const slot = this.open(load, "relay", client, tag);
    const promise = new Promise<RelayResult>(slot.executor);
    slot.recipients = head.recipients;
    slot.octets = octets;
    load.octets += octets;
    this.cells.queue(slot.index);
    let inline: string | Uint8Array | null = null;
    if (isStream(content)) {
      slot.content = new StreamedContent(slot.index, this.parts, content);
    } else if (octets > PART_OCTETS) {
      slot.content = new LargeContent(slot.index, this.parts, content);
    } else {
      inline = content;
    }
    this.writer.relay(slot.index, load.host, head, inline, octets, options?.timeoutMs ?? NONE);
    this.opened(slot, options);
    return promise;
  }

  /** From now on requests gather for the next worker. Nothing is owed by this one. */
  hold(): void {
    this.outbox.port = undefined;
  }

  /** A worker is there that knows the hosts: sends what has gathered. */
  connect(port: MessagePort): void {
    this.port = port;
    this.outbox.port = port;
    this.outbox.posted = 0;
    port.on("message", this.receive);
    port.unref();
    this.keepAlive.keep(this.slots.taken > 0, this.port);
    this.outbox.flush();
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
    this.outbox.port = undefined;
    const { cells } = this;
    this.cells = SharedState.create();
    if (!resend) {
      this.outbox.clear();
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

  /** Lets the worker keep an answer that another gateway was given. */
  adopt(load: HostLoad, adopted: AdoptedAnswer): void {
    this.writer.adopt(load.host, adopted);
    this.outbox.arm();
  }

  /** Asks the worker for a heartbeat. */
  probe(): void {
    this.writer.probe();
    this.outbox.arm();
  }

  /** Posts what has gathered. */
  flush(): void {
    this.outbox.flush();
  }

  // LimitedSlots: what ends without an answer

  expired(slot: Slot): void {
    if (slot.state === "pending") {
      this.giveUp(slot, "DEADLINE_EXCEEDED", undefined);
    } else if (slot.state === "late") {
      this.abandonUncertain(slot);
    }
  }

  aborted(slot: Slot, reason: unknown): void {
    this.giveUp(slot, "ABORTED", reason);
  }

  // AnsweredSlots

  settle(slot: Slot): void {
    const { load, content, tag } = slot;
    load.pending--;
    if (tag !== undefined) {
      load.tenants!.ended(tag);
    }
    load.octets -= slot.octets;
    this.limits.clear(slot);
    if (content !== undefined) {
      content.stop();
    }
    slot.forget();
  }

  release(slot: Slot): void {
    this.slots.free(slot);
    if (this.slots.taken === 0) {
      this.keepAlive.keep(false, this.port);
    }
  }

  private readonly receive = (batch: Batch): void => {
    this.isReading = true;
    try {
      this.reader.read(batch);
    } finally {
      this.isReading = false;
    }
  };

  /** Takes a slot, and begins its record; the next promise is to be made with the slot's executor. */
  private open(load: HostLoad, kind: RequestKind, client: string, tag: TenantTag | undefined): Slot {
    const slot = this.slots.take();
    if (this.slots.taken === 1) {
      this.keepAlive.keep(true, this.port);
    }
    slot.state = "pending";
    slot.kind = kind;
    slot.load = load;
    slot.batch = this.outbox.batch;
    slot.resends = 0;
    slot.dueMs = Number.POSITIVE_INFINITY;
    load.pending++;
    if (client !== NO_CLIENT) {
      slot.client = client;
      this.writer.client(client);
    }
    if (tag !== undefined) {
      slot.tag = tag;
      load.tenants!.began(tag);
      this.writer.tag(tag.text);
    }
    return slot;
  }

  private opened(slot: Slot, options: RequestOptions | undefined): void {
    this.outbox.arm();
    if (options !== undefined) {
      this.limits.set(slot, options);
    }
  }

  private giveUp(slot: Slot, code: GiveUpCode, cause: unknown): void {
    if (slot.state !== "pending") {
      return;
    }
    this.writer.cancel(slot.index, code);
    this.outbox.arm();
    if (slot.kind === "relay" && !this.cells.withdraw(slot.index)) {
      slot.state = "late";
      this.limits.expireAfter(slot, GRACE_MS);
      return;
    }
    const { reject, load } = slot;
    load.failed(code);
    this.settle(slot);
    slot.state = "abandoned";
    const message =
      code === "ABORTED"
        ? "The request was aborted before it was answered."
        : "The request was not answered within its timeoutMs.";
    reject(new RelaypostError(code, message, { hostId: load.hostId, cause }));
  }

  private abandonUncertain(slot: Slot): void {
    const { resolve } = slot;
    this.settle(slot);
    slot.state = "abandoned";
    resolve(slot.uncertain());
  }

  private disconnectSlot(slot: Slot, failure: Failure, cells: SharedState, resend: boolean): void {
    const isUnsent = slot.batch === this.outbox.batch;
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
    const { resolve, reject, load } = slot;
    const uncertain = slot.uncertain();
    this.settle(slot);
    this.release(slot);
    if (isNotDelivered) {
      load.failed(failure.code);
      reject(RelaypostError.from({ ...failure, hostId: load.hostId }));
    } else {
      resolve(uncertain);
    }
  }

  private resend(slot: Slot): void {
    slot.resends++;
    slot.batch = this.outbox.batch;
    const leftMs = this.limits.leftMs(slot);
    const timeoutMs = leftMs === Number.POSITIVE_INFINITY ? NONE : leftMs;
    const { index, load, credentials, client, tag } = slot;
    this.cells.queue(index);
    if (client !== NO_CLIENT) {
      this.writer.client(client);
    }
    if (tag !== undefined) {
      this.writer.tag(tag.text);
    }
    if (credentials !== undefined) {
      this.writer.authenticate(index, load.host, credentials, timeoutMs);
    } else {
      this.writer.lookup(index, load.host, slot.kind as AddressLookupKind, slot.value, timeoutMs);
    }
  }
}
