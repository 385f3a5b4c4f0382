/**
 * What the worker threads run, as the gateway's thread hands it to them: the source, and what V8 made of it there.
 * Made by src/runtime/worker-program.ts, run by workers/launcher.ts.
 */

/** Of the function that V8 takes a module in CommonJS for. Compiled code fits the same parameters only. */
export const PROGRAM_PARAMETERS: readonly string[] = ["exports", "require", "module", "__filename"];

export interface CompiledProgram {
  /** Where it was read. */
  readonly file: string;
  readonly source: string;
  /** V8's code cache. Where it does not fit, V8 compiles the source once more. */
  readonly code: Uint8Array | undefined;
}
