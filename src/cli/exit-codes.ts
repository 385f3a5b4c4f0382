/** What the process says when it ends: the command line's contract with scripts. */
import { ConfigError, type ErrorCode, RelaypostError } from "../errors.js";

/** The exit codes of every command (75 is EX_TEMPFAIL of sysexits.h, 130 is what shells make of SIGINT). */
export const EXIT = { yes: 0, no: 1, misuse: 2, temporary: 75, interrupted: 130 } as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const MISUSE: ReadonlySet<ErrorCode> = new Set([
  "CONFIG_SYNTAX",
  "CONFIG_VALUE",
  "UNKNOWN_HOST",
  "LOOKUP_DISABLED",
  "NOT_SUPPORTED",
  "INVALID_ARGUMENT",
] satisfies ErrorCode[]);

/** Whether the caller, and not a peer, has to mend something. */
export function isMisuse(error: unknown): boolean {
  return error instanceof UsageError || (error instanceof RelaypostError && MISUSE.has(error.code));
}

/** Something the user has to mend: a path that cannot be read, options that exclude each other. */
export class UsageError extends Error {}

/** For a command that ended with an error. `no` stays reserved for a definite answer of the peer. */
export function exitCodeOf(error: unknown): ExitCode {
  if (isMisuse(error)) {
    return EXIT.misuse;
  }
  if (error instanceof RelaypostError && error.code === "ABORTED") {
    return EXIT.interrupted;
  }
  return EXIT.temporary;
}

/** An error as the JSON output has it. */
export function errorAsJson(error: unknown): Record<string, unknown> {
  if (error instanceof ConfigError) {
    return { code: error.code, problems: error.problems };
  }
  if (error instanceof RelaypostError) {
    const { code, message, scope, retryable, hostId, reply } = error;
    return { code, message, scope, retryable, hostId, reply };
  }
  return { message: error instanceof Error ? error.message : String(error) };
}

/** An error as a person reads it. */
export function errorAsText(error: unknown): string {
  if (error instanceof ConfigError) {
    return error.message;
  }
  if (error instanceof RelaypostError) {
    return `${error.code}: ${error.message}`;
  }
  return error instanceof Error ? error.message : String(error);
}
