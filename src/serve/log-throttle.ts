/** Keeps a log readable while a client misbehaves a thousand times a second. Serves whatever in src/serve/ logs what clients do. */
import type { LogFields } from "../messages/host-log.js";
import type { WriteLog } from "../runtime/log.js";

const WINDOW_MS = 10_000;

/** Writes the first record of each event at once, then at most one every ten seconds, with the number of those left out. */
export class LogThrottle {
  readonly #log: WriteLog;
  readonly #fields: LogFields;
  readonly #windows = new Map<string, { sinceMs: number; leftOut: number }>();
  readonly #now: () => number;

  constructor(log: WriteLog, fields: LogFields, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#fields = fields;
    this.#now = now;
  }

  /** One record of level warn. */
  warn(event: string, message: string, fields: LogFields = {}, hostId?: string): void {
    const key = `${event} ${hostId ?? ""}`;
    const nowMs = this.#now();
    const window = this.#windows.get(key);
    if (window !== undefined && nowMs - window.sinceMs < WINDOW_MS) {
      window.leftOut++;
      return;
    }
    const leftOut = window?.leftOut ?? 0;
    this.#windows.set(key, { sinceMs: nowMs, leftOut: 0 });
    const all = { ...this.#fields, ...fields, ...(leftOut === 0 ? {} : { leftOut }) };
    this.#log("warn", event, hostId, leftOut === 0 ? message : `${message} (and ${leftOut} more since)`, all);
  }
}
