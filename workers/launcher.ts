/**
 * What piscina runs in a worker thread of the package's own: the program that came with the task, compiled already.
 * A gateway that is bundled has no second file, and its threads run workers/host-worker.ts itself.
 */
import { createRequire } from "node:module";
import { compileFunction } from "node:vm";
import type { WorkerStart } from "../src/messages/control.js";
import { PROGRAM_PARAMETERS } from "../src/messages/program.js";
import type startHostWorker from "./host-worker.js";

export default function launch(start: WorkerStart): ReturnType<typeof startHostWorker> {
  const { file, source, code } = start.program!;
  const module = { exports: {} as { default: typeof startHostWorker } };
  const run = compileFunction(source, PROGRAM_PARAMETERS, { filename: file, cachedData: code });
  run(module.exports, createRequire(file), module, file);
  return module.exports.default(start);
}
