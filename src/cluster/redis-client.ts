/**
 * Redis' client as the settings want it: of one server, of a Redis Cluster or of the master behind sentinels. The one owner of
 * `@redis/client`, which is loaded when a configuration first needs it. Serves redis.ts.
 */
import type * as Redis from "@redis/client";
import type { RedisSettings } from "../config/settings.js";
import { RelaypostError } from "../errors.js";

/** How long a connection may take to stand. A gateway does not wait for it. */
const CONNECT_LIMIT_MS = 2_000;

/** The module, for {@link connectClient}. */
export type RedisModule = typeof Redis;

/** What any of the three clients is, for us. */
export interface RedisClient {
  send(key: string, args: string[]): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  destroy(): void;
}

/** @throws RelaypostError CONFIG_VALUE when the client is not installed */
export async function loadClient(): Promise<RedisModule> {
  try {
    return await import("@redis/client");
  } catch (cause) {
    const message = "A [cluster] needs Redis' client, which is not installed: npm install @redis/client";
    throw new RelaypostError("CONFIG_VALUE", message, { cause });
  }
}

/**
 * A client whose connection stands.
 *
 * @param lost told when it has ended, or is as good as ended
 * @param signal gives the attempt up
 * @throws Error when none stood in time
 */
export async function connectClient(
  redis: RedisModule,
  settings: RedisSettings,
  lost: (error: Error) => void,
  signal: AbortSignal,
): Promise<RedisClient> {
  let timer: NodeJS.Timeout | undefined;
  const { client, ready } = makeClient(redis, settings, lost);
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no connection stood within ${CONNECT_LIMIT_MS} ms`)), CONNECT_LIMIT_MS);
    timer.unref();
    signal.addEventListener("abort", () => reject(new Error("the attempt to connect was given up")));
  });
  try {
    await Promise.race([ready, late]);
    return client;
  } catch (error) {
    client.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The client that fits the settings. It does not reconnect: redis.ts does. */
function makeClient(
  redis: RedisModule,
  settings: RedisSettings,
  lost: (error: Error) => void,
): { client: RedisClient; ready: Promise<unknown> } {
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
  // redis.ts limits the time of commands: the client would make an AbortSignal for each, to limit their way to the socket only.
  const commandOptions = { timeout: 0 };
  const node = { ...credentials, socket, commandOptions, disableOfflineQueue: true, name: "relaypost" };
  if (sentinel !== undefined) {
    const client = redis.createSentinel({
      name: sentinel.name,
      sentinelRootNodes: sentinel.urls.map(addressOf),
      nodeClientOptions: node,
      ...(isTls ? { sentinelClientOptions: { socket } } : {}),
      maxCommandRediscovers: 1,
    });
    const subscribe: RedisClient["subscribe"] = (channel, listener) => client.subscribe(channel, listener);
    return wrap(client, { send: (_key, args) => client.sendCommand(false, args), subscribe }, lost);
  }
  if (urls.length > 1) {
    const client = redis.createCluster({ rootNodes: urls.map((url) => ({ url })), defaults: node });
    const subscribe: RedisClient["subscribe"] = (channel, listener) => client.subscribe(channel, listener);
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
  let hearing: Promise<unknown> | undefined;
  const subscribe: RedisClient["subscribe"] = async (channel, listener) => {
    hearing ??= ear.connect().then(() => ear.unref());
    await hearing;
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
  { close, ...calls }: Pick<RedisClient, "send" | "subscribe"> & { readonly close?: () => void },
  lost: (error: Error) => void,
): { client: RedisClient; ready: Promise<unknown> } {
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
  return { client: { ...calls, destroy }, ready };
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 26_379 : Number(port) };
}

function ignore(): void {}
