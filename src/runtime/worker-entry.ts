/** Which module the worker threads run: the package's own, or where a bundled gateway has put it. Serves fleet.ts. */
import { existsSync } from "node:fs";
import { refused } from "../request/address.js";

/**
 * @param workerUrl `OpenOptions.workerUrl`
 * @throws RelaypostError INVALID_ARGUMENT when the file is not there: a thread could only fail to start, again and again
 */
export function findWorkerEntry(workerUrl: string | URL | undefined): URL {
  // Not at load: a bundle in CommonJS has no import.meta.url, and need not have one.
  const entry = workerUrl === undefined ? ownEntry() : new URL(workerUrl);
  if (entry.protocol !== "file:" || existsSync(entry)) {
    return entry;
  }
  throw refused("workerUrl", `must lead to the worker's file; there is none at ${entry.href} (docs/bundling.md)`);
}

function ownEntry(): URL {
  const base = import.meta.url;
  if (!base) {
    throw refused("workerUrl", "is needed in a bundle that is CommonJS (docs/bundling.md)");
  }
  return new URL("../../workers/host-worker.js", base);
}
