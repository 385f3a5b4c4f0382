/** The commands of an operator, `top` and `ctl`, as argv has them. Added by main.ts. */
import { InvalidArgumentError } from "commander";
import { parseDuration } from "../config/quantities.js";
import type { AddCommand, RunCommand } from "./command.js";
import type { CtlOptions } from "./ctl.js";
import { CTL_VERBS, type CtlVerb } from "./ctl-verbs.js";
import type { TopOptions } from "./top.js";

/** Where the second column of commander's help begins. */
const HELP_COLUMN = 25;

const TOKEN_HELP = "file with the token of a control listener on a port";

export function addOperatorCommands(add: AddCommand, run: RunCommand): void {
  add(
    "top",
    "Show all hosts of a running daemon, sick ones first and with the reason in words; live, until q is pressed. With --once or --json: once, and 1 if some host is down.",
    "  relaypost top /run/relaypost/control\n  relaypost top http://127.0.0.1:10040 --once",
  )
    .argument("<socket|url>", "socket of a control listener, its URL, or the URL of an http listener")
    .option("--once", "print it once, and end")
    .option("--token-file <file>", TOKEN_HELP)
    .action((at: string, options: TopOptions) =>
      run(options.json === true, async (context) => (await import("./top.js")).top(context, at, options)),
    );

  const ctl = add(
    "ctl",
    `Ask a running daemon by its control listener, and change what it does.\n\n${verbsHelp()}`,
    `  relaypost ctl --socket /run/relaypost/control why lmtp
  relaypost ctl --socket /run/relaypost/control forget lmtp anna@example.org
  relaypost ctl --socket /run/relaypost/control pause lmtp --for 10m
  relaypost ctl --socket /run/relaypost/control trace lmtp --recipient anna@example.org`,
  );
  ctl
    .addArgument(ctl.createArgument("<verb>", "what to ask or do, see above").choices(Object.keys(CTL_VERBS)))
    .argument("[words...]", "the host's id; for forget, perhaps an address; for log-level, a level")
    .requiredOption("--socket <socket|url>", "socket of the control listener, or its URL")
    .option("--token-file <file>", TOKEN_HELP)
    .option("--user <name>", "forget: answers about this user's passwords")
    .option("--recipient <address>", "trace: transactions that name this recipient; forget: answers about it")
    .option("--for <duration>", "pause, trace: so long, such as 90s or 10m", duration)
    .option("--refuse", "pause: requests are refused meanwhile, in place of waiting")
    .option("--count <lines>", "trace: ends after so many lines (200)", count)
    .action((verb: CtlVerb, words: string[], options: CtlOptions) =>
      run(options.json === true, async (context) => (await import("./ctl.js")).ctl(context, verb, words, options)),
    );
}

/** A line for each verb. */
function verbsHelp(): string {
  const lines = Object.entries(CTL_VERBS).map(
    ([verb, { words, help }]) => `  ${`${verb} ${words}`.padEnd(HELP_COLUMN - 2)}${help}`,
  );
  return ["Verbs:", ...lines].join("\n");
}

function count(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value > 0)) {
    throw new InvalidArgumentError("a whole number of lines is right.");
  }
  return value;
}

/** In milliseconds. */
function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) {
    throw new InvalidArgumentError("90s, 10m or 2h is right.");
  }
  return ms;
}
