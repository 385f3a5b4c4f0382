/**
 * Whether a host can be used, for people: tells the log once that it went down, that it is back and that it is slow, and keeps what
 * `stats()` says of it. Told by the pool; decides nothing.
 */
import type { Failure } from "../../src/errors.js";
import type { HostLog } from "../../src/messages/host-log.js";
import type { HostStats, LastFailure } from "../../src/stats.js";
import type { SessionPurpose } from "../wire/smtp/channel.js";
import type { World } from "../world.js";
import type { Silence } from "./silence.js";
import { UsualTimes } from "./usual-times.js";
import type { Workload } from "./workload.js";

export class HostHealth {
  /** Whose connections could not be made when it was tried last. */
  private readonly down = new Map<SessionPurpose, Workload>();
  private changedMs: number;
  private lastFailure: (Omit<LastFailure, "at" | "since"> & { atMs: number; sinceMs: number }) | undefined;
  /** Requests since it went down: refused at once, and left to wait. */
  private refused = 0;
  private waited = 0;
  private readonly usual: UsualTimes;

  constructor(
    private readonly world: World,
    private readonly log: HostLog,
    private readonly silence: Silence,
  ) {
    this.changedMs = world.clock.now();
    this.usual = new UsualTimes(log);
  }

  /** A connection could not be made, or the host fell silent. */
  failed(load: Workload, failure: Failure): void {
    this.keep(failure);
    if (load.circuitState !== "open" || this.down.has(load.purpose)) {
      return;
    }
    const wasTold = this.isAnyLeftAlone;
    this.down.set(load.purpose, load);
    if (wasTold) {
      return;
    }
    const { code, message, reply } = failure;
    this.changedMs = this.now;
    this.refused = 0;
    this.waited = 0;
    const fields = { code, reply, since: this.since, retryInMs: Math.round(load.retryInMs), purpose: load.purpose };
    this.log.write("warn", "host-down", `The host is down, requests are refused at once: ${message}`, fields);
  }

  /** A connection of this purpose stands, or was heard again. */
  reached(purpose: SessionPurpose): void {
    if (!this.down.delete(purpose) || this.isAnyLeftAlone) {
      return;
    }
    this.down.clear();
    const afterMs = Math.round(this.now - this.changedMs);
    const { refused, waited } = this;
    this.changedMs = this.now;
    this.lastFailure = undefined;
    this.log.write("info", "host-up", "The host is back.", { afterMs, refused, waited });
  }

  /** Other settings: what was known speaks of another host. */
  forget(): void {
    if (this.down.size > 0) {
      this.changedMs = this.now;
    }
    this.down.clear();
    this.lastFailure = undefined;
  }

  /** A request came while the host is down. */
  asked(isRefused: boolean): void {
    if (this.down.size === 0) {
      return;
    }
    if (isRefused) {
      this.refused++;
    } else {
      this.waited++;
    }
  }

  /** A request was with the host for so long, or a connection took so long to be made. */
  took(kind: keyof HostStats["durations"], ms: number): void {
    this.usual.observe(kind, ms);
  }

  /** What `stats()` says of it; `main` is what most requests of this host need. */
  condition(
    main: Workload,
    oldestMs: number,
  ): Pick<HostStats, "state" | "since" | "retryAt" | "lastFailure" | "oldestQueuedMs"> {
    const { lastFailure } = this;
    const state = conditionOf(main, this.silence.isHung);
    return {
      state,
      since: this.since,
      ...(state === "up" ? {} : { retryAt: Math.round(this.world.date() + main.retryInMs) }),
      ...(lastFailure === undefined ? {} : { lastFailure: this.dated(lastFailure) }),
      oldestQueuedMs: Math.max(0, Math.round(this.now - Math.min(this.now, oldestMs))),
    };
  }

  /** One whose circuit may be tried is not known to be down: maybe nobody has asked for it since. */
  private get isAnyLeftAlone(): boolean {
    return [...this.down.values()].some(({ circuitState }) => circuitState === "open");
  }

  private keep({ code, message, reply }: Failure): void {
    const { lastFailure, now } = this;
    const isSame = lastFailure?.code === code;
    this.lastFailure = {
      code,
      message,
      ...(reply === undefined ? {} : { reply }),
      atMs: now,
      sinceMs: isSame ? lastFailure.sinceMs : now,
      count: isSame ? lastFailure.count + 1 : 1,
    };
  }

  private dated({ atMs, sinceMs, ...failure }: NonNullable<HostHealth["lastFailure"]>): LastFailure {
    return { ...failure, at: this.dateOf(atMs), since: this.dateOf(sinceMs) };
  }

  private get since(): number {
    return this.dateOf(this.changedMs);
  }

  private dateOf(ms: number): number {
    return Math.round(this.world.date() - (this.now - ms));
  }

  private get now(): number {
    return this.world.clock.now();
  }
}

function conditionOf(main: Workload, isHung: boolean): "up" | "down" | "recovering" {
  if (isHung || main.circuitState === "open") {
    return "down";
  }
  return main.circuitState === "closed" ? "up" : "recovering";
}
