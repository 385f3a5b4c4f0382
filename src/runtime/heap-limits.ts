/** What the heap of each worker thread may take. Serves fleet.ts. */
import type { ResourceLimits } from "node:worker_threads";
import type { Settings } from "../config/settings.js";

const MEBIBYTE = 1024 * 1024;
/**
 * For the young generations of all threads together, and bounds of one thread's, which is three semi-spaces of 1 to 4 MiB. A thread
 * keeps what it has grown to when it rests. V8's own 48 were no faster, neither for one busy thread nor for ten.
 */
const ALL_YOUNG_MB = 30;
const MOST_YOUNG_MB = 12;
const LEAST_YOUNG_MB = 3;

/** @param settings those that the threads are started with: a later reload changes nothing of it */
export function heapLimits({ runtime, hosts }: Pick<Settings, "runtime" | "hosts">): ResourceLimits {
  const threads = Math.min(runtime.threads, hosts.size);
  return {
    // V8's own limit grows with the machine's memory, so that two or three greedy workers would take all of it.
    maxOldGenerationSizeMb: Math.ceil(runtime.memoryOctets / MEBIBYTE),
    // A busy thread takes all of this for garbage of the last moments. One of many needs little: short collections more often cost it nothing.
    maxYoungGenerationSizeMb: Math.min(MOST_YOUNG_MB, Math.max(LEAST_YOUNG_MB, Math.floor(ALL_YOUNG_MB / threads))),
  };
}
