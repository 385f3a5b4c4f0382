#!/usr/bin/env node
/** The `relaypost` command: reads argv, runs one command, ends with its exit code. */
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { type AddCommand, type CommandContext, conclude, FILE_HELP, type RunCommand } from "./command.js";
import { EXIT } from "./exit-codes.js";
import { addHostCommands } from "./host-commands.js";
import { addOperatorCommands } from "./operator-commands.js";
import { Output } from "./terminal.js";

const EXIT_CODES = `
Exit codes: 0 yes or done, 1 no or refused, 2 misuse or bad configuration,
75 temporary failure or uncertain, 130 interrupted.`;

const JSON_HELP = "write one JSON value per line";

/** In the list of the commands, where a description does not fit into a line. */
const SUMMARIES: Readonly<Record<string, string>> = {
  check: "read a configuration",
  probe: "see what a host is and offers",
  doctor: "say what to mend about hosts",
  lookup: "ask a host one question",
  relay: "relay messages to a host",
  top: "watch a daemon's hosts",
  ctl: "ask and change a running daemon",
  serve: "answer Postfix, Exim and others",
  demo: "see it work",
};

/** The commands; each loads its own code only, since most calls are short. */
function commandLine(run: RunCommand): Command {
  const program = newProgram();
  const add: AddCommand = (usage, description, examples) =>
    program
      .command(usage)
      .summary(SUMMARIES[usage] ?? description)
      .description(description)
      .option("--json", JSON_HELP)
      .addHelpText("after", `\nExamples:\n${examples}\n${EXIT_CODES}`);

  addHostCommands(add, run);
  addServe(add, run);
  addOperatorCommands(add, run);
  addDemo(add, run);
  return program;
}

/** The command without its commands. */
function newProgram(): Command {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  return new Command("relaypost")
    .description(
      "Relays mail to remote SMTP and LMTP hosts, and asks them and IMAP hosts about recipients and passwords.",
    )
    .version(version)
    .helpCommand(true)
    .showHelpAfterError("(relaypost COMMAND --help shows what it takes, with examples)")
    .exitOverride()
    .addHelpText(
      "after",
      `
Examples:
  relaypost check remotes.toml
  relaypost probe remotes.toml lmtp
  relaypost lookup remotes.toml lmtp rcpt anna@example.org
  relaypost relay remotes.toml lmtp --from bo@example.net --to anna@example.org letter.eml
  relaypost serve serve.toml
  relaypost demo
${EXIT_CODES}`,
    );
}

function addServe(add: AddCommand, run: RunCommand): void {
  add(
    "serve",
    "Serve the listeners of [serve]: maps, policies and passwords for Postfix and Exim, a gateway, metrics. SIGHUP reads the file again, SIGTERM drains and ends.",
    "  relaypost check serve.toml && relaypost serve serve.toml",
  )
    .argument("<file>", FILE_HELP)
    .action((file: string, options: { json?: boolean }) =>
      // A signal is how it is meant to end.
      run(options.json === true, async (context) => (await import("./serve.js")).serve(context, file), true),
    );
}

function addDemo(add: AddCommand, run: RunCommand): void {
  add(
    "demo",
    "Start SMTP, LMTP and IMAP servers of its own, relay an example mailbox to them, ask every kind of question, and compare the counts.",
    "  relaypost demo\n  relaypost demo --json",
  ).action((options: { json?: boolean }) =>
    run(options.json === true, async (context) => (await import("./demo/demo.js")).demo(context, options)),
  );
}

/** Parses argv, runs, ends. */
async function main(): Promise<void> {
  const output = new Output(process.stdout, process.stderr);
  const interrupt = new AbortController();
  // Every request under way listens to it.
  setMaxListeners(0, interrupt.signal);
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => interrupt.abort());
  }
  const context: CommandContext = { output, signal: interrupt.signal };
  try {
    await commandLine(async (isJson, work, isEndedBySignals = false) => {
      process.exitCode = await conclude(context, isJson, () => work(context), isEndedBySignals);
    }).parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      throw error;
    }
    const isAsked =
      error.code === "commander.helpDisplayed" ||
      error.code === "commander.version" ||
      (error.code === "commander.help" && error.exitCode === 0);
    process.exitCode = isAsked ? EXIT.yes : EXIT.misuse;
  }
  await output.flushed();
}

await main();
