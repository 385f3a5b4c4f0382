/** The commands that take a configuration file and are done when they have said what they found: as argv has them. Added by main.ts. */
import { Argument, InvalidArgumentError, Option } from "commander";
import { LOOKUP_KINDS, type LookupKind } from "../lookup-kinds.js";
import { type AddCommand, FILE_HELP, type RunCommand } from "./command.js";
import type { DoctorOptions } from "./doctor/doctor.js";
import type { LookupOptions } from "./lookup.js";
import type { ProbeOptions } from "./probe.js";
import type { RelayOptions } from "./relay.js";

const ID_HELP = "the host's id in the configuration";

/** In the order of the command's help. */
export function addHostCommands(add: AddCommand, run: RunCommand): void {
  for (const addOne of [addCheck, addProbe, addDoctor, addLookup, addRelay]) {
    addOne(add, run);
  }
}

function addCheck(add: AddCommand, run: RunCommand): void {
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
}

function addProbe(add: AddCommand, run: RunCommand): void {
  add(
    "probe",
    "Connect to a host and print what it is: greeting, extensions, TLS, certificate, mechanisms, timings.",
    "  relaypost probe remotes.toml lmtp\n  relaypost probe --json remotes.toml imap | jq .tls.certificate",
  )
    .argument("<file>", FILE_HELP)
    .argument("<id>", ID_HELP)
    .action((file: string, id: string, options: ProbeOptions) =>
      run(options.json === true, async (context) => (await import("./probe.js")).probe(context, file, id, options)),
    );
}

function addDoctor(add: AddCommand, run: RunCommand): void {
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

function addLookup(add: AddCommand, run: RunCommand): void {
  add(
    "lookup",
    "Ask a host one question. The secret of auth is asked for on the terminal, or is the first line of standard input.",
    "  relaypost lookup remotes.toml lmtp rcpt anna@example.org && echo she exists\n  relaypost lookup remotes.toml smtp expn staff\n  relaypost lookup remotes.toml imap auth anna@example.org < password-file",
  )
    .argument("<file>", FILE_HELP)
    .argument("<id>", ID_HELP)
    .addArgument(new Argument("<kind>", "what to ask").choices(LOOKUP_KINDS))
    .argument("<value>", "address, mailing list or user name")
    .option("--token", "auth: the secret is an OAuth access token")
    .option("--timeout <seconds>", "give up after this long", seconds)
    .action((file: string, id: string, kind: LookupKind, value: string, options: LookupOptions) =>
      run(options.json === true, async (context) => {
        const { lookup } = await import("./lookup.js");
        return lookup(context, file, id, kind, kind === "auth" ? value : withoutBrackets(value), options);
      }),
    );
}

function addRelay(add: AddCommand, run: RunCommand): void {
  add(
    "relay",
    "Relay messages to a host: .eml files, folders of them, a Maildir, an mbox, or standard input (one message or an mbox). Prints each recipient that was refused, deferred, or whose fate is uncertain.",
    `  relaypost relay remotes.toml lmtp --from bo@example.net --to anna@example.org letter.eml
  relaypost relay remotes.toml lmtp --from "<>" --to anna@example.org --to carl@example.org ~/Maildir
  relaypost relay remotes.toml smtp --from bo@example.net --to anna@example.org < archive.mbox`,
  )
    .argument("<file>", FILE_HELP)
    .argument("<id>", ID_HELP)
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

function rate(text: string): number {
  const value = Number(text);
  if (!(value > 0)) {
    throw new InvalidArgumentError("a positive number of messages a second is right.");
  }
  return value;
}
