/**
 * Requests on their way from src/runtime/mailbox.ts to workers/mailbox.ts: both ends of one codec, side by side,
 * so that a layout is changed in one place.
 */
import { ADDRESS_LOOKUP_KINDS, type AddressLookupKind, LOOKUPS } from "../lookup-kinds.js";
import { type Batch, BatchWriter, NONE, toInt32 } from "./batch.js";
import { NO_CLIENT } from "./client.js";
import type { AdoptedAnswer, RecipientDsn, RelayJob, UserCredentials } from "./contract.js";
import type { RequestSink } from "./request-sink.js";
import { NO_TAG } from "./tenant.js";

/** Contents up to this size travel inside the batch; larger ones in parts of at most this size. */
export const PART_OCTETS = 256 * 1024;

/** Kinds of records, and the numbers that follow; strings in brackets. */
/** Lookups by address have the numbers of their kinds: slot, host, timeoutMs [value] */
const AUTH = LOOKUPS.auth.record; // slot, host, timeoutMs, isToken [username, secret]
const RELAY = 16; // slot, host, timeoutMs, flags, size high, size low, recipients, buffer, offset, octets [from, recipients…, envid, (notify, orcpt)…]
const PART = 17; // slot, isLast, buffer, octets
const CONTENT_FAILED = 18; // slot [message]
const CANCEL = 19; // slot, isAbort
const PROBE = 20; // nothing: asks for a heartbeat
const ADOPT = 22; // host [JSON]: an answer that another gateway was given
const TENANT = 23; // nothing [tag]: whose the next request is
const CLIENT = 21; // nothing [client]: on whose behalf the next request is made

const KIND_OF_RECORD: readonly (AddressLookupKind | undefined)[] = Array.from({ length: RELAY }, (_, record) =>
  ADDRESS_LOOKUP_KINDS.find((kind) => LOOKUPS[kind].record === record),
);
const BODIES = [null, "7bit", "8bitmime", "binarymime"] as const;
const RETS = [null, "FULL", "HDRS"] as const;
const SMTPUTF8 = ["unused", "if-offered", "required"] as const;

const REQUIRE_TLS = 1;
const WITH_DSN = 2;
const BODY_SHIFT = 2;
const RET_SHIFT = 4;
const SMTPUTF8_SHIFT = 6;

const UINT32 = 0x100000000;
/** The first arena of a batch; the next ones grow, up to the size of a part. */
const SMALLEST_ARENA_OCTETS = 16 * 1024;

/** What a relay says beside its content. */
export type RelayHead = Omit<RelayJob, "slot" | "deadlineMs" | "client" | "tag" | "content">;

/** The gateway's end. Times are given as what is left of them, since each thread's clock starts with it. */
export class RequestWriter extends BatchWriter {
  private arena: Buffer | undefined;
  private arenaUsed = 0;
  /** Octets of content in this batch. */
  private contentOctets = 0;
  private previousOctets = 0;

  /** Whose the request is that is written next; not called where it is nobody's. */
  tag(tag: string): void {
    this.reserve(1);
    this.number(TENANT);
    this.string(tag);
  }

  /** On whose behalf the request that is written next is made; not called where nobody is known. */
  client(client: string): void {
    this.reserve(1);
    this.number(CLIENT);
    this.string(client);
  }

  lookup(slot: number, host: number, kind: AddressLookupKind, value: string, timeoutMs: number): void {
    this.reserve(4);
    this.number(LOOKUPS[kind].record);
    this.number(slot);
    this.number(host);
    this.number(toInt32(timeoutMs));
    this.string(value);
  }

  authenticate(slot: number, host: number, credentials: UserCredentials, timeoutMs: number): void {
    this.reserve(5);
    this.number(AUTH);
    this.number(slot);
    this.number(host);
    this.number(toInt32(timeoutMs));
    this.number(credentials.isToken ? 1 : 0);
    this.string(credentials.username);
    this.string(credentials.secret);
  }

  /**
   * @param content copied before this returns; null when it travels in parts
   * @param octets its length in UTF-8
   */
  relay(
    slot: number,
    host: number,
    head: RelayHead,
    content: string | Uint8Array | null,
    octets: number,
    timeoutMs: number,
  ): void {
    const { recipients, dsn } = head;
    this.reserve(11);
    this.number(RELAY);
    this.number(slot);
    this.number(host);
    this.number(toInt32(timeoutMs));
    this.number(encodeFlags(head));
    this.number(Math.floor(head.sizeOctets / UINT32));
    this.number(head.sizeOctets);
    this.number(recipients.length);
    if (content === null) {
      this.number(NONE);
      this.number(0);
      this.number(0);
    } else {
      const offset = this.copy(content, octets);
      this.number(this.buffers.length - 1);
      this.number(offset);
      this.number(octets);
    }
    this.string(head.from);
    for (const recipient of recipients) {
      this.string(recipient);
    }
    this.string(head.envid ?? "");
    if (dsn === null) {
      return;
    }
    for (const { notify, orcpt } of dsn) {
      this.string(notify ?? "");
      this.string(orcpt ?? "");
    }
  }

  /** @param buffer given away: it is transferred */
  contentPart(slot: number, buffer: ArrayBuffer, octets: number, isLast: boolean): void {
    this.reserve(5);
    this.number(PART);
    this.number(slot);
    this.number(isLast ? 1 : 0);
    this.number(this.buffers.length);
    this.number(octets);
    this.buffers.push(buffer);
    this.arena = undefined;
  }

  contentFailed(slot: number, message: string): void {
    this.reserve(2);
    this.number(CONTENT_FAILED);
    this.number(slot);
    this.string(message);
  }

  cancel(slot: number, code: "DEADLINE_EXCEEDED" | "ABORTED"): void {
    this.reserve(3);
    this.number(CANCEL);
    this.number(slot);
    this.number(code === "ABORTED" ? 1 : 0);
  }

  adopt(host: number, adopted: AdoptedAnswer): void {
    this.reserve(2);
    this.number(ADOPT);
    this.number(host);
    this.string(JSON.stringify(adopted));
  }

  probe(): void {
    this.reserve(1);
    this.number(PROBE);
  }

  override flush(post: (batch: Batch, transfer: ArrayBuffer[]) => void): void {
    this.arena = undefined;
    this.previousOctets = this.contentOctets;
    this.contentOctets = 0;
    super.flush(post);
  }

  override clear(): void {
    this.arena = undefined;
    super.clear();
  }

  /** Contents of a batch stand end to end. The arena's size follows that of the batches; its memory is not cleared first. */
  private copy(content: string | Uint8Array, octets: number): number {
    let { arena } = this;
    if (arena === undefined || arena.length - this.arenaUsed < octets) {
      const expected = Math.max(this.previousOctets, this.contentOctets, SMALLEST_ARENA_OCTETS);
      arena = Buffer.allocUnsafeSlow(Math.max(octets, Math.min(expected, PART_OCTETS)));
      this.arena = arena;
      this.arenaUsed = 0;
      this.buffers.push(arena.buffer as ArrayBuffer);
    }
    const offset = this.arenaUsed;
    if (typeof content === "string") {
      arena.write(content, offset, octets, "utf8");
    } else {
      arena.set(content, offset);
    }
    this.arenaUsed += octets;
    this.contentOctets += octets;
    return offset;
  }
}

function encodeFlags(head: RelayHead): number {
  return (
    (head.requireTls ? REQUIRE_TLS : 0) |
    (head.dsn === null ? 0 : WITH_DSN) |
    (BODIES.indexOf(head.body) << BODY_SHIFT) |
    (head.ret === null ? 0 : (head.ret === "FULL" ? 1 : 2) << RET_SHIFT) |
    (SMTPUTF8.indexOf(head.smtputf8) << SMTPUTF8_SHIFT)
  );
}

/** The worker's end: reads a batch to its end and calls the sink with each record, in the order in which they were written. */
export class RequestReader {
  private numbers: Int32Array = new Int32Array(0);
  private strings: string[] = [];
  private buffers: ArrayBuffer[] = [];
  private at = 0;
  private stringAt = 0;
  private nowMs = 0;
  /** Of the request that comes next. */
  private client = NO_CLIENT;
  private tag = NO_TAG;

  constructor(private readonly sink: RequestSink) {}

  /** @param nowMs on the worker's clock */
  read(batch: Batch, nowMs: number): void {
    [this.numbers, this.strings, this.buffers] = batch;
    this.at = 0;
    this.stringAt = 0;
    this.nowMs = nowMs;
    const { length } = this.numbers;
    while (this.at < length) {
      this.readRecord();
    }
  }

  private readRecord(): void {
    const { sink } = this;
    const record = this.number();
    const kind = KIND_OF_RECORD[record];
    if (kind !== undefined) {
      sink.lookup(
        this.number(),
        this.number(),
        kind,
        this.string(),
        this.deadline(),
        this.takeClient(),
        this.takeTag(),
      );
      return;
    }
    switch (record) {
      case AUTH:
        this.readAuthenticate();
        return;
      case RELAY:
        this.readRelay();
        return;
      case PART:
        this.readPart();
        return;
      case CONTENT_FAILED:
        sink.contentFailed(this.number(), this.string());
        return;
      case CANCEL:
        sink.cancel(this.number(), this.number() === 1 ? "ABORTED" : "DEADLINE_EXCEEDED");
        return;
      case PROBE:
        return;
      case ADOPT:
        sink.adopt(this.number(), JSON.parse(this.string()) as AdoptedAnswer);
        return;
      case TENANT:
        this.tag = this.string();
        return;
      case CLIENT:
        this.client = this.string();
        return;
      default:
        throw new Error(`a batch holds a record of the unknown kind ${record}`);
    }
  }

  private readAuthenticate(): void {
    const slot = this.number();
    const host = this.number();
    const deadlineMs = this.deadline();
    const isToken = this.number() === 1;
    const credentials = { username: this.string(), secret: this.string(), isToken };
    this.sink.authenticate(slot, host, credentials, deadlineMs, this.takeClient(), this.takeTag());
  }

  private takeClient(): string {
    const { client } = this;
    this.client = NO_CLIENT;
    return client;
  }

  private takeTag(): string {
    const { tag } = this;
    this.tag = NO_TAG;
    return tag;
  }

  private readRelay(): void {
    const slot = this.number();
    const host = this.number();
    const deadlineMs = this.deadline();
    const flags = this.number();
    const sizeHigh = this.number();
    const sizeOctets = sizeHigh * UINT32 + (this.number() >>> 0);
    const recipientCount = this.number();
    const content = this.content();
    const from = this.string();
    const recipients = this.strings.slice(this.stringAt, this.stringAt + recipientCount);
    this.stringAt += recipientCount;
    this.sink.relay(host, {
      slot,
      deadlineMs,
      from,
      recipients,
      sizeOctets,
      smtputf8: SMTPUTF8[(flags >> SMTPUTF8_SHIFT) & 3]!,
      body: BODIES[(flags >> BODY_SHIFT) & 3]!,
      requireTls: (flags & REQUIRE_TLS) !== 0,
      ret: RETS[(flags >> RET_SHIFT) & 3]!,
      envid: this.stringOrNull(),
      dsn: (flags & WITH_DSN) === 0 ? null : this.readDsn(recipientCount),
      client: this.takeClient(),
      tag: this.takeTag(),
      content,
    });
  }

  private readDsn(count: number): RecipientDsn[] {
    const dsn: RecipientDsn[] = [];
    for (let index = 0; index < count; index++) {
      dsn.push({ notify: this.stringOrNull(), orcpt: this.stringOrNull() });
    }
    return dsn;
  }

  private content(): Uint8Array | null {
    const buffer = this.number();
    const offset = this.number();
    const octets = this.number();
    return buffer === NONE ? null : new Uint8Array(this.buffers[buffer]!, offset, octets);
  }

  private readPart(): void {
    const slot = this.number();
    const isLast = this.number() === 1;
    const buffer = this.buffers[this.number()]!;
    this.sink.contentPart(slot, new Uint8Array(buffer, 0, this.number()), isLast);
  }

  private deadline(): number {
    const timeoutMs = this.number();
    return timeoutMs === NONE ? Number.POSITIVE_INFINITY : this.nowMs + timeoutMs;
  }

  private number(): number {
    return this.numbers[this.at++]!;
  }

  private string(): string {
    return this.strings[this.stringAt++]!;
  }

  private stringOrNull(): string | null {
    const value = this.string();
    return value === "" ? null : value;
  }
}
