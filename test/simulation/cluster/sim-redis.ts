/** The Redis of simulated gateways that share answers or health: a script's model behind links that come and go, and the words it publishes. */
import type { RedisScript } from "../../../src/cluster/redis.js";
import type { ReadingLink } from "../../../src/cluster/script-calls.js";
import type { Random } from "../random.js";
import type { VirtualTime } from "../virtual-time.js";

const TIMEOUT_MS = 100;
const FIRST_RECONNECT_MS = 250;
const MOST_RECONNECT_MS = 5_000;

/** `paused`: what comes is done when it goes on. `down`: nothing comes, and connections are refused. */
export type RedisState = "up" | "paused" | "down";

export class SimRedis {
  readonly links = new Set<SimRedisLink>();
  state: RedisState = "up";
  /** How far Redis' clock is ahead. */
  offsetMs = 1e9;
  /** Of each way of a call. */
  mostDelayMs = 10;
  /** Calls of one connection overtake each other, as those of several connections do. Not so: as they do on a real one. */
  isOrdered = false;
  calls = 0;
  /** What came while it was paused. */
  private waiting: (() => void)[] = [];

  constructor(
    readonly time: VirtualTime,
    readonly random: Random,
    /** What the script does, at a time of Redis' clock. */
    private readonly script: (keys: readonly string[], args: readonly string[], nowMs: number) => unknown,
    /** What a plain command reads. */
    private readonly read: (words: readonly string[], nowMs: number) => unknown = () => undefined,
  ) {}

  publish(message: string): void {
    for (const link of this.links) {
      link.hear(message);
    }
  }

  /** Of its own clock. */
  get nowMs(): number {
    return Math.floor(this.time.nowMs + this.offsetMs);
  }

  /** Something reaches the server. */
  arrive(run: () => void): void {
    if (this.state === "up") {
      run();
    } else if (this.state === "paused") {
      this.waiting.push(run);
    }
  }

  resume(): void {
    this.state = "up";
    for (const run of this.waiting.splice(0)) {
      run();
    }
  }

  /** Its process ended: connections are gone, and what was under way. */
  stop(): void {
    this.state = "down";
    this.waiting = [];
    for (const link of this.links) {
      link.lost();
    }
  }

  /** Runs a script. */
  apply(keys: readonly string[], args: readonly string[]): unknown {
    this.calls++;
    return this.script(keys, args, this.nowMs);
  }

  /** Runs a plain command. */
  answer(words: readonly string[]): unknown {
    this.calls++;
    return this.read(words, this.nowMs);
  }
}

/** One gateway's connections, as src/cluster/redis.ts keeps them. */
export class SimRedisLink implements ReadingLink {
  isReady = false;
  /** Nothing comes through. */
  isCut = false;
  onListening: () => void = () => {};
  private isListening = false;
  private listener: (message: string) => void = () => {};
  private attempts = 0;
  /** Counts connections: what belongs to a former one is lost. */
  private connection = 0;
  private readonly waiting = new Set<(error: Error) => void>();
  /** Words keep their order. */
  private lastWordMs = 0;
  private lastCallMs = 0;
  private lastReplyMs = 0;

  /** @param process events of the gateway's process, which may be stopped or dead */
  constructor(
    private readonly redis: SimRedis,
    private readonly process: (event: () => void) => void,
  ) {
    redis.links.add(this);
    this.connect();
  }

  listen(_channel: string, listener: (message: string) => void): void {
    this.listener = listener;
  }

  async run(
    _script: RedisScript,
    keys: readonly string[],
    args: readonly string[],
    waitedMs: number = 0,
  ): Promise<unknown> {
    const [reply] = await this.request(waitedMs, [() => this.redis.apply(keys, args)]);
    return reply;
  }

  /** As on a real one, each comes at a time of its own. */
  commands(_key: string, all: readonly string[][]): Promise<unknown[]> {
    return this.request(
      0,
      all.map((words) => () => this.redis.answer(words)),
    );
  }

  private request(waitedMs: number, calls: readonly (() => unknown)[]): Promise<unknown[]> {
    if (!this.isReady) {
      return Promise.reject(new Error("Redis cannot be reached"));
    }
    const { redis, connection } = this;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.waiting.delete(fail);
        reject(error);
      };
      this.waiting.add(fail);
      redis.time.after(TIMEOUT_MS - waitedMs, () =>
        this.process(() => {
          if (this.waiting.has(fail)) {
            this.lost();
          }
        }),
      );
      const replies: unknown[] = [];
      let missing = calls.length;
      for (const [at, call] of calls.entries()) {
        this.pass(() => {
          const reply = call();
          this.back(connection, () => {
            replies[at] = reply;
            if (--missing === 0 && this.waiting.delete(fail)) {
              resolve(replies);
            }
          });
        });
      }
    });
  }

  /** Word that was published. */
  hear(message: string): void {
    const { redis, connection, isListening } = this;
    if (!isListening || this.isCut) {
      return;
    }
    const { time, random } = redis;
    this.lastWordMs = Math.max(this.lastWordMs, time.nowMs + random.skewed(0.1, redis.mostDelayMs));
    time.after(this.lastWordMs - time.nowMs, () =>
      this.process(() => {
        if (this.connection === connection && !this.isCut) {
          this.listener(message);
        }
      }),
    );
  }

  /** The connection is gone, and another one is made later. */
  lost(): void {
    if (this.connection < 0) {
      return;
    }
    this.connection++;
    this.isReady = false;
    this.isListening = false;
    for (const fail of [...this.waiting]) {
      fail(new Error("Redis cannot be reached"));
    }
    const waitMs = Math.min(FIRST_RECONNECT_MS * 2 ** this.attempts++, MOST_RECONNECT_MS);
    this.redis.time.after(waitMs, () => this.process(() => this.connect()));
  }

  /** The process is gone. What it sent may still arrive. */
  end(): void {
    this.redis.links.delete(this);
    this.isReady = false;
    this.isListening = false;
    this.connection = Number.NEGATIVE_INFINITY;
  }

  private connect(): void {
    const { redis, connection } = this;
    if (redis.state !== "up" || this.isCut) {
      this.lost();
      return;
    }
    this.isReady = true;
    this.attempts = 0;
    this.pass(() => {
      if (this.connection !== connection) {
        return;
      }
      this.isListening = true;
      this.back(connection, () => this.onListening());
    });
  }

  /** The way back, on a connection that stands then. */
  private back(connection: number, run: () => void): void {
    const { time } = this.redis;
    this.lastReplyMs = this.arrivalMs(this.lastReplyMs);
    time.after(this.lastReplyMs - time.nowMs, () => {
      if (!this.isCut) {
        this.process(() => this.connection === connection && run());
      }
    });
  }

  private arrivalMs(lastMs: number): number {
    const { time, random, mostDelayMs, isOrdered } = this.redis;
    const dueMs = time.nowMs + random.skewed(0.1, mostDelayMs);
    return isOrdered ? Math.max(lastMs, dueMs) : dueMs;
  }

  /** The way to Redis, unless the link is cut before it is over. */
  private pass(run: () => void): void {
    const { redis } = this;
    this.lastCallMs = this.arrivalMs(this.lastCallMs);
    redis.time.after(this.lastCallMs - redis.time.nowMs, () => {
      if (!this.isCut) {
        redis.arrive(run);
      }
    });
  }
}
