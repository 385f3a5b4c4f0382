/** `relaypost serve` as a process of its own, as an operator would run it. Serves the interop tests of the daemon. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Dovecot } from "./dovecot.js";
import { atEnd, makeFolder } from "./sandbox.js";

const CLI = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

/** A daemon with nothing to serve does not start. */
const IDLE = '[serve.idle]\nprotocol = "http"\nlisten = "127.0.0.1:0"\n';

/** `remote.lmtp` and `remote.imap`: a Dovecot whose authority stands beside the daemon's file as `ca.pem`. */
export function tablesOf({ ports }: Dovecot): string {
  return `
[remote.lmtp]
address = "127.0.0.1"
port = ${ports.lmtp}
protocol = "lmtp"
lookup = true
tls = { implicit = false, starttls = "require", ca = "ca.pem" }
[remote.imap]
address = "127.0.0.1"
port = ${ports.imaps}
protocol = "imap"
lookup = true
tls = { ca = "ca.pem" }
`;
}

/** A running daemon. */
export class ServeProcess implements AsyncDisposable {
  readonly file: string;
  private text = "";
  private wake: () => void = () => {};
  private child!: ChildProcess;
  private kill: () => void = () => {};

  private constructor(
    readonly folder: string,
    private readonly remove: () => void,
  ) {
    this.file = join(folder, "serve.toml");
  }

  /** @param configuration the file; `FOLDER` in it is a folder that everybody may enter. By default it serves nobody of interest. */
  static async start(configuration = IDLE): Promise<ServeProcess> {
    const { path: folder, remove } = makeFolder("serve");
    const serve = new ServeProcess(folder, remove);
    serve.write(configuration);
    await serve.begin();
    return serve;
  }

  /** Starts the process, again if it was stopped; resolves when it serves. */
  async begin(): Promise<void> {
    this.text = "";
    const child = spawn(process.execPath, [CLI, "serve", this.file], { stdio: ["ignore", "inherit", "pipe"] });
    this.child = child;
    this.kill = atEnd(() => child.kill("SIGTERM"));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.text += text;
      this.wake();
    });
    child.on("exit", () => this.wake());
    await this.event("serve-ready");
  }

  /** Ends the process as an operator would; resolves when it is gone. */
  async stop(): Promise<void> {
    const exited = this.child.exitCode === null ? once(this.child, "exit") : undefined;
    this.kill();
    await exited;
  }

  write(configuration: string): void {
    writeFileSync(this.file, configuration.replaceAll("FOLDER", this.folder));
  }

  /** Reads the file again. */
  async reload(): Promise<void> {
    this.text = "";
    this.child.kill("SIGHUP");
    await this.event("serve-reloaded");
  }

  /** What it logged since the last reload. */
  get log(): string {
    return this.text;
  }

  private event(name: string): Promise<void> {
    return this.logged(name, 1);
  }

  /** Resolves when an event was logged so often since the last reload: what the daemon does is seen before its record is read here. */
  async logged(name: string, times: number): Promise<void> {
    while (this.text.split(`"event":"${name}"`).length <= times || !this.text.endsWith("\n")) {
      if (this.child.exitCode !== null) {
        throw new Error(`relaypost serve ended with ${this.child.exitCode}: ${this.text}`);
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.remove();
  }
}
