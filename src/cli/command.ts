/** What every command shares: its output, its way to end, an interrupt that gives up cleanly. Serves main.ts and the commands. */
import type { ConfigInput } from "../config/input.js";
import { RemoteHosts } from "../remote-hosts.js";
import { type LogRecord, recordLogger } from "../runtime/log.js";
import { EXIT, type ExitCode, errorAsJson, errorAsText, exitCodeOf } from "./exit-codes.js";
import { type Output, shown } from "./terminal.js";

/** Nothing is under way when a command closes its hosts; this is for the peers' goodbyes. */
const DRAIN_MS = 2_000;

/** What a command is given by main.ts. */
export interface CommandContext {
  readonly output: Output;
  /** Aborted by the first Ctrl-C or SIGTERM; the second ends the process at once. */
  readonly signal: AbortSignal;
}

/** Runs a command; an error it throws is written and becomes an exit code. */
export async function conclude(
  { output, signal }: CommandContext,
  isJson: boolean,
  command: () => Promise<ExitCode>,
): Promise<ExitCode> {
  try {
    const code = await command();
    return signal.aborted ? EXIT.interrupted : code;
  } catch (error) {
    if (isJson) output.json({ error: errorAsJson(error) });
    else output.remark(`relaypost: ${errorAsText(error)}`);
    return signal.aborted ? EXIT.interrupted : exitCodeOf(error);
  }
}

/** Shows the warnings that concern one host: a command asks one, though the configuration holds many. */
export function remarkOn(output: Output, id: string): (record: LogRecord) => void {
  return ({ level, hostId, msg }) => {
    if (hostId === undefined || hostId === id) output.remark(`${level === "warn" ? "warning" : level}: ${shown(msg)}`);
  };
}

/** Opens the hosts of a configuration for one command, and closes them whatever happens. Warnings go to `remark`. */
export async function withHosts<T>(
  source: string | ConfigInput,
  signal: AbortSignal,
  remark: (record: LogRecord) => void,
  use: (hosts: RemoteHosts) => Promise<T>,
): Promise<T> {
  const hosts = await RemoteHosts.open(source, { logger: recordLogger(remark) });
  try {
    return await use(hosts);
  } finally {
    await hosts.close({ drainMs: signal.aborted ? 0 : DRAIN_MS });
  }
}
