/** A real Redis for the tests that hold a script's model to it: the test tells the script the time, and hears what it publishes. */
import { createClient } from "@redis/client";
import { RedisServer } from "./redis-server.js";

const clientOf = (url: string) => createClient({ url });
type Client = ReturnType<typeof clientOf>;

/** The same function, told the time by {@link ScriptStage.setTime}. */
export function timed(script: string): string {
  return script.replace("redis.call('TIME')", "redis.call('HMGET', 'clock', 's', 'us')");
}

export class ScriptStage {
  /** What was published on the channel. */
  readonly heard: string[] = [];
  private onHeard: () => void = () => {};

  private constructor(
    private readonly server: RedisServer,
    readonly client: Client,
    private readonly ear: Client,
  ) {}

  static async open(channel: string): Promise<ScriptStage> {
    const server = await RedisServer.start();
    const client = clientOf(server.url);
    const ear = client.duplicate();
    await Promise.all([client.connect(), ear.connect()]);
    const stage = new ScriptStage(server, client, ear);
    await ear.subscribe(channel, (message) => {
      stage.heard.push(message);
      stage.onHeard();
    });
    return stage;
  }

  async setTime(nowMs: number): Promise<void> {
    await this.client.hSet("clock", { s: Math.floor(nowMs / 1000), us: (nowMs % 1000) * 1000 });
  }

  /** Resolves when so many words were heard. */
  async untilHeard(count: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.onHeard = () => {
        if (this.heard.length >= count) {
          resolve();
        }
      };
      this.onHeard();
    });
  }

  async close(): Promise<void> {
    this.client.destroy();
    this.ear.destroy();
    await this.server.close();
  }
}
