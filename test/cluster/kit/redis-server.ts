/** A real redis-server on a socket of its own, or what `RELAYPOST_REDIS_SERVER` names (Valkey's, say), started and ended by a test. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const program = process.env.RELAYPOST_REDIS_SERVER ?? "redis-server";

/** What a server is started with; lines of its configuration. */
export type RedisDirectives = readonly string[];

export class RedisServer {
  private child: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    readonly directory: string,
    private readonly directives: RedisDirectives,
    private readonly isSentinel: boolean,
  ) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get socketPath(): string {
    return join(this.directory, "redis.sock");
  }

  /** Starts a server that keeps nothing on disk. */
  static start(directives: RedisDirectives = []): Promise<RedisServer> {
    return RedisServer.startAs(directives, false);
  }

  /** Starts the same program as a sentinel. */
  static startSentinel(directives: RedisDirectives): Promise<RedisServer> {
    return RedisServer.startAs(directives, true);
  }

  private static async startAs(directives: RedisDirectives, isSentinel: boolean): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), "relaypost-redis-"));
    const server = new RedisServer(await freePort(), directory, directives, isSentinel);
    await server.restart();
    return server;
  }

  /** Starts it, or starts it again: what it knew is gone. */
  async restart(): Promise<void> {
    const lines = [
      `port ${this.port}`,
      "bind 127.0.0.1",
      `dir ${this.directory}`,
      ...(this.isSentinel ? [] : [`unixsocket ${this.socketPath}`, 'save ""', "appendonly no"]),
      ...this.directives,
    ];
    const file = join(this.directory, "redis.conf");
    await writeFile(file, `${lines.join("\n")}\n`);
    const child = spawn(program, this.isSentinel ? [file, "--sentinel"] : [file], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.child = child;
    await new Promise<void>((resolve, reject) => {
      let output = "";
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`${program} ended with ${code}: ${output.slice(-2000)}`)));
      child.stdout!.on("data", (text: Buffer) => {
        output += text.toString();
        if (/Ready to accept connections|Sentinel ID is|\+monitor master/.test(output)) {
          resolve();
        }
      });
    });
  }

  /** SIGSTOP: it accepts connections, and says nothing. */
  pause(): void {
    this.child?.kill("SIGSTOP");
  }

  resume(): void {
    this.child?.kill("SIGCONT");
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return;
    }
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    await ended;
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}
