/** What the hosts' caches leave on disk: written when a host drains, read when it comes back, and without a password. Serves chaos.ts. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { holdsCanary } from "./canary.js";

const ENDING = ".cache";

/** The place of a host's file. */
export function cacheFileOf(folder: string, id: string): string {
  return join(folder, `${id}${ENDING}`);
}

/** Behind the run, when the hosts are closed. */
export async function holdCacheFiles(folder: string, breach: (promise: string, what: string) => void): Promise<void> {
  const names = await readdir(folder);
  const files = names.filter((name) => name.endsWith(ENDING));
  if (files.length === 0) {
    breach("a cache with a file outlives its host", `${names}`);
  }
  for (const name of files) {
    if (holdsCanary(await readFile(join(folder, name), "latin1"))) {
      breach("no password stands in a cache's file", name);
    }
  }
}
