/** The daemon's records as lines for people, where one watches standard error. Loaded by serve.ts then only. */
import { prettyFactory } from "pino-pretty";
import { shown } from "../serve/wording.js";

/** What the line shows in its own way, and what says nothing on the machine where it is read. */
const LEFT_OUT = "pid,hostname,name,event";

/**
 * Makes the writer of a terminal: a record as JSON goes in, a line comes out, such as
 * `14:02:11.250 INFO: serve-listening: socketmap on 127.0.0.1:10031 {"listener":"maps"}`.
 */
export function logLines(screen: NodeJS.WriteStream): { write(record: string): void } {
  const print = prettyFactory({
    colorize: screen.hasColors(),
    translateTime: "SYS:HH:MM:ss.l",
    ignore: LEFT_OUT,
    messageFormat: "{event}: {msg}",
    singleLine: true,
  });
  return {
    write(record) {
      screen.write(print(printable(JSON.parse(record) as Record<string, unknown>)));
    },
  };
}

/** Hosts and clients chose parts of it: nothing in it may move the cursor. */
function printable<T>(value: T): T {
  if (typeof value === "string") {
    return shown(value) as T;
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const entries = Object.entries(value).map(([name, inner]) => [name, printable(inner)] as const);
  return (Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries)) as T;
}
