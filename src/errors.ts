/**
 * The table of error codes and the one error class. Both threads import this file: a worker describes
 * what went wrong as a plain {@link Failure}, the gateway's thread turns it into a {@link RelaypostError}.
 */
import type { Reply } from "./api.js";

/** How far an error reaches: this request only, or everything on the same connection, host or worker. */
export type ErrorScope = "config" | "request" | "host" | "connection" | "transaction" | "worker";

/** Every code, with the scope it usually has and whether the same request may succeed later. */
export const ERROR_CODES = {
  CONFIG_SYNTAX: { scope: "config", retryable: false },
  CONFIG_VALUE: { scope: "config", retryable: false },
  UNKNOWN_HOST: { scope: "request", retryable: false },
  LOOKUP_DISABLED: { scope: "request", retryable: false },
  NOT_SUPPORTED: { scope: "request", retryable: false },
  INVALID_ARGUMENT: { scope: "request", retryable: false },
  CONTENT_FAILED: { scope: "request", retryable: false },
  MAILBOX_FULL: { scope: "host", retryable: true },
  MAILBOX_CLOSED: { scope: "host", retryable: false },
  DEADLINE_EXCEEDED: { scope: "request", retryable: true },
  ABORTED: { scope: "request", retryable: false },
  WORKER_LOST: { scope: "worker", retryable: true },
  HOST_UNAVAILABLE: { scope: "host", retryable: true },
  DNS_FAILED: { scope: "host", retryable: true },
  CONNECT_FAILED: { scope: "connection", retryable: true },
  CONNECT_TIMEOUT: { scope: "connection", retryable: true },
  TLS_FAILED: { scope: "connection", retryable: true },
  MISSING_STARTTLS: { scope: "connection", retryable: true },
  MISSING_AUTH: { scope: "connection", retryable: true },
  TOKEN_FAILED: { scope: "host", retryable: true },
  MISSING_EXTENSION: { scope: "transaction", retryable: false },
  AUTH_FAILED: { scope: "connection", retryable: true },
  REPLY_TRANSIENT: { scope: "transaction", retryable: true },
  REPLY_PERMANENT: { scope: "transaction", retryable: false },
  REMOTE_PROTOCOL: { scope: "connection", retryable: true },
  REMOTE_CLOSED: { scope: "connection", retryable: true },
  COMMAND_TIMEOUT: { scope: "connection", retryable: true },
  HARVEST_SUSPECTED: { scope: "request", retryable: true },
  ACCEPTS_ALL: { scope: "host", retryable: false },
  RULE_FAILED: { scope: "request", retryable: true },
} as const satisfies Record<string, { scope: ErrorScope; retryable: boolean }>;

/** A stable name for what went wrong; switch on it. */
export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * An error as plain data, to be sent between threads: structured clone would drop an Error's class and fields.
 * It never holds a secret. Commands that carry one are redacted where they are written.
 */
export interface Failure {
  readonly code: ErrorCode;
  /** What an operator can do about it, in one sentence. */
  readonly message: string;
  readonly hostId?: string;
  readonly scope?: ErrorScope;
  readonly retryable?: boolean;
  readonly reply?: Reply;
  /** The message of the underlying error, where there was one. */
  readonly cause?: string;
}

/** Whether a failure came instead of what was asked for: of an answer, addresses, a way to log in. None of these has a `code` of its own. */
export function isFailure(outcome: object): outcome is Failure {
  return "code" in outcome;
}

/** Every error that relaypost throws or rejects with. */
export class RelaypostError extends Error {
  override readonly name: string = "RelaypostError";
  /** A stable name for what went wrong. */
  readonly code: ErrorCode;
  /** How far it reaches. */
  readonly scope: ErrorScope;
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean;
  /** The remote host concerned, where there is one. */
  readonly hostId: string | undefined;
  /** The peer's reply, where there was one. */
  readonly reply: Reply | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    details: Omit<Partial<Failure>, "code" | "message" | "cause"> & { cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.scope = details.scope ?? ERROR_CODES[code].scope;
    this.retryable = details.retryable ?? ERROR_CODES[code].retryable;
    this.hostId = details.hostId;
    this.reply = details.reply;
  }

  /** The error that a worker described. */
  static from(failure: Failure): RelaypostError {
    const { code, message, cause, ...details } = failure;
    return new RelaypostError(code, message, cause === undefined ? details : { ...details, cause: new Error(cause) });
  }
}

/** One mistake in a configuration: where it stands, what it is, what would be right. */
export interface ConfigProblem {
  readonly code: "CONFIG_SYNTAX" | "CONFIG_VALUE";
  /** The file, or `undefined` when the configuration was given as an object. */
  readonly file: string | undefined;
  /** Counted from 1; `undefined` when the configuration was given as an object. */
  readonly line: number | undefined;
  /** The key's path, such as `remote.lmtp.tls.implicit`; empty for a mistake of syntax. */
  readonly key: string;
  /** What is wrong and what would be right. Never holds a secret. */
  readonly message: string;
}

/** All the mistakes of a configuration, reported together. Its `code` is that of the first. */
export class ConfigError extends RelaypostError {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems[0]?.code ?? "CONFIG_VALUE", problems.map(describeProblem).join("\n"));
    this.problems = problems;
  }
}

/** `file:line: key: message`, leaving out what is not known. */
export function describeProblem(problem: ConfigProblem): string {
  const place =
    problem.file === undefined ? "" : `${problem.file}${problem.line === undefined ? "" : `:${problem.line}`}: `;
  return `${place}${problem.key === "" ? "" : `${problem.key}: `}${problem.message}`;
}
