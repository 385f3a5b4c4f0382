/** `relaypost ctl`: asks a running daemon by its `control` listener, and changes what it does. */
import type { ConnectionSight, TraceLine } from "../messages/operating.js";
import type { Diagnosis, HostEvent, HostReport } from "../operator/report.js";
import { shown } from "../serve/wording.js";
import type { ShadowReport } from "../stats.js";
import type { CommandContext } from "./command.js";
import { ask, type ControlPlace } from "./control-client.js";
import { CTL_VERBS, type CtlVerb, foreignOptions } from "./ctl-verbs.js";
import { EXIT, type ExitCode, UsageError } from "./exit-codes.js";
import { hostLines } from "./host-table.js";
import { type Output, table } from "./terminal.js";

/** Options of `relaypost ctl`. */
export interface CtlOptions {
  json?: boolean;
  socket: string;
  tokenFile?: string;
  user?: string;
  recipient?: string;
  /** Milliseconds. */
  for?: number;
  refuse?: boolean;
  count?: number;
}

/** 0: done, or nothing wrong; 1: `why`, the host is down. */
export async function ctl(
  { output, signal }: CommandContext,
  verb: CtlVerb,
  words: readonly string[],
  options: CtlOptions,
): Promise<ExitCode> {
  const place: ControlPlace = { at: options.socket, tokenFile: options.tokenFile };
  const values: unknown[] = [];
  for await (const value of ask(place, verb, requestOf(verb, words, options), signal)) {
    values.push(value);
    if (options.json === true) {
      output.json(value);
    } else if (verb === "trace") {
      printTraceLine(output, value as TraceLine);
    }
  }
  if (options.json !== true) {
    print(output, verb, values);
  }
  return verb === "why" && (values[0] as Diagnosis).severity === "down" ? EXIT.no : EXIT.yes;
}

function requestOf(verb: CtlVerb, words: readonly string[], options: CtlOptions): Record<string, unknown> {
  const usage = CTL_VERBS[verb].words;
  const [foreign] = foreignOptions(verb, options);
  if (foreign !== undefined) {
    throw new UsageError(`${verb} takes no --${foreign}`);
  }
  const wanted = usage === "" ? 0 : 1;
  const [word, address, ...more] = words;
  if (
    words.length < wanted ||
    more.length > 0 ||
    (address !== undefined && verb !== "forget") ||
    (wanted === 0 && word)
  ) {
    throw new UsageError(`usage: relaypost ctl --socket SOCKET ${verb} ${usage}`);
  }
  if (verb === "log-level") {
    return { level: word };
  }
  return {
    id: word,
    recipient: address ?? options.recipient,
    username: options.user,
    forMs: options.for,
    lines: options.count,
    requests: options.refuse === true ? "refuse" : undefined,
  };
}

function print(output: Output, verb: CtlVerb, values: readonly unknown[]): void {
  switch (verb) {
    case "hosts":
      output.lines(hostLines(values as HostReport[], output.isOnScreen));
      return;
    case "why":
      printWhy(output, values[0] as Diagnosis & { events: HostEvent[] });
      return;
    case "connections":
      printConnections(output, values as ConnectionSight[]);
      return;
    case "shadow":
      printShadow(output, values[0] as ShadowReport);
      return;
    case "trace":
      return;
    case "forget":
      output.line(forgotten(values[0] as { forgotten: number }));
      return;
    default:
      output.line((values[0] as { done: string }).done);
  }
}

function forgotten({ forgotten: count }: { forgotten: number }): string {
  return count === 1 ? "1 answer forgotten" : `${count} answers forgotten`;
}

function printWhy(output: Output, { what, why, now, events }: Diagnosis & { events: HostEvent[] }): void {
  output.lines([what, why, now].map(shown));
  if (events.length > 0) {
    output.line("");
  }
  for (const { atMs, event, message } of events) {
    output.line(`${new Date(atMs).toISOString()}  ${event}  ${shown(message)}`);
  }
}

function printConnections(output: Output, connections: readonly ConnectionSight[]): void {
  const rows = connections.map(({ number, state, purpose, ageMs, requests, tls, address }) => [
    number,
    state,
    purpose,
    Math.round(ageMs / 1000),
    requests,
    tls ?? "none",
    address ?? "-",
  ]);
  output.lines(table(["number", "state", "purpose", "age s", "requests", "tls", "address"], rows));
}

function printShadow(output: Output, { host, share, since, kinds, differences }: ShadowReport): void {
  output.line(`${share * 100} % of the lookups are asked of ${host} too, since ${new Date(since).toISOString()}`);
  const head = ["kind", "agreed", "only here", `only at ${host}`, "unsure", "failed", "not asked"];
  const rows = Object.entries(kinds).map(([kind, { agreed, onlyHere, onlyThere, unsure, failed, dropped }]) => [
    kind,
    agreed,
    onlyHere,
    onlyThere,
    unsure,
    failed,
    dropped,
  ]);
  output.lines(table(head, rows));
  for (const { at, kind, differs, subject, here, there } of differences) {
    const [said, saidThere] = [here, there].map((reply) => (reply === undefined ? "-" : `${reply.code} ${reply.text}`));
    const words = `here: ${said}; there: ${saidThere}`;
    output.line(`${new Date(at).toISOString()}  ${kind}  ${differs}  ${shown(subject ?? "-")}  ${shown(words)}`);
  }
}

function printTraceLine(output: Output, { atMs, connection, from, text }: TraceLine): void {
  const clock = new Date(atMs).toISOString().slice(11, 23);
  output.line(`${clock}  ${connection}  ${from === "relaypost" ? ">" : "<"} ${shown(text)}`);
}
