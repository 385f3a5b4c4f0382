/** Where the worker's end of the mailbox puts what it reads (requests.ts): workers/mailbox.ts. */
import type { AddressLookupKind } from "../lookup-kinds.js";
import type { AdoptedAnswer, RelayJob, UserCredentials } from "./contract.js";

export interface RequestSink {
  lookup(
    slot: number,
    host: number,
    kind: AddressLookupKind,
    value: string,
    deadlineMs: number,
    client: string,
    tag: string,
  ): void;
  authenticate(
    slot: number,
    host: number,
    credentials: UserCredentials,
    deadlineMs: number,
    client: string,
    tag: string,
  ): void;
  relay(host: number, job: RelayJob): void;
  contentPart(slot: number, bytes: Uint8Array, isLast: boolean): void;
  contentFailed(slot: number, message: string): void;
  cancel(slot: number, code: "DEADLINE_EXCEEDED" | "ABORTED"): void;
  adopt(host: number, adopted: AdoptedAnswer): void;
}
