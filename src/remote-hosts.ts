/**
 * The public API: remote hosts, and the requests to them. Every argument is checked here, before anything is queued. Then the
 * request goes through its route into the mailbox of the host's worker thread.
 */
import type {
  Content,
  Credentials,
  Envelope,
  LookupAnswer,
  OpenOptions,
  Protocol,
  RelayResult,
  ReloadReport,
  RequestOptions,
} from "./api.js";
import type { ConfigInput } from "./config/input.js";
import { loadSettings } from "./config/load.js";
import type { Settings } from "./config/settings.js";
import { RelaypostError } from "./errors.js";
import type { AddressLookupKind } from "./lookup-kinds.js";
import type { LogLevel } from "./messages/host-log.js";
import { isLoginOnly, PROTOCOLS } from "./messages/protocols.js";
import { OperatedHost } from "./operated-host.js";
import { type DisplayOptions, Monitor } from "./operator/monitor.js";
import type { HostEvent, HostReport } from "./operator/report.js";
import { refused, typeNameOf } from "./request/address.js";
import { checkContent, checkEnvelope, checkSignal } from "./request/checks.js";
import { checkCredentials } from "./request/parameters.js";
import { Fleet } from "./runtime/fleet.js";
import { openLog, StandardLog } from "./runtime/log.js";
import { type By, Operations } from "./runtime/operations.js";
import type { Route } from "./runtime/router.js";
import { lookupChannel, relayChannel, traceLookup, traceRelay } from "./runtime/tracing.js";
import { findWorkerEntry } from "./runtime/worker-entry.js";
import type { RuntimeStats } from "./stats.js";

/** How long `close()` lets work in hand go on unless it is told otherwise. */
const DEFAULT_DRAIN_MS = 5_000;
const LIST_PREFIX = "remote/";

/** One remote host. Handles stay valid across `reload()`. */
export class RemoteHost extends OperatedHost {
  readonly #route: Route;

  /** @internal */
  constructor(route: Route, monitor: Monitor, operations: Operations) {
    super(route, monitor, operations);
    this.#route = route;
  }

  /** The `<id>` of `remote.<id>`. */
  get id(): string {
    return this.#route.id;
  }

  get protocol(): Protocol {
    return this.#route.settings.protocol;
  }

  /**
   * Relays a message. If it rejects, nobody received the message. If it resolves, each recipient has a status of its own.
   *
   * A `Uint8Array` is copied before this returns. A stream is read when the message's turn has come, no faster than the host
   * takes it. It is destroyed if the message is settled before the stream's end, and left alone if the request is refused at once.
   *
   * @throws RelaypostError INVALID_ARGUMENT, NOT_SUPPORTED (IMAP), MAILBOX_FULL, MAILBOX_CLOSED and HOST_UNAVAILABLE at once;
   * other codes if the message could not be sent. docs/api.md lists all of them, and what to do
   */
  relay(envelope: Envelope, content: Content, options?: RequestOptions): Promise<RelayResult> {
    if (!relayChannel.hasSubscribers) {
      return this.#relay(envelope, content, options);
    }
    return traceRelay(this.id, envelope, options?.id, () => this.#relay(envelope, content, options));
  }

  #relay(envelope: Envelope, content: Content, options: RequestOptions | undefined): Promise<RelayResult> {
    try {
      const { requests, name } = PROTOCOLS[this.protocol];
      if (!requests.has("relay")) {
        throw this.#notSupported(`Messages cannot be relayed to an ${name} host.`);
      }
      const octets = checkContent(content);
      const head = checkEnvelope(envelope, octets, this.#route.settings.bareRecipients);
      return this.#route.relay(head, content, Math.max(0, octets), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Asks whether the host accepts a recipient (RCPT TO). Needs `lookup = true`.
   *
   * @throws RelaypostError when there is no definite answer; INVALID_ARGUMENT, LOOKUP_DISABLED, NOT_SUPPORTED (IMAP),
   * MAILBOX_FULL, MAILBOX_CLOSED and HOST_UNAVAILABLE at once
   */
  verifyRecipient(address: string, options?: RequestOptions): Promise<LookupAnswer> {
    return this.#lookup("rcpt", address, options);
  }

  /**
   * What `in-list` and the adapters ask: {@link verifyRecipient}, but where the host accepts every recipient of the domain and
   * `lookups.accepts-all = "no-answer"`, there is no answer.
   *
   * @throws RelaypostError ACCEPTS_ALL, and what {@link verifyRecipient} throws
   */
  async checkRecipient(address: string, options?: RequestOptions): Promise<LookupAnswer> {
    const answer = await this.verifyRecipient(address, options);
    if (answer.certainty === "accepts-all" && this.#route.settings.lookups?.acceptsAll === "no-answer") {
      const message = "The host accepts every recipient of this domain: its yes does not say that this one exists.";
      throw new RelaypostError("ACCEPTS_ALL", message, { hostId: this.id });
    }
    return answer;
  }

  /** Asks the host to verify a mailbox or a user's name (VRFY); `values` holds what it says. Fails as {@link verifyRecipient} does. */
  verify(address: string, options?: RequestOptions): Promise<LookupAnswer> {
    return this.#lookup("vrfy", address, options);
  }

  /** Asks the host for the members of a list (EXPN), which `values` holds. Fails as {@link verifyRecipient} does. */
  expand(list: string, options?: RequestOptions): Promise<LookupAnswer> {
    return this.#lookup("expn", list, options);
  }

  /** Asks whether a user's credentials are right (AUTH, or AUTHENTICATE for IMAP). Fails as {@link verifyRecipient} does. */
  authenticate(credentials: Credentials, options?: RequestOptions): Promise<LookupAnswer> {
    if (!lookupChannel.hasSubscribers) {
      return this.#authenticate(credentials, options);
    }
    return traceLookup(this.id, "auth", credentials?.username, options?.id, () =>
      this.#authenticate(credentials, options),
    );
  }

  #lookup(kind: AddressLookupKind, value: string, options: RequestOptions | undefined): Promise<LookupAnswer> {
    if (!lookupChannel.hasSubscribers) {
      return this.#ask(kind, value, options);
    }
    return traceLookup(this.id, kind, value, options?.id, () => this.#ask(kind, value, options));
  }

  #ask(kind: AddressLookupKind, value: string, options: RequestOptions | undefined): Promise<LookupAnswer> {
    try {
      this.#mustLookUp();
      if (isLoginOnly(this.protocol)) {
        throw this.#notSupported(`An ${PROTOCOLS[this.protocol].name} host can be asked about credentials only.`);
      }
      return this.#route.lookup(kind, value, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #authenticate(credentials: Credentials, options: RequestOptions | undefined): Promise<LookupAnswer> {
    try {
      this.#mustLookUp();
      const { secret, isToken } = checkCredentials(credentials);
      return this.#route.authenticate({ username: credentials.username, secret, isToken }, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #mustLookUp(): void {
    if (!this.#route.settings.lookup) {
      const message = `Lookups need remote.${this.id}.lookup = true.`;
      throw new RelaypostError("LOOKUP_DISABLED", message, { hostId: this.id });
    }
  }

  #notSupported(message: string): RelaypostError {
    return new RelaypostError("NOT_SUPPORTED", message, { hostId: this.id });
  }
}

/** All remote hosts of a configuration. */
export class RemoteHosts implements AsyncDisposable {
  readonly #fleet: Fleet;
  readonly #monitor: Monitor;
  readonly #operations: Operations;
  readonly #handles = new Map<string, RemoteHost>();
  readonly #signal: AbortSignal | undefined;
  /** Where the gateway has no logger of its own. */
  readonly #standardLog: StandardLog | undefined;
  #reloading: Promise<unknown> = Promise.resolve();

  private constructor(
    fleet: Fleet,
    monitor: Monitor,
    operations: Operations,
    signal: AbortSignal | undefined,
    standardLog: StandardLog | undefined,
  ) {
    this.#fleet = fleet;
    this.#monitor = monitor;
    this.#operations = operations;
    this.#signal = signal;
    this.#standardLog = standardLog;
    signal?.addEventListener("abort", this.#closeAtOnce);
  }

  /**
   * Reads a configuration and starts its hosts. Makes no network traffic.
   *
   * @param source path to a TOML file, or the same tables as an object
   * @throws ConfigError with all mistakes of the configuration; RelaypostError ABORTED, or HOST_UNAVAILABLE when no thread could be started
   */
  static async open(source: string | URL | ConfigInput, options: OpenOptions = {}): Promise<RemoteHosts> {
    checkOpenOptions(options);
    return RemoteHosts.start(await loadSettings(source), options);
  }

  /**
   * Starts the hosts of settings that are loaded already.
   *
   * @internal
   * @param entry the module that the threads run; another one in tests only
   */
  static async start(settings: Settings, options: OpenOptions = {}, entry?: URL): Promise<RemoteHosts> {
    const { logger, signal, unref = false, workerUrl } = options;
    const monitor = new Monitor();
    const standard = logger === undefined ? new StandardLog() : undefined;
    const log = monitor.tap(standard ?? openLog(logger!));
    const opening = Fleet.open(settings, {
      log,
      keepsAlive: !unref,
      entry: entry ?? findWorkerEntry(workerUrl),
      ...(signal === undefined ? {} : { signal }),
    });
    const fleet = await opening.finally(() => standard?.written());
    standard?.loadLater();
    monitor.open({ stats: () => fleet.stats(), settingsOf: (id) => fleet.router.find(id)?.settings });
    const operations = new Operations(log.write, (id) => fleet.forgetHealth(id));
    return new RemoteHosts(fleet, monitor, operations, signal, standard);
  }

  /** The ids of the hosts, in the order of the configuration. */
  get ids(): readonly string[] {
    return this.#fleet.router.ids;
  }

  /**
   * One host by its id.
   *
   * @throws RelaypostError UNKNOWN_HOST
   */
  host(id: string): RemoteHost {
    const route = this.#fleet.router.find(id);
    if (route === undefined) {
      throw new RelaypostError("UNKNOWN_HOST", `There is no remote host with the id ${JSON.stringify(id)}.`);
    }
    let handle = this.#handles.get(id);
    if (handle === undefined) {
      handle = new RemoteHost(route, this.#monitor, this.#operations);
      this.#handles.set(id, handle);
    }
    return handle;
  }

  /**
   * Whether a host accepts a recipient: the comparator `in-list = "remote/<id>"`.
   *
   * @param list `remote/` and the id of a host with `lookup = true`
   * @throws RelaypostError when there is no definite answer; as {@link RemoteHost.checkRecipient}, and UNKNOWN_HOST
   */
  async inList(list: string, value: string, options?: RequestOptions): Promise<boolean> {
    if (typeof list !== "string" || !list.startsWith(LIST_PREFIX)) {
      throw refused("list", `must be "${LIST_PREFIX}" and the id of a host`);
    }
    return (await this.host(list.slice(LIST_PREFIX.length)).checkRecipient(value, options)).found;
  }

  /** Counters of all hosts. */
  stats(): Promise<RuntimeStats> {
    return this.#fleet.stats();
  }

  /**
   * The last hundred events of each host, oldest first: what the log said of it, at the levels that the logger takes, and warnings in any case.
   *
   * @param options `hostId`: of one host only; `addresses`: whether messages may repeat a recipient's address, default `false`
   */
  events({ hostId, ...options }: DisplayOptions & { hostId?: string } = {}): HostEvent[] {
    return this.#monitor.events(hostId, options);
  }

  /** All hosts at a glance, in the order of the configuration. The first call begins to look at their counters, as `diagnosis()` does. */
  reports(options: DisplayOptions = {}): Promise<HostReport[]> {
    return this.#monitor.reports(options);
  }

  /** From now on the logger takes records of this level and above; for all hosts, until the next call. */
  async setLogLevel(level: LogLevel, { by }: By = {}): Promise<void> {
    if (!["debug", "info", "warn", "error"].includes(level)) {
      throw refused("level", 'must be "debug", "info", "warn" or "error"');
    }
    await this.#fleet.setLogLevel(level, by);
  }

  /** @internal What the page, `top` and `ctl` show. */
  get monitor(): Monitor {
    return this.#monitor;
  }

  /**
   * Switches to another configuration. Unchanged hosts keep their connections and caches. Changed ones use the new settings for new
   * requests, and removed ones finish what they have. A configuration with mistakes changes nothing.
   * Of `runtime`, only `threads` is used, for hosts that are added.
   *
   * @throws ConfigError; RelaypostError MAILBOX_CLOSED after `close()`
   */
  reload(source: string | URL | ConfigInput): Promise<ReloadReport> {
    const report = this.#reloading.then(async () => this.#fleet.reload(await loadSettings(source)));
    this.#reloading = report.catch(() => {});
    return report;
  }

  /**
   * Settles every request, then stops the threads. New requests are refused from the moment of the call.
   * A second call with `drainMs: 0` ends the drain of the first.
   *
   * @param options `drainMs`: how long requests in progress may go on, in milliseconds; default 5000
   */
  async close(options: { drainMs?: number } = {}): Promise<void> {
    const { drainMs = DEFAULT_DRAIN_MS } = options;
    if (!Number.isFinite(drainMs) || drainMs < 0) {
      throw refused("drainMs", "must be a number of milliseconds, 0 or more");
    }
    this.#signal?.removeEventListener("abort", this.#closeAtOnce);
    this.#monitor.stop();
    this.#operations.stop();
    await this.#fleet.close(drainMs);
    await this.#standardLog?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #closeAtOnce = (): void => {
    void this.close({ drainMs: 0 });
  };
}

function checkOpenOptions(options: OpenOptions): void {
  if (typeof options !== "object" || options === null) {
    throw refused("options", `must be an object, not ${typeNameOf(options)}`);
  }
  const { logger, signal, unref, workerUrl } = options;
  if (signal !== undefined) {
    checkSignal(signal);
  }
  if (unref !== undefined && typeof unref !== "boolean") {
    throw refused("unref", `must be a boolean, not ${typeNameOf(unref)}`);
  }
  if (workerUrl !== undefined && !URL.canParse(String(workerUrl))) {
    throw refused("workerUrl", "must be a URL, such as file:///…/host-worker.js");
  }
  if (logger !== undefined && typeof logger?.isLevelEnabled !== "function") {
    throw refused("logger", "must be a pino logger");
  }
}
