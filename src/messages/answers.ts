/**
 * Answers on their way back from workers/mailbox.ts to src/runtime/mailbox.ts: both ends of one codec.
 * Lookups are read straight into the object that the caller gets.
 */
import type { Certainty, LookupAnswer, MailboxState, RecipientResult, Reply } from "../api.js";
import type { Failure } from "../errors.js";
import type { KeptAnswer } from "./answer-marks.js";
import { type Batch, BatchWriter, toInt32 } from "./batch.js";
import type { Answer } from "./contract.js";
import type { DialOutcome } from "./dial-outcome.js";
import type { HealthNews } from "./health.js";
import type { LogFields, LogLevel, LogRecord } from "./host-log.js";
import type { PlaceDemand } from "./places.js";

/** Kinds of records, and the numbers that follow; strings in brackets. A reply is its code, and what {@link AnswerWriter.reply} says. */
const LOOKUP = 0; // slot, flags, ageMs, values, reply, (mark, version, storedMs, goodForMs) [values…]
const RELAYED = 1; // slot, connection, recipients, reply, (status, reply)…
const FAILED = 2; // slot [JSON]
const WANT = 3; // slot
const RECYCLE = 5; // nothing: the next of the batch's buffers goes back
const LOG = 4; // level [event, host id, message, JSON or nothing]
const CONNECTED = 6; // connection, microseconds [host id, JSON or nothing, TLS version or nothing]
const PLACES_WANTED = 7; // serial, held, want [host id]
const TOKEN_WANTED = 8; // host, refused [host id]
const HEALTH_FOUND = 9; // [host id, JSON]

const SOURCES = ["cache", "remote", "shared"] as const;
const STATUSES = ["delivered", "refused", "deferred", "uncertain"] as const;
const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

const MAILBOX_STATES: readonly MailboxState[] = ["full", "disabled", "too-large", "list"];

const CERTAINTIES: readonly Certainty[] = ["verified", "accepts-all", "unknown"];

/** Flags of a lookup: found, the source, and the mailbox's state counted from 1. */
const FOUND = 1;
const KEPT = 2;
const SOURCE_SHIFT = 2;
const SOURCE_MASK = 3;
const MAILBOX_SHIFT = 4;
const MAILBOX_MASK = 7;
/** The certainty, counted from 1; 0: nobody has asked. */
const CERTAINTY_SHIFT = 7;

/** A reply's first number: its code and where its strings are. 0: there is no reply. */
const SAME_TEXT = 0x10000;
const WITH_ENHANCED = 0x20000;
const CODE_MASK = 0xffff;

/** Where the gateway's end puts what it reads. */
export interface AnswerSink {
  /** @param kept where the answer may be copied: its `storedMs` is as src/messages/answer-marks.ts says times between threads */
  answered(slot: number, answer: LookupAnswer, kept: KeptAnswer | undefined): void;
  /** Whether the slot asked for a recipient (RCPT): a yes to that may mean nothing. */
  isAboutRecipient(slot: number): boolean;
  /** The recipients of the slot's envelope: they do not travel back. */
  recipientsOf(slot: number): readonly string[];
  relayed(slot: number, recipients: RecipientResult[], reply: Reply | undefined, connection: number): void;
  failed(slot: number, failure: Failure): void;
  wantContent(slot: number): void;
  /** The memory of a part that was sent. */
  recycled(buffer: ArrayBuffer): void;
  /** A connection was opened, or failed to be. */
  connected(outcome: DialOutcome): void;
  /** What a host could use of the places that gateways share. */
  placesWanted(hostId: string, demand: PlaceDemand): void;
  /** A worker tells what it found out of its host. */
  healthFound(hostId: string, news: HealthNews): void;
  /** A host's connections want an access token, another one than that with the number `refused`. */
  tokenWanted(host: number, hostId: string, refused: number): void;
  log(...record: LogRecord): void;
}

/** The worker's end. */
export class AnswerWriter extends BatchWriter {
  private enhanced: string | undefined;
  private text: string | undefined;

  answered(slot: number, answer: Answer, source: LookupAnswer["source"], ageMs: number, kept?: KeptAnswer): void {
    this.reserve(10);
    this.number(LOOKUP);
    this.number(slot);
    const sourceNumber = source === "cache" ? 0 : source === "remote" ? 1 : 2;
    const mailbox = answer.mailbox === undefined ? 0 : MAILBOX_STATES.indexOf(answer.mailbox) + 1;
    const certainty = answer.certainty === undefined ? 0 : CERTAINTIES.indexOf(answer.certainty) + 1;
    const marks = (answer.found ? FOUND : 0) | (kept === undefined ? 0 : KEPT) | (mailbox << MAILBOX_SHIFT);
    this.number(marks | (sourceNumber << SOURCE_SHIFT) | (certainty << CERTAINTY_SHIFT));
    this.number(toInt32(ageMs));
    this.number(answer.values.length);
    this.reply(answer.reply);
    if (kept !== undefined) {
      this.number(kept.mark);
      this.number(kept.version);
      this.number(kept.storedMs);
      this.number(toInt32(kept.goodForMs));
    }
    for (const value of answer.values) {
      this.string(value);
    }
  }

  relayed(slot: number, recipients: readonly RecipientResult[], reply: Reply | undefined, connection: number): void {
    this.reserve(5 + 2 * recipients.length);
    this.number(RELAYED);
    this.number(slot);
    this.number(connection);
    this.number(recipients.length);
    this.reply(reply);
    for (const recipient of recipients) {
      this.number(STATUSES.indexOf(recipient.status));
      this.reply(recipient.reply);
    }
  }

  failed(slot: number, failure: Failure): void {
    this.reserve(2);
    this.number(FAILED);
    this.number(slot);
    this.string(JSON.stringify(failure));
  }

  wantContent(slot: number): void {
    this.reserve(2);
    this.number(WANT);
    this.number(slot);
  }

  recycle(buffer: ArrayBuffer): void {
    this.reserve(1);
    this.number(RECYCLE);
    this.buffers.push(buffer);
  }

  connected({ hostId, connection, durationMs, failure, tls }: DialOutcome): void {
    this.reserve(3);
    this.number(CONNECTED);
    this.number(connection);
    this.number(toInt32(durationMs * 1000));
    this.string(hostId);
    this.string(failure === undefined ? "" : JSON.stringify(failure));
    this.string(tls ?? "");
  }

  placesWanted(hostId: string, { serial, held, want }: PlaceDemand): void {
    this.reserve(4);
    this.number(PLACES_WANTED);
    this.number(serial);
    this.number(held);
    this.number(want);
    this.string(hostId);
  }

  healthFound(hostId: string, news: HealthNews): void {
    this.reserve(1);
    this.number(HEALTH_FOUND);
    this.string(hostId);
    this.string(JSON.stringify(news));
  }

  tokenWanted(host: number, hostId: string, refused: number): void {
    this.reserve(3);
    this.number(TOKEN_WANTED);
    this.number(host);
    this.number(refused);
    this.string(hostId);
  }

  log(...[level, event, hostId, message, fields]: LogRecord): void {
    this.reserve(2);
    this.number(LOG);
    this.number(LEVELS.indexOf(level));
    this.string(event);
    this.string(hostId);
    this.string(message);
    this.string(fields === undefined ? "" : encodeFields(fields));
  }

  override flush(post: (batch: Batch, transfer: ArrayBuffer[]) => void): void {
    this.enhanced = undefined;
    this.text = undefined;
    super.flush(post);
  }

  /** Most peers say the same words to everybody: a reply whose strings are those of the one before it sends none. */
  private reply(reply: Reply | undefined): void {
    if (reply === undefined) {
      this.number(0);
      return;
    }
    const { enhanced, text } = reply;
    const bits = reply.code | (enhanced === undefined ? 0 : WITH_ENHANCED);
    if (text === this.text && enhanced === this.enhanced) {
      this.number(bits | SAME_TEXT);
      return;
    }
    this.text = text;
    this.enhanced = enhanced;
    this.number(bits);
    this.string(text);
    if (enhanced !== undefined) {
      this.string(enhanced);
    }
  }
}

/** A record is not worth a worker: fields that JSON cannot say are left out. */
function encodeFields(fields: LogFields): string {
  try {
    return JSON.stringify(fields);
  } catch {
    return "";
  }
}

/** The gateway's end. */
export class AnswerReader {
  private numbers: Int32Array = new Int32Array(0);
  private strings: string[] = [];
  private buffers: ArrayBuffer[] = [];
  private at = 0;
  private stringAt = 0;
  private bufferAt = 0;
  private enhanced = "";
  private text = "";

  constructor(private readonly sink: AnswerSink) {}

  read(batch: Batch): void {
    [this.numbers, this.strings, this.buffers] = batch;
    this.at = 0;
    this.bufferAt = 0;
    this.stringAt = 0;
    const { length } = this.numbers;
    while (this.at < length) {
      this.readRecord();
    }
  }

  private readRecord(): void {
    const kind = this.number();
    switch (kind) {
      case LOOKUP:
        this.readLookup();
        return;
      case RELAYED:
        this.readRelayed();
        return;
      case FAILED:
        this.sink.failed(this.number(), JSON.parse(this.string()) as Failure);
        return;
      case WANT:
        this.sink.wantContent(this.number());
        return;
      case RECYCLE:
        this.sink.recycled(this.buffers[this.bufferAt++]!);
        return;
      case LOG:
        this.readLog();
        return;
      case CONNECTED:
        this.readConnected();
        return;
      case PLACES_WANTED:
        this.readPlacesWanted();
        return;
      case HEALTH_FOUND:
        this.sink.healthFound(this.string(), JSON.parse(this.string()) as HealthNews);
        return;
      case TOKEN_WANTED:
        this.readTokenWanted();
        return;
      default:
        throw new Error(`a batch holds a record of the unknown kind ${kind}`);
    }
  }

  private readLookup(): void {
    const slot = this.number();
    const flags = this.number();
    const ageMs = this.number();
    const valueCount = this.number();
    const reply = this.reply();
    const kept = (flags & KEPT) === 0 ? undefined : this.kept();
    const found = (flags & FOUND) !== 0;
    const source = SOURCES[(flags >> SOURCE_SHIFT) & SOURCE_MASK]!;
    const values = valueCount === 0 ? [] : this.strings.slice(this.stringAt, this.stringAt + valueCount);
    this.stringAt += valueCount;
    const certainty = this.certainty(flags >> CERTAINTY_SHIFT, found, slot);
    const answer: LookupAnswer =
      reply === undefined
        ? { found, values, source, ageMs, certainty }
        : { found, values, source, ageMs, reply, certainty };
    const mailbox = (flags >> MAILBOX_SHIFT) & MAILBOX_MASK;
    if (mailbox > 0) {
      answer.mailbox = MAILBOX_STATES[mailbox - 1]!;
    }
    this.sink.answered(slot, answer, kept);
  }

  private certainty(told: number, found: boolean, slot: number): Certainty {
    if (told > 0) {
      return CERTAINTIES[told - 1]!;
    }
    return found && this.sink.isAboutRecipient(slot) ? "unknown" : "verified";
  }

  private readRelayed(): void {
    const slot = this.number();
    const connection = this.number();
    const count = this.number();
    const reply = this.reply();
    const addresses = this.sink.recipientsOf(slot);
    const recipients: RecipientResult[] = [];
    for (let index = 0; index < count; index++) {
      const address = addresses[index]!;
      const status = STATUSES[this.number()]!;
      const own = this.reply();
      recipients.push(own === undefined ? { address, status } : { address, status, reply: own });
    }
    this.sink.relayed(slot, recipients, reply, connection);
  }

  private readLog(): void {
    const level = LEVELS[this.number()]!;
    const event = this.string();
    const hostId = this.string();
    const message = this.string();
    const fields = this.string();
    this.sink.log(level, event, hostId, message, fields === "" ? {} : (JSON.parse(fields) as Record<string, unknown>));
  }

  private readConnected(): void {
    const connection = this.number();
    const durationMs = this.number() / 1000;
    const hostId = this.string();
    const failure = this.string();
    const tls = this.string();
    this.sink.connected({
      hostId,
      connection,
      durationMs,
      failure: failure === "" ? undefined : (JSON.parse(failure) as Failure),
      tls: tls === "" ? null : tls,
    });
  }

  private readPlacesWanted(): void {
    const [serial, held, want] = [this.number(), this.number(), this.number()];
    this.sink.placesWanted(this.string(), { serial, held, want });
  }

  private readTokenWanted(): void {
    const [host, refused] = [this.number(), this.number()];
    this.sink.tokenWanted(host, this.string(), refused);
  }

  private reply(): Reply | undefined {
    const bits = this.number();
    if (bits === 0) {
      return undefined;
    }
    const code = bits & CODE_MASK;
    const hasEnhanced = (bits & WITH_ENHANCED) !== 0;
    if ((bits & SAME_TEXT) === 0) {
      this.text = this.string();
      if (hasEnhanced) {
        this.enhanced = this.string();
      }
    }
    return hasEnhanced ? { code, enhanced: this.enhanced, text: this.text } : { code, text: this.text };
  }

  private kept(): KeptAnswer {
    return { mark: this.number(), version: this.number(), storedMs: this.number(), goodForMs: this.number() };
  }

  private number(): number {
    return this.numbers[this.at++]!;
  }

  private string(): string {
    return this.strings[this.stringAt++]!;
  }
}
