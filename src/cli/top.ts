/** `relaypost top`: all hosts of a running daemon in a terminal, live. The page's sister for those who have no browser at hand. */
import { setTimeout as pause } from "node:timers/promises";
import type { CommandContext } from "./command.js";
import { type ControlPlace, fetchReports } from "./control-client.js";
import { EXIT, type ExitCode, UsageError } from "./exit-codes.js";
import { hostLines, totals } from "./host-table.js";

/** Options of `relaypost top`. */
export interface TopOptions {
  json?: boolean;
  once?: boolean;
  tokenFile?: string;
}

const EVERY_MS = 1_000;
const CLEAR = "\u001b[H\u001b[2J";
/** The other screen, so that what stood there before is there again afterwards; and no cursor on it. */
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";

/** 0: every host serves; 1: with `--once` or `--json`, some host is down. */
export async function top(context: CommandContext, at: string, options: TopOptions): Promise<ExitCode> {
  const { output, signal } = context;
  const place: ControlPlace = { at, tokenFile: options.tokenFile };
  if (options.once === true || options.json === true) {
    const hosts = await fetchReports(place, signal);
    const lines = hostLines(hosts, output.isOnScreen);
    if (options.json === true) {
      output.lines(hosts.map((host) => JSON.stringify(host)));
    } else {
      output.lines([totals(hosts), "", ...lines]);
    }
    return hosts.some(({ diagnosis }) => diagnosis.severity === "down") ? EXIT.no : EXIT.yes;
  }
  if (!output.isOnScreen) {
    throw new UsageError("top is for a terminal; use --once or --json elsewhere");
  }
  await watch(context, place);
  return EXIT.yes;
}

async function watch({ output, signal }: CommandContext, place: ControlPlace): Promise<void> {
  const keys = new AbortController();
  const stop = AbortSignal.any([signal, keys.signal]);
  const { stdin } = process;
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    // q, Ctrl-C and Ctrl-D, since a raw terminal makes no signals of them.
    stdin.on("data", (key: Buffer) => {
      if (/[q\u0003\u0004]/.test(key.toString())) {
        keys.abort();
      }
    });
  }
  output.raw(ENTER);
  try {
    while (!stop.aborted) {
      output.raw(await frame(output.columns, output.rows, place, stop));
      await pause(EVERY_MS, undefined, { signal: stop }).catch(() => {});
    }
  } finally {
    output.raw(LEAVE);
    stdin.setRawMode?.(false);
    stdin.pause();
  }
}

/** What fits on the screen; a daemon that is away is waited for. */
async function frame(columns: number, rows: number, place: ControlPlace, signal: AbortSignal): Promise<string> {
  const clock = new Date().toLocaleTimeString();
  try {
    const hosts = await fetchReports(place, signal);
    const lines = [`relaypost  ${totals(hosts)}  ${clock}  q quits`, "", ...hostLines(hosts, true)];
    return (
      CLEAR +
      lines
        .slice(0, rows - 1)
        .map((line) => cut(line, columns))
        .join("\r\n")
    );
  } catch (error) {
    return signal.aborted ? "" : `${CLEAR}relaypost  ${clock}\r\n\r\n${cut((error as Error).message, columns)}`;
  }
}

/** Colours take no room on the screen. */
function cut(line: string, columns: number): string {
  const [, before = "", text = "", after = ""] = /^((?:\u001b\[[\d;]*m)?)(.*?)((?:\u001b\[0m)?)$/.exec(line) ?? [];
  return `${before}${text.slice(0, columns)}${after}`;
}
