/**
 * The one owner of Redis' client: a connection to a server, a Redis Cluster or the master of a sentinel, made again whenever it is
 * lost, and commands on it that end in time. Serves cluster.ts. The client is loaded when a configuration first needs it.
 */
import { createHash } from "node:crypto";
import type * as Redis from "@redis/client";
import type { RedisSettings } from "../config/settings.js";
import { RelaypostError } from "../errors.js";

/** How long a connection may take to stand. A gateway does not wait for it. */
const CONNECT_LIMIT_MS = 2_000;
const RECONNECT_MS = 250;
const MOST_RECONNECT_MS = 5_000;
/** What a lost connection is told of Redis' own words: enough to act on, and no more. */
const MOST_REASON = 200;

/** A Lua function, called by its digest. */
export class RedisScript {
  readonly digest: string;

  constructor(readonly text: string) {
    this.digest = createHash("sha1").update(text).digest("hex");
  }
}

/** What any of the three clients is, for us. */
interface Sender {
  send(key: string, args: string[]): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  destroy(): void;
}

/** A connection that comes and goes. It does not keep the process alive. */
export class RedisLink {
  /** Called whenever what {@link listen} names is heard from now on. */
  onListening: () => void = () => {};
  /** Called whenever a connection stands, and when the first attempt has failed. */
  onSettled: () => void = () => {};
  /** `waiting`: for the next attempt. */
  private state: "connecting" | "ready" | "waiting" | "closed" = "connecting";
  private sender: Sender | undefined;
  private attempts = 0;
  /** Why it is not ready. */
  private reason = "it is not connected yet";
  private retry: NodeJS.Timeout | undefined;
  /** Rejects the commands that wait when the connection is given up. */
  private readonly waiting = new Set<(error: Error) => void>();
  private ear: { readonly channel: string; readonly listener: (message: string) => void } | undefined;

  private constructor(
    private readonly redis: typeof Redis,
    private readonly settings: RedisSettings,
    private readonly timeoutMs: number,
  ) {}

  /**
   * Begins to connect, and returns.
   *
   * @param timeoutMs how long a command may take
   * @throws RelaypostError CONFIG_VALUE when the client is not installed
   */
  static async open(settings: RedisSettings, timeoutMs: number): Promise<RedisLink> {
    const link = new RedisLink(await loadClient(), settings, timeoutMs);
    void link.connect();
    return link;
  }

  get isReady(): boolean {
    return this.state === "ready";
  }

  /** Runs a script. Rejects within the time limit, and at once while there is no connection. */
  run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const [key = ""] = keys;
    const rest = [String(keys.length), ...keys, ...args];
    return this.limited(async (sender) => {
      try {
        return await sender.send(key, ["EVALSHA", script.digest, ...rest]);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) {
          throw error;
        }
        return await sender.send(key, ["EVAL", script.text, ...rest]);
      }
    });
  }

  /** Hears what is published on a channel, on this connection and on those after it. Word that was told in between is lost. */
  listen(channel: string, listener: (message: string) => void): void {
    this.ear = { channel, listener };
    if (this.sender !== undefined) {
      void this.subscribe(this.sender);
    }
  }

  /** Runs a command. */
  command(key: string, args: readonly string[]): Promise<unknown> {
    return this.limited((sender) => sender.send(key, [...args]));
  }

  close(): void {
    this.state = "closed";
    clearTimeout(this.retry);
    this.drop(new Error("the connection to Redis was closed"));
  }

  private limited(work: (sender: Sender) => Promise<unknown>): Promise<unknown> {
    const { sender } = this;
    if (sender === undefined || this.state !== "ready") {
      return Promise.reject(new Error(`Redis cannot be reached: ${this.reason}`));
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.waiting.delete(fail);
      };
      const fail = (error: Error): void => {
        settle();
        reject(error);
      };
      // Whoever does not answer may have lost the connection without a word: the next one is a fresh one.
      const timer = setTimeout(() => {
        if (this.sender === sender) {
          this.lost(new Error(`it did not answer within ${this.timeoutMs} ms`));
        } else {
          fail(new Error("Redis did not answer in time"));
        }
      }, this.timeoutMs);
      this.waiting.add(fail);
      work(sender).then((reply) => {
        settle();
        resolve(reply);
      }, fail);
    });
  }

  private async connect(): Promise<void> {
    this.state = "connecting";
    const lost = (error: Error): void => {
      if (this.sender === undefined || this.sender === sender) {
        this.lost(error);
      }
    };
    let sender: Sender | undefined;
    try {
      sender = await connectWithin(CONNECT_LIMIT_MS, this.redis, this.settings, lost);
    } catch (error) {
      this.lost(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.isClosed || this.state !== "connecting") {
      sender.destroy();
      return;
    }
    this.sender = sender;
    this.attempts = 0;
    this.state = "ready";
    this.onSettled();
    await this.subscribe(sender);
  }

  private async subscribe(sender: Sender): Promise<void> {
    if (this.ear === undefined) {
      return;
    }
    const { channel, listener } = this.ear;
    try {
      await sender.subscribe(channel, listener);
    } catch (error) {
      if (this.sender === sender) {
        this.lost(error instanceof Error ? error : new Error(String(error)));
      }
      return;
    }
    if (this.sender === sender) {
      this.onListening();
    }
  }

  private get isClosed(): boolean {
    return this.state === "closed";
  }

  /** The connection is gone, or as good as gone: another one is made later, and later each time. */
  private lost(error: Error): void {
    if (this.state === "closed" || this.state === "waiting") {
      return;
    }
    this.state = "waiting";
    this.reason = describeReason(error);
    this.drop(new Error(`Redis cannot be reached: ${this.reason}`));
    if (this.attempts === 0) {
      this.onSettled();
    }
    const waitMs = Math.min(RECONNECT_MS * 2 ** this.attempts++, MOST_RECONNECT_MS);
    this.retry = setTimeout(() => void this.connect(), waitMs);
    this.retry.unref();
  }

  private drop(error: Error): void {
    const { sender } = this;
    this.sender = undefined;
    for (const fail of [...this.waiting]) {
      fail(error);
    }
    sender?.destroy();
  }
}

async function loadClient(): Promise<typeof Redis> {
  try {
    return await import("@redis/client");
  } catch (cause) {
    const message = "A [cluster] needs Redis' client, which is not installed: npm install @redis/client";
    throw new RelaypostError("CONFIG_VALUE", message, { cause });
  }
}

/** What Redis or the system said, without what it may quote of ours. */
function describeReason(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const text = code !== undefined && !error.message.includes(code) ? `${code} ${error.message}` : error.message;
  return text.replace(/[^ -~]+/g, " ").slice(0, MOST_REASON);
}

async function connectWithin(
  limitMs: number,
  redis: typeof Redis,
  settings: RedisSettings,
  lost: (error: Error) => void,
): Promise<Sender> {
  let timer: NodeJS.Timeout | undefined;
  const { sender, ready } = makeSender(redis, settings, lost);
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no connection stood within ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([ready, late]);
    return sender;
  } catch (error) {
    sender.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The client that fits the settings. It does not reconnect: {@link RedisLink} does. */
function makeSender(
  redis: typeof Redis,
  settings: RedisSettings,
  lost: (error: Error) => void,
): { sender: Sender; ready: Promise<unknown> } {
  const { urls, sentinel, username, password, ca } = settings;
  const credentials = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
  const isTls = (sentinel === undefined ? urls[0] : sentinel.urls[0])?.startsWith("rediss:") === true;
  const socket = {
    reconnectStrategy: false as const,
    connectTimeout: CONNECT_LIMIT_MS,
    ...(isTls ? { tls: true as const, ...(ca === undefined ? {} : { ca }) } : {}),
  };
  const node = { ...credentials, socket, disableOfflineQueue: true, name: "relaypost" };
  if (sentinel !== undefined) {
    const client = redis.createSentinel({
      name: sentinel.name,
      sentinelRootNodes: sentinel.urls.map(addressOf),
      nodeClientOptions: node,
      ...(isTls ? { sentinelClientOptions: { socket } } : {}),
      maxCommandRediscovers: 1,
    });
    const subscribe: Sender["subscribe"] = (channel, listener) => client.subscribe(channel, listener);
    return wrap(client, { send: (_key, args) => client.sendCommand(false, args), subscribe }, lost);
  }
  if (urls.length > 1) {
    const client = redis.createCluster({ rootNodes: urls.map((url) => ({ url })), defaults: node });
    const subscribe: Sender["subscribe"] = (channel, listener) => client.subscribe(channel, listener);
    return wrap(client, { send: (key, args) => client.sendCommand(key, false, args), subscribe }, lost);
  }
  const url = urls[0]!;
  const path = url.startsWith("unix:") ? url.replace(/^unix:(?:\/\/)?/, "") : undefined;
  const client =
    path === undefined
      ? redis.createClient({ ...node, url })
      : redis.createClient({ ...node, socket: { reconnectStrategy: false, path, tls: false } });
  // With RESP 2 whoever listens says nothing else: a second connection does.
  const ear = client.duplicate();
  ear.on("error", lost);
  const subscribe: Sender["subscribe"] = async (channel, listener) => {
    await ear.connect();
    ear.unref();
    await ear.subscribe(channel, listener);
  };
  const close = (): void => {
    if (ear.isOpen) {
      ear.destroy();
    }
  };
  return wrap(client, { send: (_key, args) => client.sendCommand(args), subscribe, close }, lost);
}

interface AnyClient {
  unref?(): void;
  connect(): Promise<unknown>;
  destroy(): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

function wrap(
  client: AnyClient,
  { close, ...calls }: Pick<Sender, "send" | "subscribe"> & { readonly close?: () => void },
  lost: (error: Error) => void,
): { sender: Sender; ready: Promise<unknown> } {
  let isDestroyed = false;
  client.on("error", (error) => {
    if (!isDestroyed) {
      lost(error);
    }
  });
  const destroy = (): void => {
    if (isDestroyed) {
      return;
    }
    isDestroyed = true;
    close?.();
    // One that never stood says so by an exception, or a rejection.
    try {
      void Promise.resolve(client.destroy()).catch(ignore);
    } catch {}
  };
  const ready = client.connect();
  ready.then(() => client.unref?.(), ignore);
  return { sender: { ...calls, destroy }, ready };
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 26_379 : Number(port) };
}

function ignore(): void {}
