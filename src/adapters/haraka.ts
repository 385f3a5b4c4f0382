/**
 * A plugin for Haraka 3: `relaypost/haraka`. `config/relaypost.ini` names the remote hosts that check recipients, check passwords and
 * receive messages; they may be the same host. The plugin file in Haraka's folder is one line; see examples/haraka/.
 */
import cluster from "node:cluster";
import { isAbsolute, join } from "node:path";
import { PassThrough } from "node:stream";
import type { LookupAnswer, RequestOptions } from "../api.js";
import { loadSettings } from "../config/load.js";
import { type RemoteHost, RemoteHosts } from "../remote-hosts.js";
import { type LogRecord, recordLogger } from "../runtime/loggers.js";
import { type ClientConnection, clientOf } from "./haraka-client.js";
import {
  type ClientReply,
  replyToLoginError,
  replyToLookupError,
  replyToMessage,
  replyToRefusedRecipient,
  replyToRelayError,
  textOf,
} from "./replies.js";

/** Haraka's return values (haraka-constants). */
const CONT = 900;
const DENY = 902;
const DENYSOFT = 903;
const OK = 906;

/** Haraka gives a plugin up after its timeout; nothing may be under way then. */
const MARGIN_MS = 1_000;

type Next = (value?: number, message?: unknown) => void;

/** What of Haraka's plugin object is used. */
export interface HarakaPlugin {
  readonly name: string;
  /** In seconds; 0 for none. */
  readonly timeout: number;
  readonly config: {
    readonly root_path: string;
    readonly overrides_path?: string;
    get(name: "smtp.ini"): { main: { nodes?: unknown } };
    get(name: "relaypost.ini", options: { booleans: string[] }, changed: () => void): HarakaConfig;
  };
  readonly base: Record<string, { check_user: CheckUser }>;
  inherits(parent: string): void;
  register_hook(hook: string, method: string): void;
  lognotice(message: string): void;
  logwarn(message: string): void;
  logerror(message: string): void;
  blankout_password?: boolean;
  check_user?: CheckUser;
  hook_capabilities?: (next: Next, connection: HarakaConnection) => void;
  /** Kept by this plugin. */
  relaypost?: {
    config: HarakaConfig;
    /** Haraka listens before anything can be waited for, so requests wait. */
    remotes: Promise<RemoteHosts> | undefined;
  };
}

/** `config/relaypost.ini`. */
interface HarakaConfig {
  readonly main: {
    /** The TOML file of the remote hosts, relative to Haraka's `config/`. Default: `relaypost.toml`. */
    readonly hosts?: string;
    /** Ids of hosts. What is not given is left to other plugins. */
    readonly recipients?: string;
    readonly users?: string;
    readonly queue?: string;
    readonly queue_outbound?: string;
    /** Offer AUTH without TLS. */
    readonly insecure_auth?: boolean;
  };
}

interface HarakaAddress {
  readonly address: string | (() => string);
}

interface HarakaTransaction {
  readonly mail_from: HarakaAddress;
  readonly rcpt_to: readonly HarakaAddress[];
  readonly notes: { get(path: string): unknown };
  readonly message_stream: {
    pipe(to: NodeJS.WritableStream, options: { line_endings: string }): void;
    unpipe?(): void;
  };
}

/** What of Haraka's connection is used. */
export interface HarakaConnection extends ClientConnection {
  readonly relaying: boolean;
  readonly tls: { readonly enabled: boolean };
  readonly capabilities: string[];
  readonly notes: Record<string, unknown>;
  readonly transaction: HarakaTransaction | null;
  respond(code: number, text: string, done: () => void): void;
  reset_transaction(done: () => void): void;
  logerror(plugin: HarakaPlugin, message: string): void;
}

type CheckUser = (
  this: unknown,
  next: Next,
  connection: HarakaConnection,
  credentials: readonly string[],
  method: string,
) => void;

/** Reads `relaypost.ini` and takes part in what it names. */
export function register(this: HarakaPlugin): void {
  const config = readConfig(this);
  this.relaypost = { config, remotes: undefined };
  // The master of a cluster relays nothing itself.
  if (!cluster.isPrimary || !this.config.get("smtp.ini").main.nodes) {
    this.relaypost.remotes = open(this);
    this.relaypost.remotes.catch(() => {});
  }
  const { recipients, users, queue, queue_outbound } = config.main;
  this.register_hook("init_master", "relaypost_init");
  this.register_hook("init_child", "relaypost_init");
  if (recipients !== undefined) {
    this.register_hook("rcpt", "relaypost_rcpt");
  }
  if (queue !== undefined) {
    this.register_hook("queue", "relaypost_queue");
  }
  if (queue_outbound !== undefined) {
    this.register_hook("queue_outbound", "relaypost_queue_outbound");
  }
  if (users === undefined) {
    return;
  }
  this.blankout_password = true;
  this.hook_capabilities = offerAuth;
  this.check_user = checkUser;
  this.inherits("auth/auth_base");
}

/** A mistake in the hosts' file keeps Haraka from starting. */
export function relaypost_init(this: HarakaPlugin, next: Next): void {
  const work: Promise<unknown> = this.relaypost!.remotes ?? loadSettings(hostsFile(this));
  work.then(
    () => next(),
    (error) => next(DENY, `relaypost: ${error.message}`),
  );
}

/** RCPT. Clients that may relay are not asked about: their recipients are elsewhere. */
export function relaypost_rcpt(
  this: HarakaPlugin,
  next: Next,
  connection: HarakaConnection,
  [rcpt]: readonly HarakaAddress[],
): void {
  if (connection.relaying) {
    next();
    return;
  }
  ask(this, connection, "recipients", (host, options) => host.checkRecipient(addressOf(rcpt!), options)).then(
    (answer) => (answer.found ? next(OK) : next(DENY, new DSN(replyToRefusedRecipient(answer)))),
    (error) => {
      connection.logerror(this, describe(error));
      const reply = replyToLookupError(error);
      next(reply.code < 500 ? DENYSOFT : DENY, new DSN(reply));
    },
  );
}

/** The queue of clients that may not relay: mail for our own recipients. */
export function relaypost_queue(this: HarakaPlugin, next: Next, connection: HarakaConnection): void {
  deliver(this, "queue", next, connection);
}

/** The queue of clients that may relay. */
export function relaypost_queue_outbound(this: HarakaPlugin, next: Next, connection: HarakaConnection): void {
  deliver(this, "queue_outbound", next, connection);
}

/** Haraka ends or reloads its plugins. */
export function shutdown(this: HarakaPlugin): void {
  this.relaypost?.remotes?.then((remotes) => remotes.close()).catch(() => {});
}

function deliver(
  plugin: HarakaPlugin,
  role: "queue" | "queue_outbound",
  next: Next,
  connection: HarakaConnection,
): void {
  const { transaction } = connection;
  const wanted = transaction?.notes.get("queue.wants");
  if (transaction === null || (wanted !== undefined && wanted !== plugin.name)) {
    next();
    return;
  }
  const envelope = {
    from: addressOf(transaction.mail_from),
    to: transaction.rcpt_to.map(addressOf),
  };
  // Haraka's own stream knows no backpressure towards an iterator; this one does, and holds 64 KiB.
  const content = new PassThrough();
  transaction.message_stream.pipe(content, { line_endings: "\r\n" });
  ask(plugin, connection, role, (host, options) => host.relay(envelope, content, options))
    .then(
      ({ recipients }) => replyToMessage(recipients),
      (error) => {
        connection.logerror(plugin, describe(error));
        return replyToRelayError(error);
      },
    )
    .then((reply) => {
      transaction.message_stream.unpipe?.();
      content.destroy();
      next(reply.code < 400 ? OK : reply.code < 500 ? DENYSOFT : DENY, textOf(reply));
    });
}

/** In place of auth_base's: no answer is no wrong password, and is not counted as one. */
const checkUser: CheckUser = function (this: unknown, next, connection, credentials, method) {
  const plugin = this as HarakaPlugin;
  const base = plugin.base["auth/auth_base"]!;
  const [username = "", secret = ""] = credentials;
  const conclude = (found: boolean): void => {
    const check_plain_passwd = (_: unknown, _user: string, _secret: string, done: (found: boolean) => void) =>
      done(found);
    base.check_user.call(
      Object.create(plugin, { check_plain_passwd: { value: check_plain_passwd } }),
      next,
      connection,
      credentials,
      method,
    );
  };
  if (username === "" || secret === "") {
    conclude(false);
    return;
  }
  ask(
    plugin,
    connection,
    "users",
    (host, options): Promise<LookupAnswer> => host.authenticate({ username, secret }, options),
  ).then(
    ({ found }) => conclude(found),
    (error) => {
      const reply = replyToLoginError(error);
      if (reply.code >= 500) {
        conclude(false);
        return;
      }
      connection.logerror(plugin, describe(error));
      connection.notes.authenticating = false;
      connection.respond(reply.code, textOf(reply), () => connection.reset_transaction(() => next(OK)));
    },
  );
};

/** Only mechanisms that show the password: it has to be asked about. */
function offerAuth(this: HarakaPlugin, next: Next, connection: HarakaConnection): void {
  if (connection.tls.enabled || this.relaypost!.config.main.insecure_auth === true) {
    const mechanisms = ["PLAIN", "LOGIN"];
    connection.capabilities.push(`AUTH ${mechanisms.join(" ")}`);
    connection.notes.allowed_auth_methods = mechanisms;
  }
  next(CONT);
}

async function ask<T>(
  plugin: HarakaPlugin,
  connection: HarakaConnection,
  role: "recipients" | "users" | "queue" | "queue_outbound",
  request: (host: RemoteHost, options: RequestOptions) => Promise<T>,
): Promise<T> {
  const { config, remotes } = plugin.relaypost!;
  if (remotes === undefined) {
    throw new Error("the master of a cluster serves nobody");
  }
  const limitMs = plugin.timeout * 1000 - MARGIN_MS;
  const options = { ...(limitMs > 0 ? { timeoutMs: limitMs } : {}), ...clientOf(connection) };
  return request((await remotes).host(config.main[role] ?? ""), options);
}

async function open(plugin: HarakaPlugin): Promise<RemoteHosts> {
  const logger = recordLogger((record) => log(plugin, record));
  const remotes = await RemoteHosts.open(hostsFile(plugin), { logger, unref: true });
  const { main } = plugin.relaypost!.config;
  for (const id of [main.recipients, main.users, main.queue, main.queue_outbound]) {
    if (id !== undefined) {
      remotes.host(id);
    }
  }
  return remotes;
}

function readConfig(plugin: HarakaPlugin): HarakaConfig {
  return plugin.config.get("relaypost.ini", { booleans: ["-main.insecure_auth"] }, () => {
    const { relaypost } = plugin;
    if (relaypost === undefined) {
      return;
    }
    relaypost.config = readConfig(plugin);
    relaypost.remotes
      ?.then((remotes) => remotes.reload(hostsFile(plugin)))
      .then(
        ({ added, changed, removed }) =>
          plugin.lognotice(`reloaded: ${added.length} added, ${changed.length} changed, ${removed.length} removed`),
        (error) => plugin.logerror(`not reloaded: ${describe(error)}`),
      );
  });
}

function hostsFile({ config, relaypost }: HarakaPlugin): string {
  const file = relaypost!.config.main.hosts ?? "relaypost.toml";
  return isAbsolute(file) ? file : join(config.overrides_path ?? config.root_path, file);
}

function log(plugin: HarakaPlugin, { level, event, hostId, msg }: LogRecord): void {
  const line = `${event}${hostId === undefined ? "" : ` ${hostId}`}: ${msg}`;
  if (level === "error") {
    plugin.logerror(line);
  } else {
    plugin.logwarn(line);
  }
}

/** A property in Haraka's newer addresses, a method in its older ones. */
function addressOf(path: HarakaAddress): string {
  return typeof path.address === "function" ? path.address() : path.address;
}

function describe(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return `${code ?? "error"}: ${message ?? error}`;
}

/** A reply with a code of its own. Haraka knows such an object by its constructor's name. */
class DSN {
  readonly code: number;
  readonly reply: string;

  constructor(reply: ClientReply) {
    this.code = reply.code;
    this.reply = textOf(reply);
  }

  toString(): string {
    return this.reply;
  }
}
