#!/usr/bin/env node
/** The `relaypost` command: reads argv, runs one command, ends with its exit code. */
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { LOOKUP_KINDS, type LookupKind } from "../lookup-kinds.js";
import { type CommandContext, conclude } from "./command.js";
import type { DoctorOptions } from "./doctor/doctor.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import type { LookupOptions } from "./lookup.js";
import { addOperatorCommands } from "./operator-commands.js";
import type { ProbeOptions } from "./probe.js";
import type { RelayOptions } from "./relay.js";
import { Output } from "./terminal.js";

const EXIT_CODES = `
Exit codes: 0 yes or done, 1 no or refused, 2 misuse or bad configuration,
75 temporary failure or uncertain, 130 interrupted.`;

const JSON_HELP = "write one JSON value per line";
const FILE_HELP = "configuration file (TOML)";

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

/** `<a@b>` and `a@b` are the same address here; `<>` is the null reverse-path. */
function withoutBrackets(address: string): string {
  return address.startsWith("<") && address.endsWith(">") ? address.slice(1, -1) : address;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0)) {
    throw new InvalidArgumentError("a positive number of seconds is right.");
  }
  return Math.ceil(value * 1000);
}

/** The commands; each loads its own code only, since most calls are short. `run` is handed the work of the one that argv names. */
function commandLine(
  run: (
    isJson: boolean,
    work: (context: CommandContext) => Promise<ExitCode>,
    isEndedBySignals?: boolean,
  ) => Promise<void>,
): Command {
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  const program = new Command("relaypost")
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
  const add = (usage: string, description: string, examples: string) =>
    program
      .command(usage)
      .summary(SUMMARIES[usage] ?? description)
      .description(description)
      .option("--json", JSON_HELP)
      .addHelpText("after", `\nExamples:\n${examples}\n${EXIT_CODES}`);

  add(
    "check",
    "Read a configuration and print every mistake in it, or a summary of its hosts.",
    "  relaypost check remotes.toml\n  relaypost check --json remotes.toml | jq .problems\n  relaypost check --stalwart /opt/stalwart-smtp/etc/config.toml > remotes.toml",
  )
    .argument("<file>", FILE_HELP)
    .option(
      "--stalwart",
      "the file is Stalwart SMTP's: print its remote hosts for relaypost, and what is different here",
    )
    .option("--connect", "also connect to the Redis of [cluster], and say what it is and what it lacks")
    .action((file: string, options: { json?: boolean; stalwart?: boolean; connect?: boolean }) =>
      run(options.json === true, async (context) =>
        options.stalwart === true
          ? (await import("./check-stalwart.js")).checkStalwart(context, file, options)
          : (await import("./check.js")).check(context, file, options),
      ),
    );

  add(
    "probe",
    "Connect to a host and print what it is: greeting, extensions, TLS, certificate, mechanisms, timings.",
    "  relaypost probe remotes.toml lmtp\n  relaypost probe --json remotes.toml imap | jq .tls.certificate",
  )
    .argument("<file>", FILE_HELP)
    .argument("<id>", "the host's id in the configuration")
    .action((file: string, id: string, options: ProbeOptions) =>
      run(options.json === true, async (context) => (await import("./probe.js")).probe(context, file, id, options)),
    );

  addDoctor(add, run);

  add(
    "lookup",
    "Ask a host one question. The secret of auth is asked for on the terminal, or is the first line of standard input.",
    "  relaypost lookup remotes.toml lmtp rcpt anna@example.org && echo she exists\n  relaypost lookup remotes.toml smtp expn staff\n  relaypost lookup remotes.toml imap auth anna@example.org < password-file",
  )
    .argument("<file>", FILE_HELP)
    .argument("<id>", "the host's id in the configuration")
    .addArgument(kindArgument(program))
    .argument("<value>", "address, mailing list or user name")
    .option("--token", "auth: the secret is an OAuth access token")
    .option("--timeout <seconds>", "give up after this long", seconds)
    .action((file: string, id: string, kind: LookupKind, value: string, options: LookupOptions) =>
      run(options.json === true, async (context) => {
        const { lookup } = await import("./lookup.js");
        return lookup(context, file, id, kind, kind === "auth" ? value : withoutBrackets(value), options);
      }),
    );

  addRelay(add, run);

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

  addOperatorCommands(add, run);

  add(
    "demo",
    "Start SMTP, LMTP and IMAP servers of its own, relay an example mailbox to them, ask every kind of question, and compare the counts.",
    "  relaypost demo\n  relaypost demo --json",
  ).action((options: { json?: boolean }) =>
    run(options.json === true, async (context) => (await import("./demo/demo.js")).demo(context, options)),
  );
  return program;
}

function kindArgument(program: Command) {
  return program.createArgument("<kind>", "what to ask").choices(LOOKUP_KINDS);
}

function addDoctor(
  add: (usage: string, description: string, examples: string) => Command,
  run: (isJson: boolean, work: (context: CommandContext) => Promise<ExitCode>) => Promise<void>,
): void {
  add(
    "doctor",
    "Connect to hosts, try what may be tried without harm, and print what to mend, with the line to put into the configuration. Sends no mail, and no password but the connection's own and, to IMAP hosts, made-up ones. 1 if something breaks mail.",
    "  relaypost doctor remotes.toml\n  relaypost doctor remotes.toml lmtp --recipient anna@example.org\n  relaypost doctor remotes.toml lmtp --probe-limits --rate 500",
  )
    .argument("<file>", FILE_HELP)
    .argument("[id]", "the host's id in the configuration; without it: all hosts")
    .option(
      "--recipient <address>",
      "an address that exists there; unknown ones are made up in its domain",
      withoutBrackets,
    )
    .option("--user <name>", "IMAP: a user who exists there; one wrong password is tried")
    .option(
      "--probe-limits",
      "also try how many unknown recipients in a row the host bears, at most 100; IMAP: wrong passwords, at most 10",
    )
    .option("--rate <number>", "messages (IMAP: logins) a second, for which concurrency is suggested", rate)
    .action((file: string, id: string | undefined, options: DoctorOptions) =>
      run(options.json === true, async (context) =>
        (await import("./doctor/doctor.js")).doctor(context, file, id, options),
      ),
    );
}

function rate(text: string): number {
  const value = Number(text);
  if (!(value > 0)) {
    throw new InvalidArgumentError("a positive number of messages a second is right.");
  }
  return value;
}

function addRelay(
  add: (usage: string, description: string, examples: string) => Command,
  run: (isJson: boolean, work: (context: CommandContext) => Promise<ExitCode>) => Promise<void>,
): void {
  add(
    "relay",
    "Relay messages to a host: .eml files, folders of them, a Maildir, an mbox, or standard input (one message or an mbox). Prints each recipient that was refused, deferred, or whose fate is uncertain.",
    `  relaypost relay remotes.toml lmtp --from bo@example.net --to anna@example.org letter.eml
  relaypost relay remotes.toml lmtp --from "<>" --to anna@example.org --to carl@example.org ~/Maildir
  relaypost relay remotes.toml smtp --from bo@example.net --to anna@example.org < archive.mbox`,
  )
    .argument("<file>", FILE_HELP)
    .argument("<id>", "the host's id in the configuration")
    .argument("[path...]", "what to relay; - or nothing is standard input")
    .requiredOption("--from <address>", "reverse-path; <> is the null one", withoutBrackets)
    .addOption(
      new Option("--to <address>", "forward-path; may be given many times")
        .makeOptionMandatory()
        .argParser((address: string, earlier: string[] | undefined) => [...(earlier ?? []), withoutBrackets(address)]),
    )
    .option("--smtputf8", "ask for SMTPUTF8 (RFC 6531)")
    .option("--require-tls", "refuse to send unless every hop verifies TLS (RFC 8689)")
    .option("--timeout <seconds>", "give a message up after this long", seconds)
    .action((file: string, id: string, paths: string[], options: RelayOptions) =>
      run(options.json === true, async (context) =>
        (await import("./relay.js")).relay(context, file, id, paths, options),
      ),
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
