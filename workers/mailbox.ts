/**
 * The worker's end of the mailbox: unpacks batches from src/runtime/mailbox.ts into calls of the host actors,
 * gathers their answers, and keeps the phases of relays in the memory that both threads share.
 */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { RecipientResult, Reply } from "../src/api.js";
import type { Failure } from "../src/errors.js";
import type { AddressLookupKind } from "../src/lookup-kinds.js";
import { type AnswerMarks, type KeptAnswer, toSharedMs } from "../src/messages/answer-marks.js";
import { AnswerWriter } from "../src/messages/answers.js";
import type { Batch } from "../src/messages/batch.js";
import type { AdoptedAnswer, Answer, RelayJob, UserCredentials } from "../src/messages/contract.js";
import type { WorkerStart } from "../src/messages/control.js";
import type { DialOutcome } from "../src/messages/dial-outcome.js";
import type { HealthNews } from "../src/messages/health.js";
import type { GatewayPort, HostActor, RelayPhases } from "../src/messages/host-actor.js";
import type { LogRecord } from "../src/messages/host-log.js";
import type { PlaceDemand } from "../src/messages/places.js";
import type { RequestSink } from "../src/messages/request-sink.js";
import { PART_OCTETS, RequestReader } from "../src/messages/requests.js";
import { SharedState } from "../src/messages/shared-state.js";
import type { Clock } from "../src/timer-wheel.js";

/** A slot that holds no request. */
const FREE = -1;
/** With fewer requests at work an answer leaves at the end of its turn. */
const BUSY_REQUESTS = 32;
/** With more, answers wait for each other until they are this part of what is at work, and no longer than this. */
const SHARE_GATHERED = 3;
const GATHERING_MS = 1;
const LOG_RANKS: Readonly<Record<WorkerStart["logLevel"], number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  silent: 4,
};

/** One for each worker thread. */
export class WorkerMailbox implements GatewayPort, RelayPhases, RequestSink {
  private readonly actors: (HostActor | undefined)[] = [];
  private readonly port: MessagePort;
  private readonly cells: SharedState;
  /** Records below it are not sent. */
  logLevel: WorkerStart["logLevel"];
  private readonly reader = new RequestReader(this);
  private readonly writer = new AnswerWriter();
  /** Per slot: the host whose request it holds, or {@link FREE}. */
  private readonly hosts: number[] = [];
  /** Per slot: octets of content inside a relay that waits, and inside one that counts as in flight. One of the two is 0. */
  private readonly waitingOctets: number[] = [];
  private readonly flyingOctets: number[] = [];
  /**
   * Host, requests and octets, again and again: in flight until their answers are posted. Counted out any earlier, they would
   * count as waiting for as long as the gateway's thread does not know.
   */
  private readonly leaving: number[] = [];
  private isArmed = false;
  /** Requests that are not answered, and answers gathered since the last flush. */
  private unanswered = 0;
  private gathered = 0;
  private gathering: NodeJS.Timeout | undefined;
  private isReading = false;

  constructor(
    start: WorkerStart,
    private readonly clock: Clock,
  ) {
    this.port = start.data;
    this.cells = new SharedState(start.memory);
    this.logLevel = start.logLevel;
    this.port.on("message", this.receive);
  }

  /** Sends the host's requests to `actor` from now on. */
  addActor(host: number, actor: HostActor): void {
    this.actors[host] = actor;
  }

  removeActor(host: number): void {
    this.actors[host] = undefined;
  }

  actor(host: number): HostActor | undefined {
    return this.actors[host];
  }

  /** For the caches of the thread's hosts. */
  get marks(): AnswerMarks {
    return this.cells.marks;
  }

  /** Host numbers and actors, for what concerns them all. */
  entries(): [number, HostActor][] {
    return this.actors.flatMap((actor, host): [number, HostActor][] => (actor === undefined ? [] : [[host, actor]]));
  }

  /** Takes in every request that was posted before now. Control calls come on a port of their own and might overtake them. */
  catchUp(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.port) as { message: Batch } | undefined;
      if (received === undefined) {
        return;
      }
      this.receive(received.message);
    }
  }

  /** Sends the answers gathered so far. */
  readonly flush = (): void => {
    this.isArmed = false;
    this.gathered = 0;
    if (this.gathering !== undefined) {
      clearTimeout(this.gathering);
    }
    this.gathering = undefined;
    if (!this.writer.isEmpty) {
      this.writer.flush(this.post);
    }
    const { leaving, cells } = this;
    for (let at = 0; at < leaving.length; at += 3) {
      cells.countInFlight(leaving[at]!, -leaving[at + 1]!);
      cells.countOctetsInFlight(leaving[at]!, -leaving[at + 2]!);
    }
    leaving.length = 0;
  };

  // GatewayPort: from the actors to the gateway's thread

  answered(
    slot: number,
    answer: Answer,
    source: "cache" | "remote" | "shared",
    ageMs: number,
    kept?: KeptAnswer,
  ): void {
    if (!this.release(slot)) {
      return;
    }
    this.writer.answered(slot, answer, source, ageMs, kept === undefined ? kept : this.share(kept));
    this.arm();
  }

  relayed(slot: number, recipients: readonly RecipientResult[], reply: Reply | undefined, connection: number): void {
    if (!this.release(slot)) {
      return;
    }
    this.writer.relayed(slot, recipients, reply, connection);
    this.arm();
  }

  failed(slot: number, failure: Failure): void {
    if (!this.release(slot)) {
      return;
    }
    this.writer.failed(slot, failure);
    this.arm();
  }

  wantContent(slot: number): void {
    if (this.hosts[slot] === FREE) {
      return;
    }
    this.writer.wantContent(slot);
    this.arm();
  }

  recycle(buffer: ArrayBuffer): void {
    if (buffer.byteLength !== PART_OCTETS) {
      return;
    }
    this.writer.recycle(buffer);
    this.arm();
  }

  log(...record: LogRecord): void {
    const [level] = record;
    if (LOG_RANKS[level] < LOG_RANKS[this.logLevel]) {
      return;
    }
    this.writer.log(...record);
    this.arm();
  }

  placesWanted(hostId: string, demand: PlaceDemand): void {
    this.writer.placesWanted(hostId, demand);
    this.arm();
  }

  healthFound(hostId: string, news: HealthNews): void {
    this.writer.healthFound(hostId, news);
    this.arm();
  }

  tokenWanted(host: number, hostId: string, refused: number): void {
    this.writer.tokenWanted(host, hostId, refused);
    this.arm();
  }

  connected(outcome: DialOutcome): void {
    if (!this.cells.isTraced) {
      return;
    }
    this.writer.connected(outcome);
    this.arm();
  }

  // RelayPhases: the octets of a relay that leaves the queue make room for others

  toEnvelope(slot: number): boolean {
    if (!this.cells.toEnvelope(slot)) {
      return false;
    }
    const octets = this.waitingOctets[slot]!;
    if (octets > 0) {
      this.cells.countOctetsInFlight(this.hosts[slot]!, octets);
      this.waitingOctets[slot] = 0;
      this.flyingOctets[slot] = octets;
    }
    return true;
  }

  toContent(slot: number): boolean {
    return this.cells.toContent(slot);
  }

  toTerminator(slot: number): boolean {
    return this.cells.toTerminator(slot);
  }

  toReplied(slot: number): void {
    this.cells.toReplied(slot);
  }

  toQueued(slot: number): boolean {
    if (!this.cells.toQueued(slot)) {
      return false;
    }
    const octets = this.flyingOctets[slot]!;
    if (octets > 0) {
      this.cells.countOctetsInFlight(this.hosts[slot]!, -octets);
      this.flyingOctets[slot] = 0;
      this.waitingOctets[slot] = octets;
    }
    return true;
  }

  countInFlight(host: number, delta: number): void {
    if (delta > 0) {
      this.cells.countInFlight(host, delta);
    } else {
      this.leave(host, -delta, 0);
    }
  }

  // RequestSink: from the gateway's thread to the actors

  lookup(
    slot: number,
    host: number,
    kind: AddressLookupKind,
    value: string,
    deadlineMs: number,
    client: string,
    tag: string,
  ): void {
    this.take(slot, host, 0)?.lookup(slot, kind, value, deadlineMs, client, tag);
  }

  authenticate(
    slot: number,
    host: number,
    credentials: UserCredentials,
    deadlineMs: number,
    client: string,
    tag: string,
  ): void {
    this.take(slot, host, 0)?.authenticate(slot, credentials, deadlineMs, client, tag);
  }

  relay(host: number, job: RelayJob): void {
    this.take(job.slot, host, job.content === null ? 0 : job.content.length)?.relay(job);
  }

  contentPart(slot: number, bytes: Uint8Array, isLast: boolean): void {
    this.holder(slot)?.contentPart(slot, bytes, isLast);
  }

  contentFailed(slot: number, message: string): void {
    this.holder(slot)?.contentFailed(slot, message);
  }

  cancel(slot: number, code: "DEADLINE_EXCEEDED" | "ABORTED"): void {
    this.holder(slot)?.cancel(slot, code);
  }

  adopt(host: number, adopted: AdoptedAnswer): void {
    this.actors[host]?.adopt?.(adopted);
  }

  private share({ mark, version, storedMs, goodForMs }: KeptAnswer): KeptAnswer {
    return { mark, version, storedMs: toSharedMs(storedMs, this.clock), goodForMs };
  }

  private readonly receive = (batch: Batch): void => {
    this.isReading = true;
    this.reader.read(batch, this.clock.now());
    this.isReading = false;
    // Answers from the cache leave at once: waiting for the end of the turn would gather nothing more.
    this.flush();
    this.cells.countReceived();
  };

  private readonly post = (batch: Batch, transfer: ArrayBuffer[]): void => {
    if (transfer.length === 0) {
      this.port.postMessage(batch);
    } else {
      this.port.postMessage(batch, transfer);
    }
  };

  private arm(): void {
    this.gathered++;
    if (this.isArmed || this.isReading) {
      return;
    }
    // A post costs as much as several answers: under load they wait for each other, a lone one waits for nobody.
    if (this.unanswered < BUSY_REQUESTS || this.gathered * SHARE_GATHERED >= this.unanswered) {
      this.isArmed = true;
      setImmediate(this.flush);
    } else {
      this.gathering ??= setTimeout(this.flush, GATHERING_MS);
    }
  }

  private take(slot: number, host: number, octets: number): HostActor | undefined {
    this.hosts[slot] = host;
    this.waitingOctets[slot] = octets;
    this.flyingOctets[slot] = 0;
    this.unanswered++;
    const actor = this.actors[host];
    if (actor === undefined) {
      this.failed(slot, { code: "MAILBOX_CLOSED", message: "The remote host was removed from the configuration." });
    }
    return actor;
  }

  private holder(slot: number): HostActor | undefined {
    const host = this.hosts[slot];
    return host === undefined || host === FREE ? undefined : this.actors[host];
  }

  /** False: the slot was answered already. The gateway's thread may have given it to another request since, so a second answer must not leave. */
  private release(slot: number): boolean {
    const host = this.hosts[slot]!;
    if (host === FREE) {
      this.log("error", "answered-twice", "", "A request was answered twice; the second answer was dropped.", { slot });
      return false;
    }
    if (this.flyingOctets[slot]! > 0) {
      this.leave(host, 0, this.flyingOctets[slot]!);
    }
    this.hosts[slot] = FREE;
    this.unanswered--;
    return true;
  }

  private leave(host: number, requests: number, octets: number): void {
    const { leaving } = this;
    const last = leaving.length - 3;
    if (last >= 0 && leaving[last] === host) {
      leaving[last + 1]! += requests;
      leaving[last + 2]! += octets;
    } else {
      leaving.push(host, requests, octets);
    }
  }
}
