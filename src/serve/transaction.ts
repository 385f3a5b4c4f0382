/** One mail transaction of the gateway, and the name that it has everywhere: in the trace line, the reply, the log and the traces. Serves gateway.ts. */
import type { SMTPServerAddress } from "smtp-server";

/** From MAIL to the reply to its data. */
export interface Transaction {
  /** Letters and digits only: an atom in `Received:`. */
  readonly id: string;
  readonly sender: SMTPServerAddress;
  /** By `performance.now()`. */
  readonly sinceMs: number;
  /** All accepted recipients go to it; `undefined` before the first. */
  hostId: string | undefined;
  /** Every accepted RCPT, duplicates kept. */
  readonly recipients: SMTPServerAddress[];
}

/** Processes that follow one another start at other times, so that no id comes twice. */
const PROCESS = Math.floor(performance.timeOrigin).toString(36).toUpperCase();

let last = 0;

/** Begins one. */
export function beginTransaction(sender: SMTPServerAddress): Transaction {
  last++;
  const id = `${PROCESS}${last.toString(36).toUpperCase().padStart(4, "0")}`;
  return { id, sender, sinceMs: performance.now(), hostId: undefined, recipients: [] };
}
