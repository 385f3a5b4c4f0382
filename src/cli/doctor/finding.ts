/** What the doctor finds, and what it is found in. Made by the files beside this one, printed by doctor.ts. */
import type { Reply } from "../../api.js";
import type { ErrorCode } from "../../errors.js";

/** `error`: mail or lookups do not work like this. `warning`: they do, and something is to be mended. `note`: worth knowing. */
export type Severity = "error" | "warning" | "note";

/** One finding. */
export interface Finding {
  readonly severity: Severity;
  readonly topic: "connection" | "tls" | "extensions" | "login" | "recipients" | "limits" | "pace";
  readonly message: string;
  /** The line to put into `[remote.<id>]`. */
  readonly put?: string;
}

/** What came of a question. */
export type Outcome =
  | { readonly kind: "found" | "not-found"; readonly reply?: Reply }
  | { readonly kind: "no-answer"; readonly code: ErrorCode; readonly message: string; readonly reply?: Reply };

/** What a host that takes mail answered. */
export interface Answers {
  /** Of a recipient that nobody has. */
  readonly unknown: Outcome;
  /** Of one that is said to exist. */
  readonly known?: Outcome;
  readonly vrfy: Outcome;
  readonly expn: Outcome;
  /** A question about a recipient, from its first command to its answer; missing where none was answered. */
  readonly lookupMs?: number;
}

/** How many questions about unknown recipients a host bears on one connection. */
export interface Endurance {
  readonly asked: number;
  /** It closed the connection, or refused to go on, after so many. */
  readonly closedAfter?: number;
  /** The first that took much longer than usual. */
  readonly slowFrom?: number;
  readonly usualMs: number;
  readonly slowMs?: number;
}
