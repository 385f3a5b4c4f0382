/** `relaypost serve`: the daemon, with a log of its own on standard error. Opens the log that the file asks for and hands over to src/serve/. */
import { programLogger } from "../runtime/loggers.js";
import { loadFile } from "../serve/load.js";
import { serveUntil } from "../serve/serve.js";
import type { CommandContext } from "./command.js";
import { EXIT, type ExitCode, UsageError } from "./exit-codes.js";

/** Ends when the context's signal is aborted and everything is drained. */
export async function serve({ signal }: CommandContext, file: string): Promise<ExitCode> {
  const { serve: settings } = await loadFile(file);
  if (settings.listeners.size === 0) {
    throw new UsageError(`there is nothing to serve: ${file} has no [serve.<name>]`);
  }
  // JSON for machines, lines for whoever watches.
  const lines = process.stderr.isTTY ? (await import("./log-lines.js")).logLines(process.stderr) : undefined;
  await serveUntil(file, programLogger(settings.logLevel, lines), signal);
  return EXIT.yes;
}
