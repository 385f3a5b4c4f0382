/** A way to Redis on which a test answers each call, or lets it fail, when it wants to. */
import type { RedisScript } from "../../../src/cluster/redis.js";
import type { SharedLink } from "../../../src/cluster/script-calls.js";

export interface FakeCall {
  readonly keys: readonly string[];
  readonly args: readonly string[];
  readonly answer: (reply: unknown) => void;
  readonly fail: () => void;
}

export class FakeRedisLink implements SharedLink {
  isReady = true;
  /** Those that nobody has settled. */
  calls: FakeCall[] = [];
  private readonly listeners: ((message: string) => void)[] = [];

  run(_script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.calls.push({ keys, args, answer: resolve, fail: () => reject(new Error("Redis cannot be reached")) });
    });
  }

  listen(_channel: string, listener: (message: string) => void): void {
    this.listeners.push(listener);
  }

  publish(message: string): void {
    for (const listener of this.listeners) {
      listener(message);
    }
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
