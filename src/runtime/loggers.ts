/** Loggers of pino, which this file alone loads: a gateway with a logger of its own need not wait for it. Serves log.ts, cli/ and adapters/. */
import { type DestinationStream, type Logger, pino } from "pino";
import type { LogLevel } from "../messages/host-log.js";

/** Warnings and worse, as JSON on standard error. */
export function standardLogger(): Logger {
  return pino({ level: "warn" }, pino.destination({ dest: 2, sync: true }));
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
