/**
 * The log: records of this thread and those that workers send, all with a stable `event` field.
 * pino runs on this thread only, because its destinations lose lines in a thread that is terminated.
 */
import type { Logger } from "pino";
import type { LogLevel, LogRecord } from "../messages/host-log.js";

/** By then the first messages are on their way, which pino's 15 ms of the main thread, and of memory's bandwidth, would hold up. */
const LOAD_AFTER_MS = 1_000;

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Writes one record, of whichever host or of none. */
export type WriteLog = (...record: LogRecord<string | undefined>) => void;

/** What the runtime knows of the log. */
export interface Log {
  readonly write: WriteLog;
  /** The lowest level that anybody reads; workers send no records below it. */
  readonly level: LogLevel | "silent";
  /** Records below it are not written from now on. */
  setLevel(level: LogLevel): void;
}

/** A log that goes to the gateway's own logger. */
export function openLog(target: Logger): Log {
  return {
    get level() {
      return LEVELS.find((level) => target.isLevelEnabled(level)) ?? "silent";
    },
    setLevel(level) {
      target.level = level;
    },
    write(level, event, hostId, message, fields) {
      try {
        target[level]({ event, ...(hostId === undefined || hostId === "" ? {} : { hostId }), ...fields }, message);
      } catch {
        // A logger that throws must not cost the requests whose answers came with the record.
      }
    },
  };
}

/** The log of a gateway without a logger of its own: warnings and worse, as JSON on standard error. What is written before pino is there waits for it. */
export class StandardLog implements Log {
  level: Log["level"] = "warn";
  private log: Log | undefined;
  private loading: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly early: Parameters<WriteLog>[] = [];

  /** Loads pino when the start is over, so that a later fault need not wait for it. A record that comes before that loads it at once. */
  loadLater(): void {
    this.timer = setTimeout(() => void this.load(), LOAD_AFTER_MS).unref();
  }

  load(): Promise<void> {
    clearTimeout(this.timer);
    this.loading ??= import("./loggers.js").then(({ standardLogger }) => this.use(openLog(standardLogger())));
    return this.loading;
  }

  /** Resolves when everything that was written so far is where it belongs. */
  async written(): Promise<void> {
    if (this.early.length > 0) {
      await this.load();
    }
  }

  /** Nothing is to come but what was written. */
  close(): Promise<void> {
    clearTimeout(this.timer);
    return this.written();
  }

  setLevel(level: LogLevel): void {
    this.level = level;
    this.log?.setLevel(level);
  }

  readonly write: WriteLog = (...record) => {
    if (this.log === undefined) {
      this.early.push(record);
      void this.load();
    } else {
      this.log.write(...record);
    }
  };

  private use(log: Log): void {
    log.setLevel(this.level as LogLevel);
    this.log = log;
    for (const record of this.early.splice(0)) {
      log.write(...record);
    }
  }
}
