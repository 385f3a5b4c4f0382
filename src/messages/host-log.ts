/** How the parts of a worker write to the gateway's log. A host's parts are handed a {@link HostLog}, so that none needs to know whose it is. */

/** How much a record matters. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** The log of one host: made by its actor, written by its pool and its sessions. */
export interface HostLog {
  /**
   * Writes one record.
   *
   * @param event a stable name, listed in docs/observability.md
   * @param fields never hold a secret
   */
  write(level: LogLevel, event: string, message: string, fields?: Readonly<Record<string, unknown>>): void;
}
