/** Postfix's smtp-sink: the sink that everybody measures against. Started on a free port, stopped by its own PID. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Where Debian and others keep it, which is not on everybody's PATH. */
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;

/** Whether Postfix's tools are installed here. */
export function hasPostfixTools(): boolean {
  return ["smtp-sink", "smtp-source"].every((tool) => spawnSync("which", [tool], { env: { PATH } }).status === 0);
}

/** Postfix's tools want a configuration, however empty. */
export class PostfixTools implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "relaypost-bench-"));
  readonly env = { ...process.env, PATH, MAIL_CONFIG: this.#directory };

  constructor() {
    writeFileSync(join(this.#directory, "main.cf"), "compatibility_level = 3.6\n");
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}

/** A running smtp-sink. */
export class SmtpSink implements AsyncDisposable {
  private constructor(
    readonly port: number,
    private readonly process: ChildProcess,
    private readonly tools: PostfixTools,
  ) {}

  static async start(protocol: "smtp" | "lmtp"): Promise<SmtpSink> {
    const tools = new PostfixTools();
    const port = await freePort();
    const flags = protocol === "lmtp" ? ["-L"] : [];
    if (process.getuid?.() === 0) {
      flags.push("-u", "nobody");
    }
    const child = spawn("smtp-sink", [...flags, `127.0.0.1:${port}`, "1000"], {
      env: tools.env,
      stdio: ["ignore", "ignore", "inherit"],
    });
    const sink = new SmtpSink(port, child, tools);
    // Unlike the children of child.ts, it does not notice that this process is gone.
    const end = (): unknown => child.kill("SIGKILL");
    process.once("exit", end);
    child.once("exit", () => process.off("exit", end));
    for (let attempt = 0; !(await answers(port)); attempt++) {
      if (attempt > 100 || child.exitCode !== null) {
        await sink[Symbol.asyncDispose]();
        throw new Error("smtp-sink does not start");
      }
      await sleep(20);
    }
    return sink;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exit = once(this.process, "exit");
      this.process.kill("SIGKILL");
      await exit;
    }
    this.tools[Symbol.dispose]();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("data", () => {
      resolve(true);
      socket.destroy();
    });
    socket.once("error", () => resolve(false)).once("close", () => resolve(false));
  });
}
