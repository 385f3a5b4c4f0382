/**
 * The addresses of a host whose place is in SRV records: asked for when the first connection is wanted, and anew when their time is over.
 * While nobody answers, those that were known last go on being used. Owned by endpoints.ts; asks through the world.
 */
import type { EndpointSettings, HostSettings, ServiceSettings } from "../../src/config/settings.js";
import { type Failure, isFailure } from "../../src/errors.js";
import type { HostLog } from "../../src/messages/host-log.js";
import { Timer } from "../../src/timer-wheel.js";
import type { SrvAnswer } from "../wire/dns/srv-message.js";
import type { World } from "../world.js";
import { endpointsOf } from "./srv-endpoints.js";

/** Whatever their TTL says, records are used for so long at least, and at most. */
const LEAST_TTL_MS = 5_000;
const MOST_TTL_MS = 3_600_000;
/** After an answer that failed, while others are known. RFC 8767 5: no sooner than after 30 s. */
const RETRY_MS = 30_000;
/** An answer is waited for no longer, whatever `timeout` says. */
const MOST_WAIT_MS = 10_000;

/** What becomes of an answer. */
export interface ServiceOwner {
  /** The addresses are these now. */
  located(endpoints: readonly EndpointSettings[]): void;
  /** There is none, and none was known. Or it is known now that there is none. */
  unlocated(failure: Failure): void;
  /** Connections stand or open: the records are to be followed. */
  readonly isInUse: boolean;
}

export class ServiceWatch {
  private state: "unknown" | "asking" | "known" | "stale" | "over" = "unknown";
  private hasList = false;
  private failedLast = false;
  private readonly expiry = new Timer(() => this.expired());

  constructor(
    private readonly world: World,
    private readonly service: ServiceSettings,
    private readonly host: HostSettings,
    private readonly log: HostLog,
    private readonly owner: ServiceOwner,
  ) {}

  /** A connection is to be opened. True: it has to wait for an answer, which is on its way now. */
  mustWait(): boolean {
    if (this.state === "unknown" || this.state === "stale") {
      this.ask();
    }
    return this.isAwaited;
  }

  /** Nothing can be opened before an answer has come: old addresses are used only where nobody tells of new ones. */
  get isAwaited(): boolean {
    return this.state === "asking" && (!this.hasList || !(this.failedLast || this.owner.isInUse));
  }

  stop(): void {
    this.state = "over";
    this.world.wheel.clear(this.expiry);
  }

  private ask(): void {
    const { world, host } = this;
    this.state = "asking";
    world.findService(this.service, Math.min(host.timeoutMs, MOST_WAIT_MS), (answer) => this.answered(answer));
  }

  private answered(answer: SrvAnswer | Failure): void {
    if (this.state === "over") {
      return;
    }
    if (isFailure(answer)) {
      this.failed(answer);
      return;
    }
    const places = endpointsOf(answer.records, this.host);
    this.failedLast = false;
    if (isFailure(places)) {
      this.hasList = false;
      this.state = "unknown";
      this.owner.unlocated(places);
      return;
    }
    const { endpoints, left } = places;
    if (left > 0) {
      const message = `${left} SRV records are not used: they name no host, one that is there already, or there are too many.`;
      this.log.write("warn", "srv-left-out", message, { left, used: endpoints.length });
    }
    this.hasList = true;
    this.goodFor(Math.min(MOST_TTL_MS, Math.max(LEAST_TTL_MS, answer.ttlMs)));
    this.owner.located(endpoints);
  }

  private failed(failure: Failure): void {
    if (!this.hasList) {
      this.state = "unknown";
      this.owner.unlocated(failure);
      return;
    }
    const { message, code } = failure;
    if (!this.failedLast) {
      const words = `${message} The addresses that were known last are used meanwhile.`;
      this.log.write("warn", "srv-stale", words, { code, retryInMs: RETRY_MS });
    }
    this.failedLast = true;
    this.goodFor(RETRY_MS);
  }

  private goodFor(ms: number): void {
    this.state = "known";
    this.world.wheel.set(this.expiry, ms);
  }

  /** Where nothing is connected, whoever comes next asks. */
  private expired(): void {
    this.state = "stale";
    if (this.owner.isInUse) {
      this.ask();
    }
  }
}
