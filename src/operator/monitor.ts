/**
 * The operator's model: looks at the counters of all hosts once a second, from the first time that somebody wants to know until the
 * hosts are closed, and keeps what the log says of each. Made by remote-hosts.ts; a request never passes here.
 */
import type { HostSettings } from "../config/settings.js";
import type { Log } from "../runtime/log.js";
import type { ClusterStats, RuntimeStats } from "../stats.js";
import { type Clock, systemClock } from "../timer-wheel.js";
import { withoutAddresses } from "./addresses.js";
import { EventBook } from "./event-book.js";
import type { Diagnosis, HostEvent, HostLines, HostReport, Spark } from "./report.js";
import { type ShownSettings, showSettings } from "./shown-settings.js";
import { type Told, Watch } from "./watch.js";

const EVERY_MS = 1_000;
/** Two looks that are closer than that are one. */
const LEAST_APART_MS = 100;

/** Fewer make no line of an hour. */
const LEAST_MINUTES = 5;

/** Where the model looks. */
export interface MonitorSource {
  stats(): Promise<RuntimeStats>;
  settingsOf(hostId: string): HostSettings | undefined;
}

/** Whether addresses may be shown. Default: no. */
export interface DisplayOptions {
  addresses?: boolean;
}

export class Monitor {
  private readonly book: EventBook;
  private readonly watches = new Map<string, Watch>();
  private readonly viewers = new Set<() => void>();
  private source: MonitorSource | undefined;
  private state: "idle" | "watching" | "stopped" = "idle";
  private looking: Promise<void> | undefined;
  private cluster: ClusterStats | undefined;
  private lookedMs = Number.NEGATIVE_INFINITY;
  private cancel: (() => void) | undefined;

  constructor(
    private readonly clock: Clock = systemClock,
    private readonly now: () => number = Date.now,
  ) {
    this.book = new EventBook(now);
  }

  /** A log that is read here on its way. Workers send warnings even where nobody else reads them. */
  tap(log: Log): Log {
    return {
      get level() {
        return log.level === "silent" || log.level === "error" ? "warn" : log.level;
      },
      setLevel: (level) => log.setLevel(level),
      write: (level, event, hostId, message, fields) => {
        if (hostId !== undefined && hostId !== "") {
          this.book.record(level, event, hostId, message, fields);
        }
        log.write(level, event, hostId, message, fields);
      },
    };
  }

  /** Where to look, once there is something. */
  open(source: MonitorSource): void {
    this.source = source;
  }

  /** Begins to look once a second, if it has not begun already. */
  start(): void {
    if (this.state !== "idle") {
      return;
    }
    this.state = "watching";
    void this.tick();
  }

  stop(): void {
    this.state = "stopped";
    this.cancel?.();
    this.viewers.clear();
  }

  /** Calls back after each look. The result ends that. */
  onLook(viewer: () => void): () => void {
    this.start();
    this.viewers.add(viewer);
    return () => this.viewers.delete(viewer);
  }

  /** What is wrong with a host now; `undefined`: there is no such host. */
  async diagnosis(hostId: string, options: DisplayOptions = {}): Promise<Diagnosis | undefined> {
    return (await this.reports(options)).find(({ id }) => id === hostId)?.diagnosis;
  }

  /** All hosts at a glance, in the order of the configuration. */
  async reports(options: DisplayOptions = {}): Promise<HostReport[]> {
    this.start();
    await this.look();
    return this.lastReports(options);
  }

  /** The same as of the last look. */
  lastReports({ addresses = false }: DisplayOptions = {}): HostReport[] {
    const reports: HostReport[] = [];
    for (const [hostId, watch] of this.watches) {
      const told = this.told(hostId);
      if (told === undefined) {
        continue;
      }
      const report = watch.report(told);
      reports.push(addresses ? report : { ...report, diagnosis: redactedDiagnosis(report.diagnosis) });
    }
    return reports;
  }

  /** The last minute and the last hour of a host; `undefined` before the first look at it. */
  lines(hostId: string): HostLines | undefined {
    const history = this.watches.get(hostId)?.history;
    return history === undefined ? undefined : { seconds: history.seconds.lines(), minutes: history.minutes.lines() };
  }

  /** Hosts that were looked at. */
  get hostIds(): string[] {
    return [...this.watches.keys()];
  }

  /** Requests a second: of the last hour, or of the last minute where less than five minutes are known. */
  spark(hostId: string): Spark {
    const history = this.watches.get(hostId)?.history;
    const minutes = history?.minutes.requests() ?? [];
    const isYoung = minutes.filter((value) => value !== null).length < LEAST_MINUTES;
    return isYoung ? { span: "minute", values: history?.seconds.requests() ?? [] } : { span: "hour", values: minutes };
  }

  /** The configuration in force, without secrets. */
  settings(hostId: string, { addresses = false }: DisplayOptions = {}): ShownSettings {
    const settings = this.source?.settingsOf(hostId);
    return settings === undefined ? [] : showSettings(settings, addresses);
  }

  /** The last events of a host, or of all of them; oldest first. */
  events(hostId?: string, { addresses = false }: DisplayOptions = {}): HostEvent[] {
    const ids = hostId === undefined ? [...this.book.hostIds] : [hostId];
    const events = ids.flatMap((id) => this.book.events(id)).sort((a, b) => a.atMs - b.atMs);
    return addresses ? events : events.map((event) => ({ ...event, message: withoutAddresses(event.message) }));
  }

  /** Looks at the counters now. Several who ask at the same time share one look. */
  private look(): Promise<void> {
    if (this.clock.now() - this.lookedMs < LEAST_APART_MS) {
      return Promise.resolve();
    }
    this.looking ??= this.lookNow().finally(() => {
      this.looking = undefined;
    });
    return this.looking;
  }

  private async lookNow(): Promise<void> {
    const { source } = this;
    if (source === undefined) {
      return;
    }
    const { hosts, cluster } = await source.stats();
    this.cluster = cluster;
    this.lookedMs = this.clock.now();
    const atMs = this.now();
    for (const hostId of this.watches.keys()) {
      if (!(hostId in hosts)) {
        this.watches.delete(hostId);
      }
    }
    this.book.keepOnly(new Set(Object.keys(hosts)));
    for (const [hostId, stats] of Object.entries(hosts)) {
      const watch = this.watches.get(hostId);
      if (watch === undefined) {
        this.watches.set(hostId, new Watch(stats, atMs));
      } else {
        watch.look(stats, atMs);
      }
    }
  }

  private async tick(): Promise<void> {
    const startMs = this.clock.now();
    await this.look();
    if (this.state !== "watching") {
      return;
    }
    for (const viewer of this.viewers) {
      viewer();
    }
    // A look that took long is followed by a pause nevertheless.
    const pauseMs = Math.max(LEAST_APART_MS, EVERY_MS - (this.clock.now() - startMs));
    this.cancel = this.clock.after(pauseMs, () => void this.tick());
  }

  private told(hostId: string): Told | undefined {
    const settings = this.source?.settingsOf(hostId);
    if (settings === undefined) {
      return undefined;
    }
    return { settings, cluster: this.cluster, failure: this.book.failure(hostId), events: this.book.events(hostId) };
  }
}

function redactedDiagnosis(diagnosis: Diagnosis): Diagnosis {
  return { ...diagnosis, what: withoutAddresses(diagnosis.what), why: withoutAddresses(diagnosis.why) };
}
