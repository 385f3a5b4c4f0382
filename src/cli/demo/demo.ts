/**
 * `relaypost demo`: the main job on one screen. Real SMTP, LMTP and IMAP dialogues over TLS on loopback, a mailbox relayed,
 * every kind of question asked, a host killed in the middle; and in the end every count compared with what the servers wrote down.
 */
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ConfigInput } from "../../config/input.js";
import { loadSettings } from "../../config/load.js";
import { parseToml } from "../../config/toml.js";
import { isLoginOnly } from "../../messages/protocols.js";
import type { Diagnosis } from "../../operator/report.js";
import type { RemoteHosts } from "../../remote-hosts.js";
import type { RuntimeStats } from "../../stats.js";
import { listenImap, makeCertificate, type StrictServer } from "../../testing/index.js";
import type { CommandContext } from "../command.js";
import { EXIT, type ExitCode } from "../exit-codes.js";
import { withHosts } from "../hosts.js";
import { type Progress, showProgress } from "../progress.js";
import { askAll, askLists, callCount } from "./asking.js";
import { audit, connectionCount } from "./audit.js";
import { PASSWORDS } from "./directory.js";
import { Ledger } from "./ledger.js";
import { MailServer } from "./mail-server.js";
import { type Letter, readLetters } from "./mailbox.js";
import { type Party, relayLetters } from "./relaying.js";
import { countLines, wrapped } from "./screen.js";
import { HostTally } from "./tally.js";

const EXAMPLES = new URL("../../../../examples/", import.meta.url);
/** The LMTP server crashes at this message. */
const CRASH_AT = 80;
/** Relays under way for each host: enough for its connections and a few behind them. */
const AT_A_TIME = 20;

interface Servers {
  readonly smtp: MailServer;
  readonly lmtp: MailServer;
  readonly imap: StrictServer;
}

/** Runs it. Exit code 0 only if everything agrees. */
export async function demo(context: CommandContext, options: { json?: boolean }): Promise<ExitCode> {
  const startMs = performance.now();
  const certificate = await makeCertificate();
  const servers: Servers = {
    smtp: new MailServer("smtp", certificate, true),
    lmtp: new MailServer("lmtp", certificate, false),
    imap: await listenImap({
      startTls: certificate,
      users: Object.fromEntries(PASSWORDS),
      authNeedsTls: true,
      mechanisms: ["PLAIN", "LOGIN"],
    }),
  };
  try {
    await Promise.all([servers.smtp.start(), servers.lmtp.start()]);
    const letters = await readLetters(new URL("mail/", EXAMPLES));
    const configuration = await pointAtServers(servers);
    return await withHosts(
      await loadSettings(configuration),
      context.signal,
      () => {},
      async (hosts) => {
        const run = new DemoRun(context, options, hosts, servers, letters);
        const code = await run.all();
        if (!options.json) {
          context.output.line(`${((performance.now() - startMs) / 1000).toFixed(1)} s`);
        }
        return code;
      },
    );
  } finally {
    servers.smtp.kill();
    servers.lmtp.kill();
    await servers.imap.close();
  }
}

/** examples/remotes.toml with the servers' ports, everything else as it stands there. */
async function pointAtServers(servers: Servers): Promise<ConfigInput> {
  const file = new URL("remotes.toml", EXAMPLES);
  const { root } = parseToml(await readFile(file, "utf8"), fileURLToPath(file));
  const { remote = {} } = root as ConfigInput;
  return {
    ...root,
    remote: Object.fromEntries(
      Object.entries(remote).map(([id, host]) => [
        id,
        { ...host, address: "localhost", port: servers[id as keyof Servers].port },
      ]),
    ),
  };
}

class DemoRun {
  private readonly parties: readonly Party[];
  private readonly wrong: string[] = [];
  private crashNote = "";

  constructor(
    private readonly context: CommandContext,
    private readonly options: { json?: boolean },
    private readonly hosts: RemoteHosts,
    private readonly servers: Servers,
    private readonly letters: readonly Letter[],
  ) {
    this.parties = hosts.ids.map((id) => ({
      host: hosts.host(id),
      tally: new HostTally(),
      ledger: id === "smtp" ? servers.smtp.ledger : id === "lmtp" ? servers.lmtp.ledger : new Ledger(),
    }));
  }

  async all(): Promise<ExitCode> {
    this.hosts.monitor.start();
    const calls = this.parties.reduce((sum, { host }) => sum + callCount(host), 0);
    await this.step("asking the hosts", calls, (bar) => this.ask("remote", bar));
    const mailParties = this.parties.filter(({ host }) => !isLoginOnly(host.protocol));
    await this.step("relaying", this.letters.length * mailParties.length, (bar) => this.relay(mailParties, bar));
    await this.step("asking again", calls, (bar) => this.ask("cache", bar));
    for (const party of this.parties) {
      this.wrong.push(...(await askLists(this.hosts, party)));
    }
    return this.report();
  }

  private async step(title: string, total: number, work: (bar: Progress) => Promise<void>): Promise<void> {
    const bar = showProgress(this.context.output, title.padEnd(16), total);
    try {
      await work(bar);
    } finally {
      bar.stop();
    }
  }

  private async ask(expected: "remote" | "cache", bar: Progress): Promise<void> {
    const found = await Promise.all(this.parties.map((party) => askAll(party, expected, () => bar.advance())));
    this.wrong.push(...found.flat());
  }

  private async relay(parties: readonly Party[], bar: Progress): Promise<void> {
    const crash = this.crashAndRestart();
    const { signal } = this.context;
    await Promise.all(
      parties.map((party) => relayLetters(party, this.letters, AT_A_TIME, signal, () => bar.advance())),
    );
    await crash;
  }

  /** The LMTP server dies with messages on their way and comes back once a message was rejected. */
  private async crashAndRestart(): Promise<void> {
    const { lmtp } = this.servers;
    await lmtp.crashAt(CRASH_AT);
    const party = this.parties.find(({ ledger }) => ledger === lmtp.ledger);
    while (party !== undefined && !this.context.signal.aborted && party.tally.rejected === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await lmtp.start();
    this.crashNote =
      `The lmtp server was killed at message ${CRASH_AT} and started again. What was rejected had reached nobody and was sent again; ` +
      "what was uncertain was looked up in the server's ledger: what had arrived stayed, the rest was sent again.";
  }

  private async report(): Promise<ExitCode> {
    const stats = await this.settledStats();
    const rows = [];
    for (const party of this.parties) {
      const { host, tally } = party;
      const hostStats = stats.hosts[host.id];
      if (hostStats === undefined) {
        throw new Error(`no statistics of ${host.id}`);
      }
      if (isLoginOnly(host.protocol)) {
        this.readLogins(party.ledger);
      }
      this.wrong.push(...audit(party, hostStats, this.letters));
      const { delivered, refused, deferred } = tally.recipients;
      const { remote, shared, cache } = tally.lookups;
      rows.push({
        host: host.id,
        messages: tally.messages,
        delivered,
        refused,
        deferred,
        rejected: tally.rejected,
        uncertain: tally.uncertain,
        arrived: tally.arrived,
        lookups: remote + shared + cache + tally.unanswered,
        shared,
        cached: cache,
        connections: connectionCount(hostStats),
        "p50 ms": Math.round(tally.percentile(50) * 10) / 10,
        "p99 ms": Math.round(tally.percentile(99) * 10) / 10,
      });
    }
    const diagnoses = await Promise.all(this.parties.map(({ host }) => host.diagnosis()));
    if (this.options.json) {
      for (const row of rows) {
        this.context.output.json(row);
      }
      for (const diagnosis of diagnoses) {
        this.context.output.json({ diagnosis });
      }
      this.context.output.json({ agrees: this.wrong.length === 0, wrong: this.wrong });
    } else {
      this.print(rows, diagnoses);
    }
    return this.wrong.length === 0 ? EXIT.yes : EXIT.no;
  }

  /** Statistics once no connection is half open: both sides count it then, or neither. */
  private async settledStats(): Promise<RuntimeStats> {
    for (;;) {
      const stats = await this.hosts.stats();
      if (Object.values(stats.hosts).every(({ connections }) => connections.opening === 0)) {
        return stats;
      }
      await pause(20, undefined, { signal: this.context.signal });
    }
  }

  /** The IMAP server keeps a book of its own kind. */
  private readLogins(ledger: Ledger): void {
    const connections = this.servers.imap.ledger.connections.filter(({ isSecure }) => isSecure);
    ledger.connections = connections.length;
    ledger.questions.auth = connections.reduce((sum, { logins }) => sum + logins.length, 0);
  }

  private print(rows: Record<string, string | number>[], diagnoses: readonly Diagnosis[]): void {
    const { output } = this.context;
    const say = (lines: readonly string[]): void => {
      for (const line of lines) {
        output.line(line);
      }
    };
    say([...countLines(rows), "", ...wrapped(this.crashNote), ""]);
    say(["What an operator reads of the hosts now:"]);
    for (const { what, why } of diagnoses) {
      say(wrapped(`${what} ${why}`, "  "));
    }
    say([""]);
    for (const line of this.wrong) {
      output.line(`WRONG  ${line}`);
    }
    if (this.wrong.length === 0) {
      say(wrapped("Every count is what the servers recorded, and every message arrived once, byte for byte."));
    }
  }
}
