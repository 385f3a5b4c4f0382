/**
 * The life of one worker thread and of the remote hosts on it: start, watch, restart, drain, stop. Owned by fleet.ts;
 * hands the thread's data port to mailbox.ts. A thread itself is worker-thread.ts's.
 *
 * ```
 * idle ─► starting ─► up ─► waiting ─► starting   crashed: started again after a back-off
 *                │     └─► resting ─► idle          given back: the next request starts another thread
 *                └─► failed ─► retrying ─► up       crashed too often: requests are refused until a later start succeeds
 * any ─► stopped
 * ```
 */
import type { HostSettings } from "../config/settings.js";
import type { Failure } from "../errors.js";
import type { HostRecord } from "../messages/host-log.js";
import type { HostStats } from "../stats.js";
import { AssignedHosts } from "./assigned-hosts.js";
import { Heartbeat } from "./heartbeat.js";
import { KeepAlive } from "./keep-alive.js";
import type { Log } from "./log.js";
import { Mailbox } from "./mailbox.js";
import { RestartPolicy, whenEnded } from "./restarts.js";
import { CLOSED, LOST, type SupervisorContext, UNAVAILABLE } from "./supervisor-context.js";
import { UpWaiters } from "./up-waiters.js";
import { type ThreadControl, type ThreadOwner, WorkerThread } from "./worker-thread.js";

/** A thread with all its modules loads within it even when many start at once. */
const START_LIMIT_MS = 60_000;
/** What is under way in the background of a host that nobody asks, and the goodbyes of its connections. */
const REST_DRAIN_MS = 2_000;
/** What a control call takes at most, beside the work that it waits for. */
const CALL_LIMIT_MS = 10_000;

export type SupervisorState = "idle" | "starting" | "up" | "resting" | "waiting" | "failed" | "retrying" | "stopped";

export class Supervisor implements ThreadOwner {
  readonly mailbox: Mailbox;
  state: SupervisorState = "idle";
  /** How often the worker was replaced. */
  restarts = 0;
  /** Control calls on behalf of somebody who uses the hosts. */
  asked = 0;

  private readonly hosts: AssignedHosts;
  private readonly policy: RestartPolicy;
  private readonly heartbeat: Heartbeat;
  private readonly waiters = new UpWaiters();
  private readonly keepAlive: KeepAlive;
  private thread: WorkerThread | undefined;
  /** The counters of a worker that was given back, until another one counts. */
  private formerStats = new Map<number, HostStats>();
  /** What the first `close()` does. */
  private closing: Promise<void> | undefined;
  /** The thread that was there when all ended. */
  private exited: Promise<void> | undefined;
  private cancelRestart: (() => void) | undefined;

  constructor(private readonly context: SupervisorContext) {
    const { runtime, wheel, log, keepsAlive, random } = context;
    // One fewer than what makes a host fail, so that no lookup can do that alone.
    const mostResends = Math.max(1, runtime.restarts - 1);
    const { places, tokens } = context;
    this.hosts = new AssignedHosts(runtime.hostname, (hostId) => places.workerStarted(hostId));
    this.mailbox = new Mailbox(wheel, log.write, mostResends, !keepsAlive, {
      places: (leaseId, demand) => places.wanted(leaseId, demand),
      health: (hostId, news) => places.healthFound(hostId, news),
      token: (host, hostId, refused) =>
        tokens.wanted(hostId, refused, (grant) => this.tell(host, (control) => control.giveToken(host, grant))),
    });
    this.policy = new RestartPolicy(runtime.restarts, runtime.restartWindowMs, random);
    const owes = (): boolean => this.mailbox.owed > 0 || this.thread?.isCalled === true;
    this.heartbeat = new Heartbeat(wheel, runtime.heartbeatMs, this.mailbox, owes, () => this.replaceSilent());
    this.mailbox.outbox.onPost = this.heartbeat.wake;
    this.mailbox.outbox.onGathered = () => this.start();
    this.keepAlive = new KeepAlive(keepsAlive);
  }

  /** Requests are refused at once. */
  get isFailed(): boolean {
    return this.state === "failed" || this.state === "retrying";
  }

  /** A thread is on its way, or comes for whoever waits. */
  private get isExpected(): boolean {
    return this.state === "starting" || this.state === "resting";
  }

  get hostCount(): number {
    return this.hosts.count;
  }

  /** No host lives here any more, and none drains. */
  get isDeserted(): boolean {
    return this.hosts.isDeserted;
  }

  /** Threads that exist now: one, or none between two workers. */
  get threadCount(): number {
    return this.thread === undefined ? 0 : 1;
  }

  /** A host number that is not in use. */
  freeHostNumber(): number {
    return this.hosts.freeNumber();
  }

  /** Gives the thread one more host; {@link bring} makes it so. `former`: its number before it was removed, see {@link NumberedHost}. */
  assign(host: number, settings: HostSettings, former?: number): void {
    this.hosts.assign(host, settings, former);
    this.formerStats.delete(host);
    this.mailbox.cells.clearHost(host);
  }

  /** Resolves when the hosts that were assigned take requests. Rejects where `runtime.start` is `eager` and the thread was lost too often. */
  async bring(): Promise<void> {
    if (this.state !== "idle") {
      await this.informActors();
    } else if (this.context.runtime.start === "eager") {
      await this.awaken();
    } else if (this.hosts.haveFiles) {
      this.start();
    } else {
      this.keepAlive.keep(true, undefined);
    }
  }

  /** Starts the thread where none was started, and resolves when it is up. */
  async awaken(): Promise<void> {
    this.start();
    if (this.isExpected) {
      await this.waiters.wait();
    }
  }

  /** Gives back the thread of hosts that nobody uses now. Its connections end, and what it was asked meanwhile waits for the next one. */
  async rest(): Promise<void> {
    const { thread, mailbox } = this;
    if (thread === undefined || this.state !== "up" || mailbox.owed > 0 || thread.isCalled) {
      return;
    }
    this.state = "resting";
    mailbox.hold();
    this.heartbeat.stop();
    const stats = await thread.call((control) => control.stats(), CALL_LIMIT_MS).catch(() => []);
    await thread.call((control) => control.close(REST_DRAIN_MS), REST_DRAIN_MS + CALL_LIMIT_MS).catch(ignore);
    if (this.thread !== thread) {
      return;
    }
    mailbox.catchUp();
    this.formerStats = new Map(stats.map((entry) => [entry.host, entry.stats]));
    this.exited = thread.exited;
    this.end(LOST);
    mailbox.disconnect(LOST, true);
    // Never two threads side by side.
    await thread.exited;
    this.rested();
  }

  private rested(): void {
    if (this.state !== "resting") {
      return;
    }
    this.state = "idle";
    this.exited = undefined;
    this.keepAlive.keep(true, undefined);
    if (this.mailbox.owed > 0 || !this.waiters.isEmpty) {
      this.start();
    }
  }

  private start(): void {
    if (this.state === "idle") {
      this.state = "starting";
      this.keepAlive.keep(false, undefined);
      this.launch(false);
    }
  }

  async reconfigure(host: number, settings: HostSettings): Promise<void> {
    this.hosts.change(host, settings);
    await this.informActors();
  }

  /** Drains a host; resolves when all its requests are settled. */
  async removeHost(host: number, drainMs: number): Promise<void> {
    this.mailbox.flush();
    if (this.mailbox.owed > 0 && this.isExpected) {
      // A thread that is on its way takes what was asked.
      await this.waiters.wait().catch(ignore);
    }
    const { thread } = this;
    this.hosts.drain(host);
    if (thread !== undefined && this.state === "up") {
      // A worker that is lost, or does not get done in time and is replaced for it, has settled everything by that.
      await thread.call((control) => control.closeHost(host, drainMs), drainMs + CALL_LIMIT_MS).catch(ignore);
      this.mailbox.catchUp();
    }
    thread?.known.delete(host);
    this.hosts.drained(host);
  }

  /** Counters of the hosts that run now, by their numbers. */
  async stats(): Promise<Map<number, HostStats>> {
    const { thread } = this;
    if (thread === undefined || this.state !== "up") {
      return this.formerStats;
    }
    // What was given up just now is not counted any more.
    this.mailbox.flush();
    const stats = await thread.call((control) => control.stats(), CALL_LIMIT_MS).catch(() => []);
    return new Map(stats.map((entry) => [entry.host, entry.stats]));
  }

  /** Tells the host's worker something; where none runs, or it does not know the host yet, nobody. */
  tell(host: number, invoke: (control: ThreadControl) => Promise<void>): void {
    const { thread } = this;
    if (thread?.known.has(host)) {
      void thread.call(invoke, CALL_LIMIT_MS).catch(ignore);
    }
  }

  /** Lets a host's requests wait, or go on, behind all that gathered before. Its actor in a worker that starts, and in the next one, is told too. */
  async pause(host: number, isPaused: boolean): Promise<void> {
    this.hosts.pause(host, isPaused);
    this.mailbox.flush();
    this.asked++;
    await this.informActors();
  }

  /** The level below which the worker, and those after it, send no records. */
  async setLogLevel(level: Log["level"]): Promise<void> {
    await this.ask((control) => control.setLogLevel(level), undefined);
  }

  /** A control call, behind all that gathered before it; `otherwise` where no worker runs or it is lost meanwhile, and all that it knew with it. */
  async ask<T>(invoke: (control: ThreadControl) => Promise<T>, otherwise: T): Promise<T> {
    const { thread } = this;
    this.asked++;
    if (thread === undefined || this.state !== "up") {
      return otherwise;
    }
    this.mailbox.flush();
    return thread.call(invoke, CALL_LIMIT_MS).catch(() => otherwise);
  }

  /** Finishes work in hand for at most `drainMs`, settles the rest, ends the thread. A second call without a drain ends the first. */
  async close(drainMs: number): Promise<void> {
    if (this.closing === undefined) {
      this.closing = this.finish(drainMs);
    } else if (drainMs === 0) {
      this.stop();
    }
    await this.closing;
    await this.exited;
  }

  private async finish(drainMs: number): Promise<void> {
    if (drainMs > 0 && this.mailbox.owed > 0) {
      // A thread that is on its way takes what was asked.
      this.mailbox.flush();
      await (this.isExpected && this.waiters.waitAtMost(drainMs, this.context.clock));
    }
    const { thread } = this;
    if (thread !== undefined && (this.state === "up" || this.state === "resting") && !this.isDeserted) {
      this.mailbox.flush();
      await thread.call((control) => control.close(drainMs), drainMs + CALL_LIMIT_MS).catch(ignore);
      this.mailbox.catchUp();
    }
    this.stop();
  }

  /** Ends the thread now and settles everything. */
  private stop(): void {
    if (this.state === "stopped") {
      return;
    }
    this.state = "stopped";
    this.cancelRestart?.();
    this.keepAlive.keep(false, undefined);
    this.exited = this.thread?.exited ?? this.exited;
    this.end(CLOSED);
    this.mailbox.disconnect(CLOSED, false);
    this.waiters.failed(CLOSED);
  }

  private launch(isReplacement: boolean): void {
    const { entry, heap, wheel, log, keepsAlive } = this.context;
    const { memory } = this.mailbox.cells;
    this.thread = new WorkerThread({ entry, heap, wheel, memory, isEndless: keepsAlive, logLevel: log.level }, this);
    void this.bringUp(this.thread, isReplacement);
  }

  private async bringUp(thread: WorkerThread, isReplacement: boolean): Promise<void> {
    try {
      await thread.call((control) => control.ping(), START_LIMIT_MS);
      await this.hosts.tell(thread, START_LIMIT_MS);
    } catch (error) {
      this.lost(thread, error);
      return;
    }
    if (this.thread !== thread) {
      return;
    }
    this.state = "up";
    this.formerStats.clear();
    this.mailbox.connect(thread.dataPort);
    this.waiters.up();
    if (isReplacement) {
      this.logEach("info", "worker-restarted", "The worker runs again.", {});
    }
  }

  /** Tells the running worker what it does not know yet; one that starts is told by {@link bringUp}. */
  private async informActors(): Promise<void> {
    const { thread } = this;
    if (thread === undefined || this.state !== "up") {
      return;
    }
    // Where the worker is lost meanwhile, its successor is told.
    await this.hosts.tell(thread, CALL_LIMIT_MS).catch(ignore);
  }

  called(): void {
    if (this.state === "up") {
      this.heartbeat.wake();
    }
  }

  private replaceSilent(): void {
    const { thread } = this;
    if (thread === undefined) {
      return;
    }
    this.lost(thread, new Error(`no sign of life for ${this.context.runtime.heartbeatMs} ms`));
  }

  /** The worker is gone, or is as good as gone. Called by whoever notices first. */
  lost(thread: WorkerThread, cause: unknown): void {
    if (this.thread !== thread || this.state === "stopped") {
      return;
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    const wasRetrying = this.state === "retrying";
    const { delayMs, isFailed } = this.policy.lost(this.context.clock.now());
    this.state = isFailed || wasRetrying ? "failed" : "waiting";
    this.end(LOST);
    this.mailbox.disconnect(this.state === "failed" ? UNAVAILABLE : LOST, this.state === "waiting");
    const fields = { reason, retryInMs: Math.round(delayMs), state: this.state };
    this.logEach("error", "worker-lost", "The worker was lost and will be replaced.", fields);
    if (this.state === "failed") {
      this.waiters.failed({ ...UNAVAILABLE, cause: reason });
    }
    this.cancelRestart = this.context.clock.after(delayMs, () => this.relaunchAfter(thread));
  }

  /** Never beside its predecessor: two threads would have twice `concurrency` connections to a host. */
  private relaunchAfter({ exited }: WorkerThread): void {
    this.cancelRestart = whenEnded(exited, this.context.clock, () => {
      this.state = this.state === "failed" ? "retrying" : "starting";
      this.restarts++;
      this.launch(true);
    });
  }

  /** Lets go of the worker, whatever state it is in, and rejects the control calls that wait for it. */
  private end(failure: Failure): void {
    const { thread } = this;
    if (thread === undefined) {
      return;
    }
    this.thread = undefined;
    this.hosts.threadEnded();
    this.heartbeat.stop();
    thread.end(failure);
    void thread.exited.then(() => this.tellEnd());
  }

  private tellEnd(): void {
    if (this.thread === undefined) {
      for (const id of this.hosts.ids()) {
        this.context.places.workerEnded(id);
      }
    }
  }

  private logEach(...[level, event, message, fields]: HostRecord): void {
    for (const id of this.hosts.ids()) {
      this.context.log.write(level, event, id, message, fields);
    }
  }
}

function ignore(): void {}
