/** The requests of a run and what became of each: made by workload.ts, carried by gateway.ts, judged by verdict.ts. */
import type { RecipientResult, Reply } from "../../src/api.js";
import type { Failure } from "../../src/errors.js";
import type { AddressLookupKind } from "../../src/lookup-kinds.js";
import type { Answer, RelayJob, UserCredentials } from "../../src/messages/contract.js";

export type Outcome =
  | {
      readonly kind: "answered";
      readonly answer: Answer;
      readonly source: "cache" | "remote" | "shared" | "cluster";
      readonly ageMs: number;
    }
  | { readonly kind: "relayed"; readonly recipients: readonly RecipientResult[]; readonly reply: Reply | undefined }
  | { readonly kind: "failed"; readonly failure: Failure };

export type Work =
  | {
      readonly kind: "relay";
      readonly job: Omit<RelayJob, "slot" | "deadlineMs" | "client" | "tag">;
      readonly stream: StreamPlan | undefined;
    }
  | { readonly kind: "lookup"; readonly lookup: AddressLookupKind; readonly value: string; readonly client: string }
  | { readonly kind: "login"; readonly credentials: UserCredentials };

/** A content that comes in parts. */
export interface StreamPlan {
  readonly parts: readonly Uint8Array[];
  /** Fails instead of the part with this number; -1: it does not. */
  readonly failsAt: number;
  /** Never comes further than this part; -1: it does. */
  readonly stallsAt: number;
  readonly mostDelayMs: number;
}

export class SimRequest {
  issuedMs = 0;
  settledMs = 0;
  /** When it came to the worker, and when a message first left its queue there; `Infinity`: never. */
  arrivedMs = Number.POSITIVE_INFINITY;
  begunMs = Number.POSITIVE_INFINITY;
  outcome: Outcome | undefined;
  /** Settled so many times: once is right. */
  settlements = 0;
  /** How many successors of a lost worker it was asked again of. */
  resends = 0;
  slot = -1;
  /** Parts sent, and asked for and not sent. */
  sentParts = 0;
  credits = 0;
  isSending = false;
  stop: () => void = () => {};
  whenSettled: () => void = () => {};

  constructor(
    readonly number: number,
    readonly work: Work,
    /** The caller's whole deadline; `Infinity` for none. */
    readonly timeoutMs: number,
    /** On whose behalf, see src/messages/client.ts. */
    readonly client: string,
    /** Whose it is, see src/messages/tenant.ts. */
    readonly tag: string,
  ) {}

  get isPending(): boolean {
    return this.outcome === undefined;
  }

  get name(): string {
    const { work } = this;
    if (work.kind === "relay") {
      return `relay ${this.number}`;
    }
    return work.kind === "login"
      ? `login ${this.number} (${work.credentials.username})`
      : `${work.lookup} ${this.number} (${work.value})`;
  }
}
