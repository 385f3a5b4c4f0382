/** A real Exim on loopback that asks a Dovecot socket about passwords. Its program is unpacked by .ci/get-exim. Serves the interop tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atEnd, freePorts, makeFolder, run, untilListening, writeCertificate } from "./sandbox.js";

/** Why there is none here, or `false`. */
export function reasonWithoutExim(): string | false {
  if (process.env.RELAYPOST_INTEROP === "required") {
    return false;
  }
  return process.env.RELAYPOST_EXIM === undefined ? "RELAYPOST_EXIM does not say where Exim is (.ci/get-exim)" : false;
}

/** A running Exim. It takes mail from nobody without a login. */
export class Exim implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly port: number,
    /** PEM of the authority that signed its certificate. */
    readonly ca: string,
    private readonly child: ChildProcess,
    private readonly cleanups: readonly (() => void)[],
  ) {}

  /** @param authenticators what stands behind `begin authenticators` */
  static async start(authenticators: string): Promise<Exim> {
    const { path: folder, remove } = makeFolder("exim");
    const [port] = (await freePorts(1)) as [number];
    const owner = { uid: Number(run("id", "-u", "Debian-exim")), gid: Number(run("id", "-g", "Debian-exim")) };
    for (const name of ["spool", "log"]) {
      mkdirSync(join(folder, name));
      chownSync(join(folder, name), owner.uid, owner.gid);
    }
    const { ca, certFile, keyFile } = await writeCertificate(folder);
    chownSync(keyFile, owner.uid, owner.gid);
    const file = join(folder, "exim.conf");
    writeFileSync(file, `${configuration(folder, port, certFile, keyFile)}${authenticators}`);
    const child = spawn(process.env.RELAYPOST_EXIM ?? "exim4", ["-C", file, "-bdf"], { stdio: "ignore" });
    await once(child, "spawn");
    const exim = new Exim(folder, port, ca, child, [atEnd(() => child.kill("SIGTERM")), remove]);
    try {
      await untilListening(port, () => exim.log);
    } catch (error) {
      await exim.stop();
      throw error;
    }
    return exim;
  }

  /** Everything it logged. */
  get log(): string {
    const file = join(this.folder, "log", "mainlog");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  async stop(): Promise<void> {
    const hasExited = this.child.exitCode !== null || this.child.signalCode !== null;
    const exited = hasExited ? undefined : once(this.child, "exit");
    this.cleanups[0]?.();
    await exited;
    this.cleanups[1]?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** PLAIN and LOGIN by a Dovecot socket, without TLS too. */
export function authenticatorsAt(authSocket: string): string {
  return ["PLAIN", "LOGIN"]
    .map(
      (name) => `${name.toLowerCase()}:
  driver = dovecot
  public_name = ${name}
  server_socket = ${authSocket}
  server_set_id = $auth1
`,
    )
    .join("");
}

function configuration(folder: string, port: number, certFile: string, keyFile: string): string {
  return `spool_directory = ${folder}/spool
log_file_path = ${folder}/log/%slog
pid_file_path = ${folder}/exim.pid
primary_hostname = exim.example.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
keep_environment =
tls_advertise_hosts = *
tls_certificate = ${certFile}
tls_privatekey = ${keyFile}
auth_advertise_hosts = *
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  accept authenticated = *
  deny
begin authenticators
`;
}
