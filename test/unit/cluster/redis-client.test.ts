import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, test } from "node:test";
import { connectClient, type RedisModule } from "../../../src/cluster/redis-client.js";

/** A client whose connection never stands. */
class SilentClient extends EventEmitter {
  isDestroyed = false;

  connect(): Promise<never> {
    return new Promise(() => {});
  }

  duplicate(): SilentClient {
    return new SilentClient();
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

describe("a connection to Redis that does not stand", () => {
  test("is given up with its link, and keeps no process alive until then", async () => {
    const client = new SilentClient();
    const redis = { createClient: () => client } as unknown as RedisModule;
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const attempt = new AbortController();
    const connected = connectClient(redis, { urls: ["redis://127.0.0.1:1"] }, () => {}, attempt.signal);
    assert.equal(timers(), before);
    attempt.abort();
    await assert.rejects(connected, /given up/);
    assert.ok(client.isDestroyed);
  });
});
