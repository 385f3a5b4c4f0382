/**
 * Keeps people's addresses out of the log, for operators who may not store them (`serve.log.addresses`). All records pass here, those of
 * the hosts too: a host's words may name whom it refuses. Serves daemon.ts.
 */
import type { Logger } from "pino";
import type { LogFields } from "../messages/host-log.js";

/** What of an address a record may hold. */
export type ShownAddresses = "full" | "domain" | "none";

/** Fields that name people, whatever they look like: a user's name need not be an address. */
const PEOPLE = new Set(["user", "sender", "recipient", "key"]);
/** Fields in a host's words, which may name people by their local part alone: only the codes in front are kept. */
const WORDS = new Set(["reply", "replies", "reason", "cause", "text"]);
const CODES = /^(?:[245]\d\d(?: [245]\.\d{1,3}\.\d{1,3})?|(?:OK|NO|BAD)(?: \[[A-Z-]+\])?)?/;
/** An address in a text. A local part may be quoted (RFC 5321 4.1.2). */
const ADDRESS = /(?:"(?:[^"\\]|\\.)*"|[^\s<>"'(),:;[\]]+)@([^\s<>"'(),:;]+)/g;

/** A logger before which records lose what they may not hold. With `full` it is the logger itself, and costs nothing. */
export function withoutAddresses(logger: Logger, shown: ShownAddresses): Logger {
  if (shown === "full") {
    return logger;
  }
  const write =
    (level: "debug" | "info" | "warn" | "error") =>
    (fields: LogFields, message: string): void =>
      logger[level](maskFields(fields, shown), maskText(message, shown));
  const mask = {
    isLevelEnabled: (level: string) => logger.isLevelEnabled(level),
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
  // What runtime/log.ts calls of a logger.
  return mask as unknown as Logger;
}

function maskFields(fields: LogFields, shown: ShownAddresses): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, maskValue(name, value, shown)]));
}

/** `name`: of the field that it stands in. */
function maskValue(name: string, value: unknown, shown: ShownAddresses): unknown {
  if (Array.isArray(value)) {
    return value.map((each) => maskValue(name, each, shown));
  }
  if (typeof value === "object" && value !== null) {
    return maskFields(value as Record<string, unknown>, shown);
  }
  if (typeof value !== "string") {
    return value;
  }
  if (PEOPLE.has(name)) {
    return maskPerson(value, shown);
  }
  return WORDS.has(name) ? CODES.exec(value)?.[0] : maskText(value, shown);
}

function maskPerson(value: string, shown: ShownAddresses): string | undefined {
  const at = value.lastIndexOf("@");
  return shown === "none" || at === -1 ? undefined : value.slice(at);
}

function maskText(text: string, shown: ShownAddresses): string {
  return text.includes("@") ? text.replace(ADDRESS, shown === "domain" ? "@$1" : "(address)") : text;
}
