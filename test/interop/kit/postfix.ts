/** A real Postfix on loopback: SMTP with STARTTLS, smtps, SASL by a Dovecot, and delivery into that Dovecot by LMTP. Serves the interop tests. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Dovecot } from "./dovecot.js";
import {
  atEnd,
  DOMAIN,
  freePorts,
  hasIpv6,
  makeFolder,
  RECIPIENTS,
  run,
  signalWithChildren,
  untilListening,
  writeCertificate,
} from "./sandbox.js";

/** A running Postfix. */
export class Postfix implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly ports: Readonly<Record<"smtp" | "smtps", number>>,
    /** PEM of the authority that signed its certificate. */
    readonly ca: string,
    private readonly cleanups: readonly (() => void)[],
  ) {}

  /**
   * Starts it in front of `dovecot` and waits until it serves. `main`: lines of main.cf that go before ours; `master`: more of
   * master.cf; `isTuned`: whether limits that tests reach are off, see docs/testing.md (default: true).
   */
  static async start(
    dovecot: Dovecot,
    options: { main?: Readonly<Record<string, string>>; master?: string; isTuned?: boolean } = {},
  ): Promise<Postfix> {
    const { path: folder, remove } = makeFolder("postfix");
    const [smtp, smtps] = (await freePorts(2)) as [number, number];
    const { certFile, keyFile, ca } = await writeCertificate(folder);
    const etc = join(folder, "etc");
    for (const name of ["etc", "queue", "data"]) {
      mkdirSync(join(folder, name));
    }
    const owner = { uid: Number(run("id", "-u", "postfix")), gid: Number(run("id", "-g", "postfix")) };
    chownSync(join(folder, "data"), owner.uid, owner.gid);
    chmodSync(join(folder, "data"), 0o700);
    const users = RECIPIENTS.map((user) => `${user}@${DOMAIN} ok\n`).join("");
    writeFileSync(join(etc, "users"), users);
    const own = options.main ?? {};
    const tuned = options.isTuned === false ? "" : TUNED;
    const ours = `${mainConfiguration(folder, dovecot, certFile, keyFile)}${tuned}`.split("\n");
    const kept = ours.filter((line) => !Object.hasOwn(own, line.split(" = ", 1)[0]!.replace(/ =$/, "")));
    const lines = [...kept, ...Object.entries(own).map(([key, value]) => `${key} = ${value}`)];
    writeFileSync(join(etc, "main.cf"), `${lines.join("\n")}\n`);
    writeFileSync(
      join(etc, "master.cf"),
      `${masterConfiguration(smtp, smtps, await hasIpv6())}${options.master ?? ""}`,
    );
    const abort = atEnd(() => {
      // Not running any more, or never started: nothing to end.
      if (existsSync(join(folder, "queue", "pid", "master.pid"))) {
        runQuietly("postfix", "-c", etc, "abort");
      }
    });
    const postfix = new Postfix(folder, { smtp, smtps }, ca, [abort, remove]);
    try {
      run("postfix", "-c", etc, "start");
      for (const port of [smtp, smtps]) {
        await untilListening(port, () => postfix.log);
      }
    } catch (error) {
      const { log } = postfix;
      await postfix.stop();
      throw new Error(`Postfix did not start: ${log}`, { cause: error });
    }
    return postfix;
  }

  /** Everything it logged. */
  get log(): string {
    const file = join(this.folder, "postfix.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** Stops all of its processes, which go on where they were with `SIGCONT`. Its ports take connections meanwhile. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    const master = Number(readFileSync(join(this.folder, "queue", "pid", "master.pid"), "utf8"));
    signalWithChildren(master, signal);
  }

  async stop(): Promise<void> {
    for (const cleanup of this.cleanups) {
      cleanup();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function runQuietly(command: string, ...args: readonly string[]): void {
  try {
    run(command, ...args);
  } catch {
    // It had stopped by itself.
  }
}

/** Limits on clients that make mistakes, and on many connections of one client. */
const TUNED = `smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 2000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_junk_command_limit = 1000
in_flow_delay = 0
`;

function mainConfiguration(folder: string, dovecot: Dovecot, certFile: string, keyFile: string): string {
  return `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${folder}/postfix.log
maillog_file_prefixes = ${folder}
myhostname = postfix.${DOMAIN}
mydestination =
mynetworks = 127.0.0.0/8, [::1]/128
inet_protocols = all
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = ${DOMAIN}
virtual_mailbox_maps = texthash:${folder}/etc/users
virtual_transport = lmtp:inet:127.0.0.1:${dovecot.ports.lmtp}
local_header_rewrite_clients =
smtp_line_length_limit = 0
lmtp_line_length_limit = 0
lmtp_tls_security_level = none
lmtp_destination_recipient_limit = 100
message_size_limit = 20000000
disable_vrfy_command = no
smtputf8_enable = yes
smtpd_tls_security_level = may
smtpd_tls_cert_file = ${certFile}
smtpd_tls_key_file = ${keyFile}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = ${dovecot.authSocket}
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
`;
}

function masterConfiguration(smtp: number, smtps: number, hasV6: boolean): string {
  const addresses = hasV6 ? ["127.0.0.1", "[::1]"] : ["127.0.0.1"];
  const listeners = addresses.flatMap((address) => [
    `${address}:${smtp} inet n - n - - smtpd`,
    `${address}:${smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes`,
  ]);
  return `${listeners.join("\n")}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}
