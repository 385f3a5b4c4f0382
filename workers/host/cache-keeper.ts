/**
 * Lets a host's cache outlive a restart: reads its file when the host starts, writes it every five minutes and when the host is closed.
 * In slices, so that no request waits for it. Passwords never reach the file. Serves actor.ts; the lines are cache-file.ts's.
 */
import type { HostLog } from "../../src/messages/host-log.js";
import type { Clock } from "../../src/timer-wheel.js";
import type { AnswerCache } from "./cache.js";
import { CacheFileReader, CacheFileWriter, type FiledAnswer } from "./cache-file.js";
import type { CacheFiles } from "./cache-files.js";

const SAVE_EVERY_MS = 5 * 60_000;
/** After `forget()`: a wrong answer that an operator threw away must not come back with the next start. */
const SAVE_SOON_MS = 1_000;
/** Lines between two turns of the event loop: some two milliseconds of work. */
const SLICE = 500;

/** What a {@link CacheKeeper} works with. */
export interface CacheKeeperOptions {
  readonly path: string;
  readonly hostId: string;
  /** A digest of the settings that give answers their meaning: others make the file useless. */
  readonly settings: string;
  /** Most answers to read. */
  readonly most: number;
  readonly clock: Clock;
  /** Unix time in milliseconds. */
  readonly unixMs: () => number;
  readonly files: CacheFiles;
  readonly log: HostLog;
}

/** `reading`: answers of the file may come into the cache still. `over`: nothing is saved any more but by {@link CacheKeeper.close}. */
type KeeperState = "saving" | "reading" | "over";

/** The file holds what the cache does not. */
const NOT_SAVED = -1;

export class CacheKeeper {
  private state: KeeperState = "saving";
  private stopTimer: (() => void) | undefined;
  private dueMs = Number.POSITIVE_INFINITY;
  /** The file is read or written; one follows the other. */
  private working: Promise<void> = Promise.resolve();
  /** The cache's changes that the file has. */
  private savedChanges = 0;

  constructor(
    private readonly options: CacheKeeperOptions,
    private readonly cache: AnswerCache,
  ) {}

  /** Puts the answers of the file into the cache, where nothing newer is known by then. Never fails: without a file the cache is empty. */
  load(): Promise<void> {
    this.state = "reading";
    this.working = this.read();
    return this.working;
  }

  /** Saves from now on, without a look at the file. */
  begin(): void {
    this.savedChanges = this.cache.changes;
    this.saveWithin(SAVE_EVERY_MS);
  }

  /** An operator threw answers away: what was not read yet may be among them. */
  forgotten(): void {
    if (this.state === "reading") {
      this.state = "saving";
      this.savedChanges = NOT_SAVED;
    }
    this.saveWithin(SAVE_SOON_MS);
  }

  /** Reads and saves no more: its cache belongs to settings that have changed. */
  stop(): void {
    this.state = "over";
    this.stopTimer?.();
  }

  /** Writes what is known one last time, that of the file included. */
  async close(): Promise<void> {
    await this.working;
    this.stop();
    await this.save();
  }

  private async read(): Promise<void> {
    const { path, files, log } = this.options;
    try {
      const lines = await files.read(path);
      if (lines !== undefined) {
        await this.take(lines);
      }
    } catch (error) {
      log.write("warn", "cache-ignored", `The cache file ${path} could not be read: ${messageOf(error)}.`);
    }
    if (this.state === "reading") {
      this.state = "saving";
      this.saveWithin(SAVE_EVERY_MS);
    }
  }

  private async take(lines: AsyncIterable<string>): Promise<void> {
    const { path, hostId, settings, most, log, unixMs } = this.options;
    const reader = new CacheFileReader(hostId, settings, most);
    let count = 0;
    for await (const line of lines) {
      const problem = reader.line(line);
      if (problem !== undefined) {
        log.write("warn", "cache-ignored", `The cache file ${path} is not used: ${problem}.`);
        return;
      }
      if (++count % SLICE === 0) {
        await this.turn();
      }
      if (this.state !== "reading") {
        return;
      }
    }
    const { answers } = reader;
    if (answers === undefined) {
      log.write("warn", "cache-ignored", `The cache file ${path} is not used: its end is missing.`);
      return;
    }
    const kept = await this.restore(answers, unixMs());
    if (this.state === "reading") {
      this.savedChanges = kept;
      const fields = { answers: kept, expired: answers.length - kept };
      log.write("info", "cache-loaded", `The cache file ${path} holds ${kept} answers that are still good.`, fields);
    }
  }

  /** @returns how many of them are known by it */
  private async restore(answers: readonly FiledAnswer[], nowUnixMs: number): Promise<number> {
    let kept = 0;
    for (const [at, { key, answer, storedUnixMs }] of answers.entries()) {
      // One from the future was written under another clock: nobody knows how old it is.
      const ageMs = nowUnixMs - storedUnixMs;
      if (ageMs >= 0 && this.cache.restore(key, answer, ageMs)) {
        kept++;
      }
      if (at % SLICE === SLICE - 1) {
        await this.turn();
      }
      if (this.state !== "reading") {
        break;
      }
    }
    return kept;
  }

  private saveWithin(ms: number): void {
    const { clock } = this.options;
    const dueMs = clock.now() + ms;
    if (this.state === "over" || dueMs >= this.dueMs) {
      return;
    }
    this.stopTimer?.();
    this.dueMs = dueMs;
    this.stopTimer = clock.after(ms, () => {
      this.dueMs = Number.POSITIVE_INFINITY;
      void this.save().then(() => this.saveWithin(SAVE_EVERY_MS));
    });
  }

  /** One at a time, and only what the file does not have. */
  private save(): Promise<void> {
    this.working = this.working.then(() => this.write());
    return this.working;
  }

  private async write(): Promise<void> {
    const { path, files, log } = this.options;
    const { changes } = this.cache;
    if (changes === this.savedChanges) {
      return;
    }
    try {
      await files.write(path, this.chunks());
      this.savedChanges = changes;
    } catch (error) {
      log.write("warn", "cache-not-saved", `The cache file ${path} could not be written: ${messageOf(error)}.`);
    }
  }

  private async *chunks(): AsyncGenerator<string> {
    const { hostId, settings, clock, unixMs } = this.options;
    const writer = new CacheFileWriter();
    const leadMs = unixMs() - clock.now();
    const lines = [writer.header(hostId, settings)];
    for (const { key, answer, storedMs } of this.cache.filed()) {
      lines.push(writer.answer({ key, answer, storedUnixMs: Math.floor(storedMs + leadMs) }));
      if (lines.length >= SLICE) {
        yield lines.splice(0).join("");
        await this.turn();
      }
    }
    lines.push(writer.footer());
    yield lines.join("");
  }

  private turn(): Promise<void> {
    return new Promise((resolve) => {
      this.options.clock.after(0, resolve);
    });
  }
}

function messageOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
