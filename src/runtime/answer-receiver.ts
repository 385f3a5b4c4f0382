/** Takes in what a worker answers: settles the promises of the slots concerned, and passes on what is for others. Serves mailbox.ts. */
import type { LookupAnswer, RecipientResult, Reply } from "../api.js";
import { type Failure, RelaypostError } from "../errors.js";
import type { KeptAnswer } from "../messages/answer-marks.js";
import type { AnswerSink } from "../messages/answers.js";
import type { DialOutcome } from "../messages/dial-outcome.js";
import type { HealthNews } from "../messages/health.js";
import type { LogRecord } from "../messages/host-log.js";
import type { PlaceDemand } from "../messages/places.js";
import type { SharedState } from "../messages/shared-state.js";
import type { WriteLog } from "./log.js";
import type { PartSender } from "./part-sender.js";
import type { Slot, SlotTable } from "./slot.js";
import { traceConnection } from "./tracing.js";

/** What the mailbox does with a slot that is answered. */
export interface AnsweredSlots {
  /** Lets go of everything that belongs to the caller, who is told next. */
  settle(slot: Slot): void;
  /** The worker is done with it. */
  release(slot: Slot): void;
  readonly cells: SharedState;
}

/** Hears what a worker wants of others than its callers. */
export interface WorkerWishes {
  /** What a host could use of the places that gateways share. */
  places(hostId: string, demand: PlaceDemand): void;
  /** See `GatewayPort.healthFound`. */
  health(hostId: string, news: HealthNews): void;
  /** An access token for a host's account, see `GatewayPort.tokenWanted`. */
  token(host: number, hostId: string, refused: number): void;
}

export class AnswerReceiver implements AnswerSink {
  constructor(
    private readonly slots: SlotTable,
    private readonly owner: AnsweredSlots,
    private readonly parts: PartSender,
    private readonly writeLog: WriteLog,
    private readonly wishes: WorkerWishes,
  ) {}

  answered(index: number, answer: LookupAnswer, kept: KeptAnswer | undefined): void {
    const slot = this.slots.at(index);
    if (kept !== undefined && slot.state === "pending") {
      slot.load.copies?.put(slot, answer, kept, this.owner.cells.marks);
    }
    if (slot.state === "pending") {
      const { resolve } = slot;
      this.owner.settle(slot);
      resolve(answer);
    }
    this.owner.release(slot);
  }

  isAboutRecipient(index: number): boolean {
    return this.slots.at(index).kind === "rcpt";
  }

  recipientsOf(index: number): readonly string[] {
    return this.slots.at(index).recipients;
  }

  relayed(index: number, recipients: RecipientResult[], reply: Reply | undefined, connection: number): void {
    const slot = this.slots.at(index);
    if (slot.state !== "abandoned") {
      const { resolve } = slot;
      this.owner.settle(slot);
      resolve(reply === undefined ? { recipients, connection } : { recipients, reply, connection });
    }
    this.owner.release(slot);
  }

  failed(index: number, failure: Failure): void {
    const slot = this.slots.at(index);
    if (slot.state !== "abandoned") {
      const { reject, contentError } = slot;
      const error =
        failure.code === "CONTENT_FAILED" && contentError !== undefined
          ? new RelaypostError(failure.code, failure.message, { hostId: slot.load.hostId, cause: contentError })
          : RelaypostError.from({ hostId: slot.load.hostId, ...failure });
      slot.load.failed(failure.code);
      this.owner.settle(slot);
      reject(error);
    }
    this.owner.release(slot);
  }

  wantContent(index: number): void {
    this.slots.at(index).content?.credit();
  }

  recycled(buffer: ArrayBuffer): void {
    this.parts.recycled(buffer);
  }

  connected(outcome: DialOutcome): void {
    traceConnection(outcome);
  }

  placesWanted(hostId: string, demand: PlaceDemand): void {
    this.wishes.places(hostId, demand);
  }

  healthFound(hostId: string, news: HealthNews): void {
    this.wishes.health(hostId, news);
  }

  tokenWanted(host: number, hostId: string, refused: number): void {
    this.wishes.token(host, hostId, refused);
  }

  log(...record: LogRecord): void {
    this.writeLog(...record);
  }
}
