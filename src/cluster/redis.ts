/**
 * The way to Redis: a connection that is made again whenever it is lost, commands on it that end in time, and what others publish.
 * Serves cluster.ts. What kind of Redis it is is redis-client.ts' affair.
 */
import { createHash } from "node:crypto";
import type { RedisSettings } from "../config/settings.js";
import { type Clock, systemClock } from "../timer-wheel.js";
import { PendingCommands } from "./pending-commands.js";
import { connectClient, loadClient, type RedisClient, type RedisModule } from "./redis-client.js";

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

/** Who hears what is published on a channel. */
interface RedisEar {
  readonly channel: string;
  readonly listener: (message: string) => void;
}

/** Sends what is asked of Redis, and says how that ended. */
type SendRequest<Reply> = (
  client: RedisClient,
  replied: (reply: Reply) => void,
  failed: (error: unknown) => void,
) => void;

/** By what a link counts the time until it connects again. */
export interface ReconnectTiming {
  readonly clock: Clock;
  readonly random: () => number;
}

/** A connection that comes and goes. It does not keep the process alive. */
export class RedisLink {
  /** Called whenever a channel is heard from now on, of those that {@link listen} names. */
  onListening: (channel: string) => void = () => {};
  /** Called whenever a connection stands, when the first attempt has failed, and when one that stood is lost. */
  onSettled: () => void = () => {};
  /** `waiting`: for the next attempt. */
  private state: "connecting" | "ready" | "waiting" | "closed" = "connecting";
  private client: RedisClient | undefined;
  /** The connection that is made now, or was made last: given up with the link. */
  private attempt = new AbortController();
  /** Connections without an answer to any command: a server that accepts and hangs is no better than one that refuses. */
  private attempts = 0;
  /** Why it is not ready. */
  private reason = "it is not connected yet";
  private stopRetry: (() => void) | undefined;
  private readonly pending: PendingCommands;
  private readonly ears: RedisEar[] = [];

  private constructor(
    private readonly redis: RedisModule,
    private readonly settings: RedisSettings,
    timeoutMs: number,
    private readonly timing: ReconnectTiming,
  ) {
    // Whoever does not answer may have lost the connection without a word: the next one is a fresh one.
    this.pending = new PendingCommands(timeoutMs, () =>
      this.lost(new Error(`it did not answer within ${timeoutMs} ms`)),
    );
  }

  /**
   * Begins to connect, and returns.
   *
   * @param timeoutMs how long a command may take
   * @throws RelaypostError CONFIG_VALUE when the client is not installed
   */
  static async open(
    settings: RedisSettings,
    timeoutMs: number,
    timing: ReconnectTiming = { clock: systemClock, random: Math.random },
  ): Promise<RedisLink> {
    const link = new RedisLink(await loadClient(), settings, timeoutMs, timing);
    void link.connect();
    return link;
  }

  get isReady(): boolean {
    return this.state === "ready";
  }

  /** Why it is not ready, or was not. */
  get lastFailure(): string {
    return this.reason;
  }

  /**
   * Runs a script. Rejects within the time limit, and at once while there is no connection.
   *
   * @param waitedMs how long the caller has waited for Redis before: it is part of the time limit
   */
  run(script: RedisScript, keys: readonly string[], args: readonly string[], waitedMs = 0): Promise<unknown> {
    const words = ["EVALSHA", script.digest, String(keys.length), ...keys, ...args];
    const key = keys[0] ?? "";
    return this.request(waitedMs, (client, replied, failed) => {
      client.send(key, words).then(replied, (error: unknown) => {
        if (error instanceof Error && error.message.startsWith("NOSCRIPT")) {
          client.send(key, ["EVAL", script.text, ...words.slice(2)]).then(replied, failed);
        } else {
          failed(error);
        }
      });
    });
  }

  /**
   * Runs commands that are written together. Others' commands may come between them. Rejects as {@link run} does, and where one fails.
   *
   * @param key of any of them: all keys lie in one slot
   * @returns what each is answered
   */
  commands(key: string, all: readonly string[][]): Promise<unknown[]> {
    return this.request(0, (client, replied, failed) => {
      const replies = new Array<unknown>(all.length);
      let missing = all.length;
      for (const [at, words] of all.entries()) {
        client.send(key, words).then((reply) => {
          replies[at] = reply;
          if (--missing === 0) {
            replied(replies);
          }
        }, failed);
      }
    });
  }

  /** Hears what is published on a channel, on this connection and on those after it. Word that was told in between is lost. */
  listen(channel: string, listener: (message: string) => void): void {
    const ear = { channel, listener };
    this.ears.push(ear);
    if (this.client !== undefined) {
      void this.subscribe(this.client, ear);
    }
  }

  /** Rejects where the account may not hear the channel. */
  tryListening(channel: string): Promise<unknown> {
    return this.request<unknown>(0, (client, replied, failed) => {
      client.subscribe(channel, () => {}).then(replied, failed);
    });
  }

  /** Runs a command. */
  command(key: string, args: readonly string[]): Promise<unknown> {
    return this.request(0, (client, replied, failed) => void client.send(key, [...args]).then(replied, failed));
  }

  close(): void {
    this.state = "closed";
    this.stopRetry?.();
    this.drop(new Error("the connection to Redis was closed"));
  }

  private request<Reply>(waitedMs: number, send: SendRequest<Reply>): Promise<Reply> {
    const { client } = this;
    if (client === undefined || this.state !== "ready") {
      return Promise.reject(new Error(`Redis cannot be reached: ${this.reason}`));
    }
    return new Promise((resolve, reject) => {
      const command = this.pending.add(reject, waitedMs);
      const replied = (reply: Reply): void => {
        this.attempts = 0;
        this.pending.settled(command);
        resolve(reply);
      };
      const failed = (error: unknown): void => {
        this.pending.settled(command);
        reject(error);
        if (this.client === client && isOfReplica(error)) {
          this.lost(error);
        }
      };
      send(client, replied, failed);
    });
  }

  private async connect(): Promise<void> {
    this.state = "connecting";
    this.attempt = new AbortController();
    const lost = (error: Error): void => {
      if (this.client === undefined || this.client === client) {
        this.lost(error);
      }
    };
    let client: RedisClient | undefined;
    try {
      client = await connectClient(this.redis, this.settings, lost, this.attempt.signal);
    } catch (error) {
      this.lost(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.isClosed || this.state !== "connecting") {
      client.destroy();
      return;
    }
    this.client = client;
    this.state = "ready";
    this.onSettled();
    await Promise.all(this.ears.map((ear) => this.subscribe(client, ear)));
  }

  private async subscribe(client: RedisClient, ear: RedisEar): Promise<void> {
    try {
      await client.subscribe(ear.channel, ear.listener);
    } catch (error) {
      // An account without the right can still lease places.
      const isForbidden = error instanceof Error && error.message.startsWith("NOPERM");
      if (this.client === client && !isForbidden) {
        this.lost(error instanceof Error ? error : new Error(String(error)));
      }
      return;
    }
    if (this.client === client) {
      this.onListening(ear.channel);
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
    const isNews = this.state === "ready" || this.attempts === 0;
    this.state = "waiting";
    this.reason = describeReason(error);
    this.drop(new Error(`Redis cannot be reached: ${this.reason}`));
    if (isNews) {
      this.onSettled();
    }
    const { clock, random } = this.timing;
    const mostMs = Math.min(RECONNECT_MS * 2 ** this.attempts++, MOST_RECONNECT_MS);
    // Gateways that lost Redis together do not come back together.
    this.stopRetry = clock.after(mostMs * (0.5 + random() / 2), () => void this.connect());
  }

  private drop(error: Error): void {
    const { client } = this;
    this.client = undefined;
    this.attempt.abort();
    this.pending.giveUp(error);
    client?.destroy();
  }
}

/** A master that became a replica keeps its connections: a fresh one goes where the name, or the sentinels, lead by now. */
function isOfReplica(error: unknown): error is Error {
  return error instanceof Error && error.message.startsWith("READONLY");
}

/** What Redis or the system said, without what it may quote of ours. */
function describeReason(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const text = code !== undefined && !error.message.includes(code) ? `${code} ${error.message}` : error.message;
  return text.replace(/[^ -~]+/g, " ").slice(0, MOST_REASON);
}
