/**
 * The program of the worker threads, compiled on the gateway's thread. That goes on while the first thread starts, and all others find
 * it done: V8 would read the whole file again in each of them. Found by worker-entry.ts, handed to threads by worker-thread.ts.
 */
import { readFileSync } from "node:fs";
import { compileFunction } from "node:vm";
import { type CompiledProgram, PROGRAM_PARAMETERS } from "../messages/program.js";

export class WorkerProgram {
  private compiled: CompiledProgram | undefined;

  /** @param file the path of a CommonJS module whose `default` runs a `WorkerStart` */
  constructor(private readonly file: string) {}

  /**
   * The first call takes some 10 ms. Threads that are started later run what was read then, whatever is installed meanwhile.
   *
   * @throws Error when the file cannot be read
   */
  compile(): CompiledProgram {
    this.compiled ??= compileFile(this.file);
    return this.compiled;
  }
}

function compileFile(file: string): CompiledProgram {
  const source = readFileSync(file, "utf8");
  const { cachedData } = compileFunction(source, PROGRAM_PARAMETERS, { filename: file, produceCachedData: true });
  return { file, source, code: cachedData };
}
