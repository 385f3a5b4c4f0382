/**
 * A host actor and what it works against, as the worker's end of the mailbox knows them: requests in, answers out.
 * Slots number the requests of one thread; whoever takes a slot answers it exactly once through {@link GatewayPort}.
 */
import type { RecipientResult, Reply } from "../api.js";
import type { HostSettings } from "../config/settings.js";
import type { Failure } from "../errors.js";
import type { AddressLookupKind } from "../lookup-kinds.js";
import type { HostStats } from "../stats.js";
import type { KeptAnswer } from "./answer-marks.js";
import type { AdoptedAnswer, Answer, RelayJob, UserCredentials } from "./contract.js";
import type { DialOutcome } from "./dial-outcome.js";
import type { HealthHint, HealthNews } from "./health.js";
import type { LogRecord } from "./host-log.js";
import type { ConnectionSight, HostOrder, TraceOrder, TracePart } from "./operating.js";
import type { PlaceDemand, PlaceGrant, SharedThing } from "./places.js";
import type { TokenGrant } from "./tokens.js";

/** How the actor answers. Each slot gets exactly one of `answered`, `relayed` and `failed`. */
export interface GatewayPort {
  /** @param kept where the answer stands in the cache: the gateway's thread may copy it */
  answered(slot: number, answer: Answer, source: "cache" | "remote" | "shared", ageMs: number, kept?: KeptAnswer): void;
  relayed(slot: number, recipients: readonly RecipientResult[], reply: Reply | undefined, connection: number): void;
  /** For a relay: certainly delivered to nobody. */
  failed(slot: number, failure: Failure): void;
  /** Asks the gateway's thread for one more part of a streamed content. Legal only before the slot is answered. */
  wantContent(slot: number): void;
  /** Gives the memory of a content part back, so that the next part need not allocate it. The caller may not touch it again. */
  recycle(buffer: ArrayBuffer): void;
  /** A connection was opened, or failed to be: for `relaypost:connect`. */
  connected(outcome: DialOutcome): void;
  /** What the host could use of what gateways share. */
  placesWanted(leaseId: string, demand: PlaceDemand): void;
  /** What the host's worker found out that other gateways may be told, or what it wants of them. */
  healthFound(hostId: string, news: HealthNews): void;
  /** A connection needs an access token, and another one than that with the number `refused`. Answered with `HostActor.giveToken`. */
  tokenWanted(host: number, hostId: string, refused: number): void;
  log(...record: LogRecord): void;
}

/**
 * How far a relay has come, and whether a login has started (`queued` and `envelope` only). The worker advances the phase with
 * compare-and-swap. The main thread may withdraw a relay until its terminator is handed to the socket. The first swap wins.
 */
export interface RelayPhases {
  /** queued → envelope; false: withdrawn, do not send. */
  toEnvelope(slot: number): boolean;
  /** envelope → content; false: withdrawn. */
  toContent(slot: number): boolean;
  /** content → terminator, immediately before the terminator is handed to the socket; false: withdrawn, do not send. */
  toTerminator(slot: number): boolean;
  /** terminator → replied, when the final reply (LMTP: the last of them) was read. */
  toReplied(slot: number): void;
  /** envelope → queued, before an automatic retry; false: withdrawn. */
  toQueued(slot: number): boolean;
  /** Tells the gateway's thread how many of the host's requests no longer wait (`limits.queue` counts those that do). */
  countInFlight(host: number, delta: number): void;
}

/** One remote host in its worker: the worker's mailbox calls it with each request. */
export interface HostActor {
  /**
   * @param client on whose behalf, see client.ts
   * @param tag whose it is, see tenant.ts
   */
  lookup(slot: number, kind: AddressLookupKind, value: string, deadlineMs: number, client: string, tag?: string): void;
  authenticate(slot: number, credentials: UserCredentials, deadlineMs: number, client: string, tag?: string): void;
  relay(job: RelayJob): void;
  /** One more part of a streamed content. The bytes are the actor's own. `last`: nothing follows (the part may be empty). */
  contentPart(slot: number, bytes: Uint8Array, last: boolean): void;
  /** The content stream threw: no terminator goes out, the relay fails with CONTENT_FAILED. */
  contentFailed(slot: number, message: string): void;
  /**
   * Deadline or abort. Before the terminator the slot is failed with `code`, nothing was delivered; after it the slot is
   * answered with `uncertain` for every recipient whose reply has not come, and the late verdict is logged.
   * Unknown slots (already answered) are ignored.
   */
  cancel(slot: number, code: "DEADLINE_EXCEEDED" | "ABORTED"): void;
  /** Drops cached answers; resolves to how many. */
  forget(filter: { recipient?: string; username?: string }): number;
  /** What the host may take of what gateways share. It answers with {@link GatewayPort.placesWanted}. */
  grantPlaces(of: SharedThing, grant: PlaceGrant): void;
  stats(): HostStats;
  /** Keeps an answer that another gateway was given. */
  adopt?(adopted: AdoptedAnswer): void;
  // An actor that stands in for the real one need not know these; most are what an operator asks.
  /** The access token that connections log in by, or why there is none. Asked for with {@link GatewayPort.tokenWanted}. */
  giveToken?(grant: TokenGrant): void;
  /** What other gateways say of the host. */
  hint?(hint: HealthHint): void;
  operate?(order: HostOrder): void;
  connections?(): ConnectionSight[];
  startTrace?(order: TraceOrder): void;
  fetchTrace?(): TracePart;
  /** New settings: connections opened from now on use them; the open ones finish their work and close. */
  reconfigure(settings: HostSettings): void;
  /** Finishes work in hand for at most `drainMs`, QUITs, then settles the rest (MAILBOX_CLOSED, or uncertain). Resolves when no socket is left. */
  close(drainMs: number): Promise<void>;
}
