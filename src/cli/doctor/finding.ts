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

/** What is on offer when work would begin. */
export interface Offer {
  /** EHLO lines without the greeting line, or capabilities. */
  readonly extensions: readonly string[];
  readonly mechanisms: readonly string[];
  readonly isSecure: boolean;
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

/** What became of a password that was made up, and how long the answer took, from the first command of the login. */
export interface LoginTry {
  readonly outcome: Outcome;
  readonly ms: number;
}

/** What a host that is asked about passwords answered. */
export interface LoginAnswers {
  /** Of a user that nobody is. */
  readonly stranger: LoginTry;
  /** Of one that is said to exist. */
  readonly user?: LoginTry;
  /** From the start of a connection until a login may begin. */
  readonly connectMs: number;
}

/** How many questions a host bears on one connection whose answer is no: about unknown recipients, or wrong passwords. */
export interface Endurance {
  readonly of: "unknown recipients" | "wrong passwords";
  readonly asked: number;
  /** It closed the connection, or refused to go on, after so many. */
  readonly closedAfter?: number;
  /** The first of two in a row that took much longer than usual. */
  readonly slowFrom?: number;
  readonly usualMs: number;
  readonly slowMs?: number;
}
