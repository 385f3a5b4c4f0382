/** What every command is given, and how each ends. Serves main.ts and the commands; kept light, since every call of the command loads it. */
import type { Command } from "commander";
import { EXIT, type ExitCode, errorAsJson, errorAsText, exitCodeOf } from "./exit-codes.js";
import type { Output } from "./terminal.js";

/** What a command is given by main.ts. */
export interface CommandContext {
  readonly output: Output;
  /** Aborted by the first Ctrl-C or SIGTERM; the second ends the process at once. */
  readonly signal: AbortSignal;
}

/** Makes a command of its usage, its description and its examples. */
export type AddCommand = (usage: string, description: string, examples: string) => Command;

/** Is handed the work of the command that argv names; `isEndedBySignals` as in {@link conclude}. */
export type RunCommand = (
  isJson: boolean,
  work: (context: CommandContext) => Promise<ExitCode>,
  isEndedBySignals?: boolean,
) => Promise<void>;

export const FILE_HELP = "configuration file (TOML)";

/**
 * Runs a command; an error it throws is written and becomes an exit code.
 *
 * @param isEndedBySignals a signal is how the command is meant to end, and no interruption
 */
export async function conclude(
  { output, signal }: CommandContext,
  isJson: boolean,
  command: () => Promise<ExitCode>,
  isEndedBySignals = false,
): Promise<ExitCode> {
  try {
    const code = await command();
    return signal.aborted && !isEndedBySignals ? EXIT.interrupted : code;
  } catch (error) {
    if (isJson) {
      output.json({ error: errorAsJson(error) });
    } else {
      output.remark(`relaypost: ${errorAsText(error)}`);
    }
    return signal.aborted ? EXIT.interrupted : exitCodeOf(error);
  }
}
