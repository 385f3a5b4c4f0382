/**
 * Processes of a benchmark's own: contenders, sinks and proxies each get one, so that the CPU time and the memory
 * of one are not counted as another's. Benchmarks start them here; a `*-process.ts` file serves them.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** What a child answers: a value, or why there is none. */
type Answer = { value: unknown } | { error: string };

/** A child process that answers one question at a time. */
export class Child implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** Starts `<name>-process.js`, which stands beside this file. */
  static start(name: string): Child {
    const file = fileURLToPath(new URL(`./${name}-process.js`, import.meta.url));
    return new Child(fork(file, [], { serialization: "advanced", execArgv: [] }));
  }

  /** Rejects when the child says that it failed, or ends. */
  async ask<T>(question: unknown): Promise<T> {
    this.#process.send(question as object);
    const gone = new AbortController();
    try {
      const [answer] = (await Promise.race([
        once(this.#process, "message", { signal: gone.signal }),
        once(this.#process, "exit", { signal: gone.signal }).then(([code, signal]) => [
          { error: `ended with ${signal ?? code}` },
        ]),
      ])) as [Answer];
      if ("error" in answer) {
        throw new Error(answer.error);
      }
      return answer.value as T;
    } finally {
      gone.abort();
    }
  }

  /** Ends the child, and waits until it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
      return;
    }
    const exit = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exit;
  }
}

/** For a `*-process.ts` file: answers every question of the parent, and ends when the parent is gone. */
export function serve<Question>(answer: (question: Question) => Promise<unknown>): void {
  process.on("disconnect", () => process.exit());
  process.on("message", (question: Question) => {
    answer(question).then(
      (value) => process.send?.({ value } satisfies Answer),
      (error: unknown) =>
        process.send?.({ error: String(error instanceof Error ? error.stack : error) } satisfies Answer),
    );
  });
}
