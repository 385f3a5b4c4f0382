/** Which module the worker threads run: the package's own, or where a bundled gateway has put it. Serves fleet.ts. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { refused } from "../request/address.js";
import { WorkerProgram } from "./worker-program.js";

/** What is run in a thread. */
export interface WorkerEntry {
  /** A module whose default export runs a `WorkerStart`. */
  readonly entry: URL;
  /** What that module takes with the task. */
  readonly program?: WorkerProgram;
}

/**
 * @param workerUrl `OpenOptions.workerUrl`
 * @throws RelaypostError INVALID_ARGUMENT when the file is not there: a thread could only fail to start, again and again
 */
export function findWorkerEntry(workerUrl: string | URL | undefined): WorkerEntry {
  // Not at load: a bundle in CommonJS has no import.meta.url, and need not have one.
  const found = workerUrl === undefined ? ownEntry() : { entry: new URL(workerUrl) };
  const { entry } = found;
  if (entry.protocol !== "file:" || existsSync(entry)) {
    return found;
  }
  throw refused("workerUrl", `must lead to the worker's file; there is none at ${entry.href} (docs/bundling.md)`);
}

function ownEntry(): WorkerEntry {
  const base = import.meta.url;
  if (!base) {
    throw refused("workerUrl", "is needed in a bundle that is CommonJS (docs/bundling.md)");
  }
  const program = new WorkerProgram(fileURLToPath(new URL("../../workers/host-worker.cjs", base)));
  return { entry: new URL("../../workers/launcher.cjs", base), program };
}
