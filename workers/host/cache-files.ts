/** Cache files on disk, for cache-keeper.ts: read line by line, written beside the old one and then put in its place. */
import { type FileHandle, mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import { threadId } from "node:worker_threads";

/** Where cache files are. A simulation has its own. */
export interface CacheFiles {
  /** The lines of a file, without their newlines; `undefined` where there is no such file. */
  read(path: string): Promise<AsyncIterable<string> | undefined>;
  /** Replaces a file, whole or not at all. `chunks` may wait between two of them. */
  write(path: string, chunks: AsyncIterable<string>): Promise<void>;
}

/** The answers in it are about people: nobody else shall read them. */
const MODE = 0o600;

export const systemCacheFiles: CacheFiles = {
  async read(path) {
    try {
      return linesOf(await open(path, "r"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") {
        return undefined;
      }
      throw error;
    }
  },

  async write(path, chunks) {
    await mkdir(dirname(path), { recursive: true });
    // Of its own name: several processes may share the configuration.
    const beside = `${path}.${process.pid}-${threadId}.new`;
    const file = await open(beside, "w", MODE);
    try {
      await writeAll(file, chunks);
      await rename(beside, path);
    } catch (error) {
      await unlink(beside).catch(() => {});
      throw error;
    }
  },
};

/** Closes the file, also where nobody reads on. */
async function* linesOf(file: FileHandle): AsyncGenerator<string> {
  const input = file.createReadStream({ encoding: "utf8" });
  try {
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } finally {
    input.destroy();
    await finished(input).catch(() => {});
  }
}

async function writeAll(file: FileHandle, chunks: AsyncIterable<string>): Promise<void> {
  try {
    for await (const chunk of chunks) {
      await file.writeFile(chunk);
    }
    // The new name must not lead to less than was written, not even after a power cut.
    await file.sync();
  } finally {
    await file.close();
  }
}
