/** A way to Redis on which a test answers each call, or lets it fail, when it wants to. */
import type { RedisScript } from "../../../src/cluster/redis.js";
import type { ReadingLink } from "../../../src/cluster/script-calls.js";

/** A script's, with its arguments, or plain commands, of which each has its words. */
export interface FakeCall {
  readonly keys: readonly string[];
  readonly args: readonly string[];
  readonly commands: readonly (readonly string[])[];
  readonly waitedMs: number;
  readonly answer: (reply: unknown) => void;
  readonly fail: () => void;
}

export class FakeRedisLink implements ReadingLink {
  isReady = true;
  /** Those that nobody has settled. */
  calls: FakeCall[] = [];
  private readonly listeners: ((message: string) => void)[] = [];

  run(_script: RedisScript, keys: readonly string[], args: readonly string[], waitedMs = 0): Promise<unknown> {
    return this.settled({ keys, args, commands: [], waitedMs });
  }

  commands(key: string, all: readonly string[][]): Promise<unknown[]> {
    return this.settled({ keys: [key], args: [], commands: all, waitedMs: 0 }) as Promise<unknown[]>;
  }

  listen(_channel: string, listener: (message: string) => void): void {
    this.listeners.push(listener);
  }

  publish(message: string): void {
    for (const listener of this.listeners) {
      listener(message);
    }
  }

  private settled(call: Omit<FakeCall, "answer" | "fail">): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.calls.push({ ...call, answer: resolve, fail: () => reject(new Error("Redis cannot be reached")) });
    });
  }

  /** The oldest call that waits. */
  take(): FakeCall {
    const call = this.calls.shift();
    if (call === undefined) {
      throw new Error("nothing was asked of Redis");
    }
    return call;
  }
}
