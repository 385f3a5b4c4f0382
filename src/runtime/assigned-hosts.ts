/**
 * The hosts that one worker thread is to know, by their numbers on it: their settings, who is paused, who drains and whom each one
 * follows. It outlives the thread, and tells each new one all of it. Kept by supervisor.ts.
 */
import type { HostSettings } from "../config/settings.js";
import type { WorkerThread } from "./worker-thread.js";

export class AssignedHosts {
  private readonly settings = new Map<number, HostSettings>();
  /** Numbers of hosts that were removed and have work in hand, and of those that took their places meanwhile. */
  private readonly draining = new Set<number>();
  private readonly formers = new Map<number, number>();
  /** Numbers of hosts that an operator paused. */
  private readonly paused = new Set<number>();

  /** @param started a thread knows this host from now on, with no connection yet */
  constructor(
    private readonly hostname: string | undefined,
    private readonly started: (hostId: string) => void,
  ) {}

  get count(): number {
    return this.settings.size;
  }

  /** No host lives here any more, and none drains. */
  get isDeserted(): boolean {
    return this.settings.size === 0 && this.draining.size === 0;
  }

  /** One of them has answers in a file, which a thread reads when it starts. */
  get haveFiles(): boolean {
    return [...this.settings.values()].some(({ cache }) => cache.file !== undefined);
  }

  *ids(): Iterable<string> {
    for (const { id } of this.settings.values()) {
      yield id;
    }
  }

  /** A number that is not in use. */
  freeNumber(): number {
    let host = 0;
    while (this.settings.has(host) || this.draining.has(host)) {
      host++;
    }
    return host;
  }

  /** One more. `former`: its number before it was removed, see `NumberedHost`. */
  assign(host: number, settings: HostSettings, former: number | undefined): void {
    this.settings.set(host, forWorker(settings));
    if (former !== undefined) {
      this.formers.set(host, former);
    }
  }

  change(host: number, settings: HostSettings): void {
    this.settings.set(host, forWorker(settings));
  }

  pause(host: number, isPaused: boolean): void {
    if (isPaused) {
      this.paused.add(host);
    } else {
      this.paused.delete(host);
    }
  }

  /** It was removed; its number is in use until {@link drained}. */
  drain(host: number): void {
    this.settings.delete(host);
    this.paused.delete(host);
    this.draining.add(host);
  }

  drained(host: number): void {
    this.draining.delete(host);
    for (const [successor, former] of this.formers) {
      if (former === host) {
        this.formers.delete(successor);
      }
    }
  }

  /** The next thread knows no host that was removed. */
  threadEnded(): void {
    this.formers.clear();
  }

  /** Tells a thread what it does not know yet. Rejects where it is lost, or takes longer than `limitMs` for one call. */
  async tell(thread: WorkerThread, limitMs: number): Promise<void> {
    const { known } = thread;
    // What changes while a call is under way is told by the next one.
    for (;;) {
      const added = [...this.settings].filter(([host]) => !known.has(host));
      const changed = [...this.settings].filter(([host, settings]) => known.has(host) && known.get(host) !== settings);
      const toggled = [...this.settings.keys()].filter(
        (host) => known.has(host) && thread.paused.has(host) !== this.paused.has(host),
      );
      if (added.length === 0 && changed.length === 0 && toggled.length === 0) {
        return;
      }
      for (const [host, settings] of [...added, ...changed]) {
        known.set(host, settings);
      }
      if (added.length > 0) {
        await this.start(thread, added, limitMs);
      }
      for (const [host, settings] of changed) {
        await thread.call((control) => control.reconfigure(host, settings), limitMs);
      }
      for (const host of toggled) {
        const order = this.notePause(thread, host) ? "pause" : "resume";
        await thread.call((control) => control.operate(host, order), limitMs);
      }
    }
  }

  /** The thread is told next whether the host is paused. */
  private notePause({ paused }: WorkerThread, host: number): boolean {
    const isPaused = this.paused.has(host);
    if (isPaused) {
      paused.add(host);
    } else {
      paused.delete(host);
    }
    return isPaused;
  }

  private async start(thread: WorkerThread, added: [number, HostSettings][], limitMs: number): Promise<void> {
    const hosts = added.map(([host, settings]) => ({
      host,
      settings,
      former: this.formers.get(host),
      isPaused: this.notePause(thread, host),
    }));
    await thread.call((control) => control.startHosts(hosts, this.hostname), limitMs);
    for (const { settings } of hosts) {
      this.started(settings.id);
    }
  }
}

/** A worker is given access tokens, and not what they are bought with. */
function forWorker(settings: HostSettings): HostSettings {
  const { oauth2, ...others } = settings;
  return oauth2 === undefined ? settings : others;
}
