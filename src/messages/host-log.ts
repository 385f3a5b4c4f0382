/** How the parts of a worker write to the gateway's log. A host's parts are handed a {@link HostLog}, so that none needs to know whose it is. */

/** How much a record matters. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a record says beside its message. Never holds a secret. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A record whose host its writer need not name. `event` is a stable name, listed in docs/observability.md. */
export type HostRecord = [level: LogLevel, event: string, message: string, fields?: LogFields];

/** A record as the gateway's log has it; its host may be `undefined` where it concerns none. */
export type LogRecord<HostId = string> = [
  level: LogLevel,
  event: string,
  hostId: HostId,
  message: string,
  fields?: LogFields,
];

/** The log of one host: made by its actor, written by its pool and its sessions. */
export interface HostLog {
  write(...record: HostRecord): void;
}
