/** The driver's hold on the servers' process: orders mischief, hands over settlements, asks for the verdict. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Verdict } from "./ledger.js";
import type { Mischief } from "./mischief.js";

type Ask =
  | { readonly kind: "mischief"; readonly host: string; readonly mischief: Mischief }
  | { readonly kind: "calm" }
  | { readonly kind: "second client" }
  | { readonly kind: "settle"; readonly batch: Uint8Array }
  | { readonly kind: "standing"; readonly host: string }
  | { readonly kind: "judge"; readonly count: number };

/** What is asked of the servers' process. */
export type Question = Ask & { readonly number: number };

/** What it tells first. */
export interface ServersReady {
  readonly ports: Readonly<Record<string, number>>;
  /** PEM. */
  readonly ca: string;
}

/** Its last word. */
export interface Judgement {
  readonly verdict: Verdict;
  readonly peaks: Readonly<Record<string, number>>;
}

export class Servers implements AsyncDisposable {
  private readonly waiting = new Map<number, (value: unknown) => void>();
  private asked = 0;

  private constructor(
    private readonly child: ChildProcess,
    readonly ready: ServersReady,
  ) {
    child.on("message", ({ number, value }: { number: number; value: unknown }) => {
      this.waiting.get(number)?.(value);
      this.waiting.delete(number);
    });
    child.once("exit", (code) => {
      if (code === 0 || child.killed) {
        return;
      }
      console.error(`the servers' process ended with ${code}`);
      process.exit(1);
    });
  }

  static async start(): Promise<Servers> {
    const file = fileURLToPath(new URL("./servers-process.js", import.meta.url));
    const child = fork(file, [], { serialization: "advanced", execArgv: [] });
    const [ready] = (await once(child, "message")) as [ServersReady];
    return new Servers(child, ready);
  }

  mischief(host: string, mischief: Mischief): Promise<void> {
    return this.ask({ kind: "mischief", host, mischief });
  }

  calm(): Promise<void> {
    return this.ask({ kind: "calm" });
  }

  /** From now on another client asks too. */
  expectSecondClient(): Promise<void> {
    return this.ask({ kind: "second client" });
  }

  settle(batch: Uint8Array): Promise<void> {
    return this.ask({ kind: "settle", batch });
  }

  standing(host: string): Promise<number> {
    return this.ask({ kind: "standing", host });
  }

  judge(count: number): Promise<Judgement> {
    return this.ask({ kind: "judge", count });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.child, "exit");
    this.child.kill();
    await exit;
  }

  private ask<T>(ask: Ask): Promise<T> {
    const number = this.asked++;
    this.child.send({ ...ask, number } satisfies Question);
    return new Promise((resolve) => this.waiting.set(number, resolve as (value: unknown) => void));
  }
}
