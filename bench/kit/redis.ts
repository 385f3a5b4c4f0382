/** A redis-server for a benchmark, on a unix socket of its own; it keeps nothing on disk. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Redis implements AsyncDisposable {
  private constructor(
    private readonly server: ChildProcess,
    private readonly folder: string,
  ) {}

  /** `undefined`: there is no redis-server on this machine. */
  static async start(): Promise<Redis | undefined> {
    const folder = await mkdtemp(join(tmpdir(), "relaypost-bench-"));
    const options = ["--port", "0", "--unixsocket", join(folder, "redis.sock"), "--save", "", "--appendonly", "no"];
    const server = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] });
    const isUp = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.once("exit", () => resolve(false));
      server.stdout.on("data", (text: Buffer) => {
        if (/ready to accept connections/i.test(text.toString())) {
          resolve(true);
        }
      });
    });
    if (!isUp) {
      await rm(folder, { recursive: true });
      return undefined;
    }
    return new Redis(server, folder);
  }

  get socketPath(): string {
    return join(this.folder, "redis.sock");
  }

  /** As `cluster.url` has it. */
  get url(): string {
    return `unix:${this.socketPath}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.server, "exit");
    this.server.kill("SIGKILL");
    await exit;
    await rm(this.folder, { recursive: true });
  }
}
