/** The driver's hold on the process of services at several nodes: begins their troubles, and asks for what was broken. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export class Nodes implements AsyncDisposable {
  private constructor(
    private readonly child: ChildProcess,
    private readonly breach: (promise: string, what: string) => void,
  ) {}

  /** Resolves when all of them serve, and their troubles begin. */
  static async start(seed: number, breach: (promise: string, what: string) => void): Promise<Nodes> {
    const file = fileURLToPath(new URL("./nodes-process.js", import.meta.url));
    const child = fork(file, [String(seed)], { serialization: "advanced", execArgv: [] });
    child.once("exit", (code) => {
      if (code !== 0 && !child.killed) {
        console.error(`the nodes' process ended with ${code}`);
        process.exit(1);
      }
    });
    await once(child, "message");
    return new Nodes(child, breach);
  }

  /** Ends the troubles, and tells what was not as promised; resolves when all is well again. */
  async finish(): Promise<void> {
    this.child.send("enough");
    const [{ broken }] = (await once(this.child, "message")) as [
      { broken: Record<string, { count: number; cases: string[] }>[] },
    ];
    for (const [promise, { count, cases }] of broken.flatMap((each) => Object.entries(each))) {
      for (let at = 0; at < count; at++) {
        this.breach(promise, cases[at] ?? "");
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = this.child.exitCode === null ? once(this.child, "exit") : undefined;
    this.child.kill();
    await exit;
  }
}
