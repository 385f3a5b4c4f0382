/**
 * All worker threads together: which host lives on which, their start, reload, counters and end.
 * Called by remote-hosts.ts; each thread's own life is its supervisor's.
 */
import { isDeepStrictEqual } from "node:util";
import type { ReloadReport } from "../api.js";
import type { HostSettings, Settings } from "../config/settings.js";
import { RelaypostError } from "../errors.js";
import type { LogLevel } from "../messages/host-log.js";
import { newHostStats } from "../messages/host-stats.js";
import { MAX_HOSTS } from "../messages/shared-state.js";
import type { HostStats, RuntimeStats } from "../stats.js";
import { type Clock, systemClock, TimerWheel } from "../timer-wheel.js";
import { AnswerCopies } from "./answer-copies.js";
import { ClusterPort } from "./cluster-port.js";
import { heapLimits } from "./heap-limits.js";
import { IdleThreads } from "./idle-threads.js";
import type { Log } from "./log.js";
import { type Placement, type Route, Router } from "./router.js";
import { Shadow, type ShadowContext } from "./shadow.js";
import { HostLoad } from "./slot.js";
import { Supervisor } from "./supervisor.js";
import type { SupervisorContext } from "./supervisor-context.js";
import { TokenPort } from "./token-port.js";

/** Finer than a worker's: a deadline is settled within 250 ms of its due time, grace included. */
const TICK_MS = 20;
/** How long a host that a reload removed, or moved, may go on with what it has. */
const RELOAD_DRAIN_MS = 60_000;

/** What {@link Fleet.open} takes beside the settings. */
export interface FleetOptions {
  readonly log: Log;
  /** Whether the threads keep the process alive. */
  readonly keepsAlive: boolean;
  /** Aborting it ends an `open()` that has not finished. */
  readonly signal?: AbortSignal;
  /** The module that the threads run. */
  readonly entry: URL;
}

export class Fleet {
  readonly router = new Router(
    (host, former) => Shadow.of(host, this.shadows, former),
    (host, former) => this.cluster.lookupsOf(host, former),
  );
  private readonly supervisors = new Set<Supervisor>();
  /** Where hosts that were removed finish what they have, by their ids. */
  private readonly draining = new Map<string, Placement>();
  private readonly context: SupervisorContext;
  private readonly cluster: ClusterPort;
  private readonly shadows: ShadowContext;
  private readonly tokens: TokenPort;
  private readonly idleThreads: IdleThreads | undefined;

  private isClosed = false;

  private constructor(
    private settings: Settings,
    options: FleetOptions,
  ) {
    const { log, keepsAlive, entry } = options;
    this.cluster = new ClusterPort(
      log,
      (id) => this.router.find(id)?.placement ?? this.draining.get(id),
      (id, drop) => {
        const shared = this.router.find(id)?.shared;
        void (shared === undefined ? drop() : shared.dropping(drop));
      },
    );
    this.tokens = new TokenPort(systemClock, log);
    this.context = {
      entry,
      runtime: settings.runtime,
      heap: heapLimits(settings),
      log,
      wheel: new TimerWheel(systemClock, TICK_MS),
      clock: keepsAlive ? holdingClock : systemClock,
      random: Math.random,
      keepsAlive,
      places: this.cluster,
      tokens: this.tokens,
    };
    const { idleMs } = settings.runtime;
    const placements = (): Placement[] => this.router.open().map(({ placement }) => placement);
    this.idleThreads = idleMs === undefined ? undefined : new IdleThreads(this.context.wheel, idleMs, placements);
    this.shadows = { clock: systemClock, random: Math.random, log: log.write, find: (id) => this.router.find(id) };
  }

  /** Gives each host a thread, up to `runtime.threads`. Where `runtime.start` is `eager`, all are started, at the same time. */
  static async open(settings: Settings, options: FleetOptions): Promise<Fleet> {
    const { signal } = options;
    const fleet = new Fleet(settings, options);
    let abortion: Promise<void> | undefined;
    const abort = (): void => {
      abortion = fleet.close(0);
    };
    if (signal?.aborted) {
      throw aborted(signal);
    }
    signal?.addEventListener("abort", abort);
    fleet.warn(settings);
    for (const host of settings.hosts.values()) {
      fleet.router.add(host, fleet.choosePlacement(host));
    }
    try {
      await fleet.cluster.use(settings);
      await fleet.tokens.use(settings);
      fleet.router.share();
      await Promise.all([...fleet.supervisors].map((supervisor) => supervisor.bring()));
    } catch (error) {
      await fleet.close(0);
      throw signal !== undefined && abortion !== undefined ? aborted(signal) : error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    return fleet;
  }

  /**
   * Switches to other settings. New requests use them as soon as the promise resolves. Removed hosts may still be finishing what they
   * have then. Of `runtime`, only `threads` is used, for hosts that are added.
   */
  async reload(settings: Settings): Promise<ReloadReport> {
    this.mustBeOpen();
    await this.cluster.use(settings);
    await this.tokens.use(settings);
    if (this.isClosed) {
      this.tokens.close();
      await this.cluster.leave();
    }
    this.mustBeOpen();
    this.router.share();
    const report: ReloadReport = { added: [], removed: [], changed: [], unchanged: [] };
    const work: Promise<void>[] = [];
    for (const route of this.router.open()) {
      if (settings.hosts.has(route.id)) {
        continue;
      }
      report.removed.push(route.id);
      this.remove(route);
    }
    for (const host of settings.hosts.values()) {
      const route = this.router.find(host.id);
      if (route === undefined) {
        report.added.push(host.id);
        work.push(this.add(host));
      } else if (isDeepStrictEqual(route.settings, host)) {
        report.unchanged.push(host.id);
      } else {
        report.changed.push(host.id);
        work.push(this.change(route, host));
      }
    }
    this.warn(settings, this.settings);
    this.settings = settings;
    await Promise.all(work);
    return report;
  }

  async stats(): Promise<RuntimeStats> {
    const answers = new Map<Supervisor, Map<number, HostStats>>();
    await Promise.all(
      [...this.supervisors].map(async (supervisor) => answers.set(supervisor, await supervisor.stats())),
    );
    const hosts: Record<string, HostStats> = {};
    for (const route of this.router.open()) {
      const { id, placement, turnedAway, settings, shadow, shared: lookups } = route;
      const { supervisor, load } = placement;
      const known = answers.get(supervisor)?.get(load.host);
      const stats = supervisor.state === "up" && known !== undefined ? known : statsOfNobody(route, known);
      const failures = { ...load.failures };
      const limits = { concurrency: settings.concurrency, queue: settings.limits.queue };
      const copied = load.copies?.addTo(stats) ?? stats;
      const counted = lookups?.addTo(copied) ?? copied;
      const places = this.cluster.placeStats(id);
      const tenants = load.tenants?.stats();
      const shared = {
        ...(tenants && { tenants }),
        ...(places && { places }),
        ...(shadow && { shadow: shadow.stats() }),
      };
      hosts[id] = { ...counted, turnedAway, failures, limits, ...shared, restarts: supervisor.restarts };
    }
    let threads = 0;
    for (const supervisor of this.supervisors) {
      threads += supervisor.threadCount;
    }
    const cluster = this.cluster.stats();
    return { threads, hosts, ...(cluster === undefined ? {} : { cluster }) };
  }

  /** See {@link ClusterPort.dropHealth}. */
  forgetHealth(hostId: string): void {
    this.cluster.dropHealth(hostId);
  }

  /** Which records the log takes from now on, those of the workers too. */
  async setLogLevel(level: LogLevel, by = "the gateway"): Promise<void> {
    const { log } = this.context;
    log.setLevel(level);
    log.write("warn", "log-level", undefined, `${by} set the log's level to ${level}.`, { by, level });
    await Promise.all([...this.supervisors].map((supervisor) => supervisor.setLogLevel(log.level)));
  }

  /** Settles everything, then ends the threads. A second call without a drain ends one that waits. */
  async close(drainMs: number): Promise<void> {
    this.isClosed = true;
    this.idleThreads?.stop();
    this.router.closeAll();
    await Promise.all([...this.supervisors].map((supervisor) => supervisor.close(drainMs)));
    this.tokens.close();
    await this.cluster.leave();
  }

  private mustBeOpen(): void {
    if (this.isClosed) {
      throw new RelaypostError("MAILBOX_CLOSED", "The remote hosts were closed.");
    }
  }

  /** Says which settings are allowed and were probably not meant; those that were told of before the reload are left out. */
  private warn({ warnings }: Settings, former?: Settings): void {
    const told = new Set(former?.warnings.map(({ key, message }) => `${key} ${message}`));
    for (const { key, message } of warnings) {
      const text = `${key} ${message}`;
      if (!told.has(text)) {
        this.context.log.write("warn", "config-warning", undefined, text, { key });
      }
    }
  }

  private async add(host: HostSettings): Promise<void> {
    const placement = this.choosePlacement(host);
    // A thread that fails at once has said so in the log, and its host refuses requests until a later try succeeds.
    await placement.supervisor.bring().catch(ignore);
    // Closed meanwhile, its thread is gone, or goes with those of all others.
    if (!this.isClosed) {
      this.router.add(host, placement);
    }
  }

  private async change(route: Route, host: HostSettings): Promise<void> {
    const { placement } = route;
    const { supervisor, load } = placement;
    if (route.settings.protocol === host.protocol) {
      await supervisor.reconfigure(load.host, host);
      load.copies = AnswerCopies.of(host, systemClock, load.copies);
      this.router.use(route, host);
      return;
    }
    // Nothing of what an actor knows survives another protocol: a new one takes over while the old one drains.
    await this.add(host);
    void this.drain(placement);
  }

  private remove(route: Route): void {
    route.state = "removed";
    void this.drain(route.placement);
  }

  /** Lets a host finish what it has, and ends its thread when no other host lives on it. */
  private async drain(placement: Placement): Promise<void> {
    const { supervisor, load } = placement;
    this.draining.set(load.hostId, placement);
    await supervisor.removeHost(load.host, RELOAD_DRAIN_MS);
    if (this.draining.get(load.hostId) === placement) {
      this.draining.delete(load.hostId);
      if (this.router.find(load.hostId) === undefined) {
        this.cluster.removeHost(load.hostId);
        this.tokens.removeHost(load.hostId);
      }
    }
    if (!supervisor.isDeserted) {
      return;
    }
    this.supervisors.delete(supervisor);
    await supervisor.close(0);
  }

  /**
   * A thread of its own while there are threads, then the least loaded one. A host that was removed and still has requests in progress
   * comes back on the same thread, where the connections of both can be counted together.
   */
  private choosePlacement(host: HostSettings): Placement {
    const former = this.draining.get(host.id);
    let chosen = former?.supervisor;
    if (chosen !== undefined) {
      // It has a thread already.
    } else if (this.supervisors.size < this.settings.runtime.threads) {
      chosen = new Supervisor(this.context);
      this.supervisors.add(chosen);
    } else {
      for (const supervisor of this.supervisors) {
        if (chosen === undefined || supervisor.hostCount < chosen.hostCount) {
          chosen = supervisor;
        }
      }
    }
    const number = chosen!.freeHostNumber();
    if (number >= MAX_HOSTS) {
      throw new RelaypostError("CONFIG_VALUE", `More than ${MAX_HOSTS} hosts share one thread; raise runtime.threads.`);
    }
    chosen!.assign(number, host, former?.load.host);
    return { supervisor: chosen!, load: new HostLoad(host.id, number, AnswerCopies.of(host, systemClock)) };
  }
}

/** The real clock; what waits for it keeps the process alive, as the thread that is gone did. */
const holdingClock: Clock = {
  now: systemClock.now,
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

function aborted(signal: AbortSignal): RelaypostError {
  return new RelaypostError("ABORTED", "The signal was aborted before the remote hosts were open.", {
    cause: signal.reason,
  });
}

/** The counters of a host whose worker is not there: what the last one counted, where it was given back, and that nothing is under way. */
function statsOfNobody(route: Route, counted?: HostStats): HostStats {
  const { supervisor, load } = route.placement;
  const fresh = newHostStats(route.settings);
  const { connections, circuit, cache, inFlight, oldestQueuedMs } = fresh;
  const now = { connections, circuit, cache, inFlight, oldestQueuedMs, since: Date.now(), queued: load.pending };
  return { ...fresh, ...counted, ...now, state: route.isPaused ? "paused" : stateWithoutWorker(supervisor) };
}

function stateWithoutWorker({ state, isFailed }: Supervisor): HostStats["state"] {
  if (isFailed) {
    return "failed";
  }
  return state === "idle" || state === "resting" ? "idle" : "starting";
}

function ignore(): void {}
