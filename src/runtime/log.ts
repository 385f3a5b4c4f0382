/**
 * The log: records of this thread and those that workers send, all with a stable `event` field.
 * pino runs on this thread only, because its destinations lose lines in a thread that is terminated.
 */
import { type DestinationStream, type Logger, pino } from "pino";
import type { LogLevel } from "../messages/host-log.js";

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Writes one record. `fields` never holds a secret. */
export type WriteLog = (
  level: LogLevel,
  event: string,
  hostId: string | undefined,
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** What the runtime knows of the log. */
export interface Log {
  readonly write: WriteLog;
  /** The lowest level that anybody reads; workers send no records below it. */
  readonly level: LogLevel | "silent";
  /** Records below it are not written from now on. */
  setLevel(level: LogLevel): void;
}

/** A log that goes to the gateway's own logger; by default warnings and worse, as JSON on standard error. */
export function openLog(logger?: Logger): Log {
  const target = logger ?? pino({ level: "warn" }, pino.destination({ dest: 2, sync: true }));
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

/**
 * The log of a program of its own, one record a line.
 *
 * @param destination takes each record as JSON; by default standard error
 */
export function programLogger(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
): Logger {
  const formatters = { level: (name: string) => ({ level: name }) };
  const timestamp = pino.stdTimeFunctions.isoTime;
  return pino({ name: "relaypost", level, formatters, timestamp }, destination);
}

/** A record of the log, as {@link recordLogger} hands it on. */
export interface LogRecord {
  readonly level: LogLevel;
  readonly event: string;
  readonly hostId?: string;
  readonly msg: string;
}

/** A logger whose records are handed on one by one: for the command line, whose log is read by people. */
export function recordLogger(take: (record: LogRecord) => void): Logger {
  const formatters = { level: (level: string) => ({ level }) };
  const write = (line: string) => take(JSON.parse(line) as LogRecord);
  return pino({ level: "warn", base: null, timestamp: false, formatters }, { write });
}
