/**
 * Logins in the log: one record for each that is refused, so that no attempt hides behind another and fail2ban counts them all. Serves
 * dovecot-auth.ts and gateway.ts.
 */
import type { WriteLog } from "../runtime/log.js";
import { logged } from "./wording.js";

/** A login. Never its secret. */
export interface Login {
  /** Empty where none was named. */
  readonly user: string;
  /** Whose login it was: behind an MTA, the MTA's client. Empty where nobody said. */
  readonly client: string;
  readonly mechanism: string;
}

/** A login that was refused for good. */
export interface RefusedLogin extends Login {
  /** In the words of the host, or ours where it was not asked. */
  readonly reason: string;
}

const WINDOW_MS = 1_000;
/** Further ones are counted together. */
const MOST_CLIENTS = 1_000;

/** The logins of one listener. */
export class LoginLog {
  readonly #log: WriteLog;
  readonly #listener: string;
  readonly #most: number;
  /** In the window that runs now. */
  #written = 0;
  /** Those that have no record of their own, by client. */
  readonly #leftOut = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #count = 0;

  /** @param most records in a second (`limits.log`) */
  constructor(log: WriteLog, listener: string, most: number) {
    this.#log = log;
    this.#listener = listener;
    this.#most = most;
  }

  /** Refused logins so far. */
  get count(): number {
    return this.#count;
  }

  /** One login was refused. */
  refused({ user, client, mechanism, reason }: RefusedLogin, hostId: string): void {
    this.#count++;
    this.#timer ??= setTimeout(() => this.#endWindow(), WINDOW_MS).unref();
    if (this.#written >= this.#most) {
      this.#leaveOut(client);
      return;
    }
    this.#written++;
    this.#log("warn", "serve-auth-refused", hostId, "a login was refused", {
      listener: this.#listener,
      client: logged(client),
      user: logged(user),
      mechanism: logged(mechanism),
      reason: logged(reason),
    });
  }

  /** One login was accepted. */
  accepted({ user, client, mechanism }: Login, hostId: string): void {
    this.#log("debug", "serve-auth-accepted", hostId, "a login was accepted", {
      listener: this.#listener,
      client: logged(client),
      user: logged(user),
      mechanism,
    });
  }

  /** Writes what was left out so far; the listener closes. */
  close(): void {
    clearTimeout(this.#timer);
    this.#endWindow();
  }

  #leaveOut(client: string): void {
    const key = this.#leftOut.has(client) || this.#leftOut.size < MOST_CLIENTS ? client : "others";
    this.#leftOut.set(key, (this.#leftOut.get(key) ?? 0) + 1);
  }

  #endWindow(): void {
    this.#timer = undefined;
    this.#written = 0;
    for (const [client, count] of this.#leftOut) {
      const message = `${count} more logins of a client were refused in a second (limits.log)`;
      this.#log("warn", "serve-auth-flood", undefined, message, {
        listener: this.#listener,
        client: logged(client),
        count,
      });
    }
    this.#leftOut.clear();
  }
}
