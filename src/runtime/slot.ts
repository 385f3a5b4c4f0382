/**
 * The record of one request in its mailbox. Records are made once and used again and again: a request costs its promise,
 * and no more. Serves mailbox.ts.
 */
import type { LookupAnswer, RelayResult, RequestKind } from "../api.js";
import type { ErrorCode } from "../errors.js";
import { NO_CLIENT } from "../messages/client.js";
import type { UserCredentials } from "../messages/contract.js";
import type { SharedState } from "../messages/shared-state.js";
import type { Timer } from "../timer-wheel.js";
import type { AnswerCopies } from "./answer-copies.js";
import type { PartedContent } from "./content.js";
import type { TenantLoads, TenantTag } from "./tenant-loads.js";

/** One host's load: what its mailbox holds for it and the host has not answered. */
export class HostLoad {
  /** Requests that are not settled. */
  pending = 0;
  /** Octets of their contents, as far as they were not handed to the worker in parts. */
  octets = 0;
  /** What the tenants have; made when the first request of one comes. */
  tenants: TenantLoads | undefined;
  /** Requests that failed, by the code of their error. */
  readonly failures: Partial<Record<ErrorCode, number>> = {};

  constructor(
    readonly hostId: string,
    /** The host's number in its thread. */
    readonly host: number,
    /** Copies of its cached answers. */
    public copies?: AnswerCopies,
  ) {}

  /** One request failed. */
  failed(code: ErrorCode): void {
    this.failures[code] = (this.failures[code] ?? 0) + 1;
  }

  /** Requests that wait for a connection, and those whose answers are on their way here. */
  waiting(cells: SharedState): number {
    return this.pending - cells.inFlight(this.host);
  }

  /** The octets of their contents. */
  waitingOctets(cells: SharedState): number {
    return this.octets - cells.octetsInFlight(this.host);
  }
}

/**
 * `pending`: the caller waits. `late`: deadline or abort came after the message was sent, and the worker may still report the result.
 * `abandoned`: the caller has its result and the worker has not answered. Until it has, the slot's number stays taken.
 */
export type SlotState = "free" | "pending" | "late" | "abandoned";

type Settlement = LookupAnswer | RelayResult;

const NOBODY = new HostLoad("", 0);
const NO_RECIPIENTS: readonly string[] = [];

export class Slot {
  state: SlotState = "free";
  kind: RequestKind = "rcpt";
  load: HostLoad = NOBODY;
  resolve: (value: Settlement) => void = ignore;
  reject: (reason: unknown) => void = ignore;
  /** The executor of each promise that the slot is taken for: `new Promise(slot.executor)`. A closure of its own for each would be garbage. */
  readonly executor = (resolve: (value: never) => void, reject: (reason: unknown) => void): void => {
    this.resolve = resolve as Slot["resolve"];
    this.reject = reject;
  };
  /** On the wheel's clock; `Infinity` for none. */
  dueMs = Number.POSITIVE_INFINITY;
  /** Made when a request first has a deadline, and kept. */
  timer: Timer | undefined;
  signal: AbortSignal | undefined;
  /** The batch that carries it: while that was not posted, no worker knows of it. */
  batch = 0;
  /** A lookup: what it asks for, so that it can be asked again. */
  value = "";
  credentials: UserCredentials | undefined;
  client = NO_CLIENT;
  /** Whose it is. */
  tag: TenantTag | undefined;
  /** How often it was asked again. */
  resends = 0;
  /** A relay. */
  recipients: readonly string[] = NO_RECIPIENTS;
  octets = 0;
  content: PartedContent | undefined;
  contentError: unknown;

  constructor(readonly index: number) {}

  /**
   * Whether the request may be retried on the next worker after a crash. A lookup may be what crashes the workers, so retries are limited.
   * A login that a connection has started may have sent its credentials, and servers count attempts: only the caller may retry it.
   *
   * @param cells those of the crashed worker
   */
  mayBeResent(cells: SharedState, mostResends: number): boolean {
    if (this.kind === "relay" || this.resends >= mostResends) {
      return false;
    }
    return this.kind !== "auth" || !cells.hasStarted(this.index);
  }

  /** A relay's outcome when nobody knows it; the connection is not known: 0. */
  uncertain(): RelayResult {
    return { recipients: this.recipients.map((address) => ({ address, status: "uncertain" })), connection: 0 };
  }

  /** The caller was told: lets go of everything that belongs to it. */
  forget(): void {
    this.resolve = ignore;
    this.reject = ignore;
    this.signal = undefined;
    this.value = "";
    this.credentials = undefined;
    this.client = NO_CLIENT;
    this.tag = undefined;
    this.octets = 0;
    this.content = undefined;
    this.contentError = undefined;
  }
}

/** The slots of a mailbox: dense numbers, the lowest and most recently used first. */
export class SlotTable {
  private readonly slots: Slot[] = [];
  private readonly unused: Slot[] = [];

  /** Slots that are not free. */
  get taken(): number {
    return this.slots.length - this.unused.length;
  }

  take(): Slot {
    const slot = this.unused.pop();
    if (slot !== undefined) {
      return slot;
    }
    const added = new Slot(this.slots.length);
    this.slots.push(added);
    return added;
  }

  free(slot: Slot): void {
    slot.state = "free";
    slot.recipients = NO_RECIPIENTS;
    this.unused.push(slot);
  }

  at(index: number): Slot {
    return this.slots[index]!;
  }

  /** All that are not free now. */
  occupied(): Slot[] {
    return this.slots.filter((slot) => slot.state !== "free");
  }
}

function ignore(): void {}
