/**
 * `relaypost serve`: the hosts and rules of a file, and the listeners that use them. Reloads and drains. Started by the command line.
 * The state of the daemon is here; that of each listener is in its own file.
 */
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { ReloadReport } from "../api.js";
import { RemoteHosts } from "../remote-hosts.js";
import { type Log, openLog, type WriteLog } from "../runtime/log.js";
import { withoutAddresses } from "./address-mask.js";
import type { DaemonView, ListenerCounts, ReloadCounts } from "./daemon-view.js";
import { HostTls } from "./host-tls.js";
import { describeListenAddress, type ListenAddress } from "./listen-address.js";
import { type Listener, makeListener } from "./listener.js";
import { type LoadedFile, loadFile, warningsOf } from "./load.js";
import type { ListenerSettings } from "./settings.js";

/** A listener that is open. */
interface OpenListener {
  readonly settings: ListenerSettings;
  readonly listener: Listener;
  readonly address: ListenAddress;
}

/** A running daemon. */
export class Daemon implements AsyncDisposable {
  readonly #file: string;
  readonly #remotes: RemoteHosts;
  readonly #log: WriteLog;
  readonly #hostTls = new HostTls();
  /** Whether anybody reads records of level debug. */
  readonly #isDebugged: boolean;
  readonly #listeners = new Map<string, OpenListener>();
  #loaded: LoadedFile;
  #state: "starting" | "ready" | "draining" = "starting";
  #reloading: Promise<unknown> = Promise.resolve();
  #reloads: ReloadCounts = { succeeded: 0, failed: 0, lastAtMs: Date.now(), hasLastSucceeded: true };
  readonly #view: DaemonView = {
    isReady: () => this.#state === "ready",
    reloads: () => this.#reloads,
    listeners: () => Object.fromEntries([...this.#listeners].map(([name, open]) => [name, countsOf(open)])),
  };

  private constructor(file: string, loaded: LoadedFile, remotes: RemoteHosts, log: Log) {
    this.#file = file;
    this.#loaded = loaded;
    this.#remotes = remotes;
    this.#log = log.write;
    this.#isDebugged = log.level === "debug";
  }

  /**
   * Reads a file, starts its hosts, and listens.
   *
   * @param loaded the file, when it was loaded already
   * @throws ConfigError with every mistake of the file; Error when something cannot be listened on
   */
  static async start(file: string, logger: Logger): Promise<Daemon> {
    // Rules may ask hosts, which exist only when the file is known to be right.
    let remotes: RemoteHosts | undefined;
    const loaded = await loadFile(file, (list, value, options) => remotes!.inList(list, value, options));
    const masked = withoutAddresses(logger, loaded.serve.logAddresses);
    remotes = await RemoteHosts.start(loaded.settings, { logger: masked });
    const daemon = new Daemon(file, loaded, remotes, openLog(masked));
    try {
      daemon.#warn(loaded);
      for (const settings of loaded.serve.listeners.values()) {
        daemon.#listeners.set(settings.name, await daemon.#open(settings));
      }
      for (const open of daemon.#listeners.values()) {
        daemon.#tellListening(open);
      }
    } catch (error) {
      await daemon.close(0);
      throw error;
    }
    daemon.#state = "ready";
    return daemon;
  }

  /** Where a listener listens: with the port that it got. */
  addressOf(name: string): ListenAddress | undefined {
    return this.#listeners.get(name)?.address;
  }

  /** How long {@link close} lets work go on unless it is told otherwise. */
  get drainMs(): number {
    return this.#loaded.serve.drainMs;
  }

  /**
   * Reads the file again. Listeners with unchanged settings keep their clients; changed ones stop reading requests from theirs.
   * If the file has mistakes, or an address cannot be listened on, nothing changes, and the log says why.
   *
   * @returns whether the daemon runs on the new file
   */
  reload(): Promise<boolean> {
    const done = this.#reloading.then(async () => {
      if (this.#state !== "ready") {
        return false;
      }
      try {
        await this.#reload();
        this.#countReload(true);
        return true;
      } catch (error) {
        const message = `the file was not taken, and everything goes on as it was: ${(error as Error).message}`;
        this.#countReload(false);
        this.#log("error", "serve-reload-failed", undefined, message, { file: this.#file });
        return false;
      }
    });
    this.#reloading = done;
    return done;
  }

  /** Stops listening, finishes what is in work for at most `drainMs`, then closes the hosts. */
  async close(drainMs = this.drainMs): Promise<void> {
    if (this.#state === "draining") {
      return;
    }
    this.#state = "draining";
    await this.#reloading;
    const untilMs = performance.now() + drainMs;
    const open = [...this.#listeners.values()];
    const isHttp = ({ settings }: OpenListener) => settings.protocol === "http";
    await Promise.all(open.filter((each) => !isHttp(each)).map(({ listener }) => listener.close(drainMs)));
    // Until then /readyz says that no more work is taken.
    await Promise.all(open.filter(isHttp).map(({ listener }) => listener.close(0)));
    this.#hostTls[Symbol.dispose]();
    await this.#remotes.close({ drainMs: Math.max(0, untilMs - performance.now()) });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(0);
  }

  #countReload(hasLastSucceeded: boolean): void {
    const { succeeded, failed } = this.#reloads;
    this.#reloads = {
      succeeded: succeeded + (hasLastSucceeded ? 1 : 0),
      failed: failed + (hasLastSucceeded ? 0 : 1),
      lastAtMs: Date.now(),
      hasLastSucceeded,
    };
  }

  async #reload(): Promise<void> {
    const loaded = await loadFile(this.#file, (list, value, options) => this.#remotes.inList(list, value, options));
    const { listeners } = loaded.serve;
    const isSame = (settings: ListenerSettings) =>
      isDeepStrictEqual(this.#listeners.get(settings.name)?.settings, settings);
    const changed = [...listeners.values()].filter((settings) => !isSame(settings));
    // A changed listener on the same address takes the place of the old one, which must let go of it first.
    const isTaken = ({ listen }: ListenerSettings) =>
      [...this.#listeners.values()].some(({ settings }) => isDeepStrictEqual(settings.listen, listen));
    const opened: OpenListener[] = [];
    let report: ReloadReport;
    try {
      for (const settings of changed.filter((each) => !isTaken(each))) {
        opened.push(await this.#open(settings));
      }
      report = await this.#remotes.reload(this.#file);
    } catch (error) {
      await Promise.all(opened.map(({ listener }) => listener.close(0)));
      throw error;
    }
    this.#loaded = loaded;
    this.#warn(loaded);
    const { drainMs } = loaded.serve;
    for (const [name, old] of this.#listeners) {
      const settings = listeners.get(name);
      if (settings !== undefined && isSame(settings)) {
        continue;
      }
      this.#listeners.delete(name);
      // Its clients are finished in the background.
      void old.listener.close(drainMs);
    }
    for (const open of opened) {
      this.#listeners.set(open.settings.name, open);
    }
    for (const settings of changed) {
      if (this.#listeners.has(settings.name)) {
        continue;
      }
      const open = await this.#open(settings).catch((error: Error) => {
        this.#log("error", "serve-listen-failed", undefined, error.message, { listener: settings.name });
      });
      if (open) {
        this.#listeners.set(settings.name, open);
      }
    }
    for (const { name } of changed) {
      const open = this.#listeners.get(name);
      if (open !== undefined) {
        this.#tellListening(open);
      }
    }
    // Now it is in force: who waits for this event asks the new listeners.
    this.#log("info", "serve-reloaded", undefined, "the file was read again", { file: this.#file, ...report });
  }

  async #open(settings: ListenerSettings): Promise<OpenListener> {
    const listener = makeListener(settings, {
      remotes: this.#remotes,
      rules: () => this.#loaded.rules,
      canLookUp: (hostId) => this.#loaded.settings.hosts.get(hostId)?.lookup === true,
      state: this.#view,
      log: this.#log,
      hostTls: this.#hostTls,
      isDebugged: this.#isDebugged,
    });
    return { settings, listener, address: await listener.listen() };
  }

  #warn(loaded: LoadedFile): void {
    if (loaded.serve.listeners.size === 0) {
      this.#log("warn", "serve-nothing", undefined, "nothing is listened on: the file has no [serve.<name>]");
    }
    for (const { key, message } of loaded.serve.warnings) {
      this.#log("warn", "config-warning", undefined, `${key} ${message}`, { key });
    }
    for (const warning of warningsOf(loaded.serve)) {
      this.#log("warn", "serve-exposed", undefined, warning);
    }
  }

  #tellListening({ settings, address }: OpenListener): void {
    const where = describeListenAddress(address);
    const message = `${settings.protocol} on ${where}`;
    this.#log("info", "serve-listening", undefined, message, { listener: settings.name, address: where });
  }
}

function countsOf({ settings, listener, address }: OpenListener): ListenerCounts {
  const { count: clients, answers, refusedLogins } = listener;
  return { protocol: settings.protocol, address: describeListenAddress(address), clients, answers, refusedLogins };
}
