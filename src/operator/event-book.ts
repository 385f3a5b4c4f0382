/**
 * The last events of each host and what its connections failed of, in the host's own words. Written by the log's records on their way
 * (monitor.ts), read by the diagnosis and by whoever shows it.
 */
import type { ErrorCode } from "../errors.js";
import type { LogFields, LogRecord } from "../messages/host-log.js";
import { bounded } from "./addresses.js";
import type { HostEvent, HostFailure } from "./report.js";

const MOST_EVENTS = 100;
/** Failures of one code that are further apart are two stories. */
const SAME_STORY_MS = 300_000;
/** What of a record's fields is kept: nothing that a person typed or a host said. */
const KEPT_FIELDS = [
  "code",
  "connection",
  "reason",
  "retryInMs",
  "state",
  "by",
  "verb",
  "leftOut",
  "forMs",
  "level",
  "requests",
  "count",
];

interface Page {
  /** A ring: the oldest is overwritten. */
  readonly events: HostEvent[];
  next: number;
  failure: HostFailure | undefined;
}

/** All hosts' events. */
export class EventBook {
  private readonly pages = new Map<string, Page>();

  constructor(private readonly now: () => number = Date.now) {}

  /** Takes a record of the log that concerns a host. */
  record(...[level, event, hostId, message, fields = {}]: LogRecord): void {
    let page = this.pages.get(hostId);
    if (page === undefined) {
      page = { events: [], next: 0, failure: undefined };
      this.pages.set(hostId, page);
    }
    const kept = Object.fromEntries(KEPT_FIELDS.filter((key) => key in fields).map((key) => [key, fields[key]]));
    page.events[page.next] = { atMs: this.now(), hostId, level, event, message: bounded(message), fields: kept };
    page.next = (page.next + 1) % MOST_EVENTS;
    if (event === "connect-failed") {
      page.failure = this.failureOf(page.failure, message, fields);
    }
  }

  get hostIds(): Iterable<string> {
    return this.pages.keys();
  }

  /** Oldest first. */
  events(hostId: string): HostEvent[] {
    const page = this.pages.get(hostId);
    if (page === undefined) {
      return [];
    }
    return [...page.events.slice(page.next), ...page.events.slice(0, page.next)];
  }

  /** What the last connection failed of. */
  failure(hostId: string): HostFailure | undefined {
    return this.pages.get(hostId)?.failure;
  }

  /** Hosts that were removed are remembered no longer. */
  keepOnly(hostIds: ReadonlySet<string>): void {
    for (const hostId of this.pages.keys()) {
      if (!hostIds.has(hostId)) {
        this.pages.delete(hostId);
      }
    }
  }

  private failureOf(last: HostFailure | undefined, message: string, fields: LogFields): HostFailure {
    const atMs = this.now();
    const code = fields.code as ErrorCode;
    const { reply, cause } = fields as Pick<HostFailure, "reply" | "cause">;
    const isSame = last !== undefined && last.code === code && atMs - last.atMs < SAME_STORY_MS;
    return {
      code,
      message: bounded(message),
      ...(cause === undefined ? {} : { cause: bounded(cause) }),
      ...(reply === undefined ? {} : { reply: { ...reply, text: bounded(reply.text) } }),
      standing: typeof fields.standing === "number" ? fields.standing : 0,
      sinceMs: isSame ? last.sinceMs : atMs,
      atMs,
      count: isSame ? last.count + 1 : 1,
    };
  }
}
